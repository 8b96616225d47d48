"""The engine's commands (:mod:`farmesh.cli.main`), and upstream's, translated for them."""
