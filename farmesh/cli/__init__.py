"""Upstream's command names and flags, translated for :mod:`farmesh.cli.main`."""
