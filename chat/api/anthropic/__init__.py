"""Anthropic's protocol on the app's own server."""
