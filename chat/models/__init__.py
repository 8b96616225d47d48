"""The models that are open: their swarm or gateway, tokenizer, client, and what they took."""
