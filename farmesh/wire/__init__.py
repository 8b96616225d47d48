"""Upstream's RPC messages and tensors, every length checked before use."""
