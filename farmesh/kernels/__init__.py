"""Compiled arithmetic for CPUs: blocks and large matrices in 8 and 4 bits.

kernels.c  the arithmetic itself, one source for AVX2, AVX-512 and NEON
compiling  made once into a library, kept in the user's cache, loaded
groups     weights as whole numbers with scales: what a GGUF file has, or made of any matrix
matrix     such weights as the library wants them, and what can be done with them
"""
