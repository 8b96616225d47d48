"""OpenAI's newer protocol, in items and events, on the app's own server."""
