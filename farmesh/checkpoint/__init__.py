"""A model's files as tensors of single blocks, and which families can be cut into blocks."""
