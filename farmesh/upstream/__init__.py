"""Upstream's public API over this engine."""
