"""What programs ask for: OpenAI's protocol, the control room, metrics."""
