"""Upstream's command names and flags, translated for :mod:`farmesh.__main__`."""
