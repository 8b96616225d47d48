"""The app as one process: put together, listening, announced, ended."""
