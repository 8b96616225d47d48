"""A conversation as plain values: its tree, its token ids, a running reply, the controls."""
