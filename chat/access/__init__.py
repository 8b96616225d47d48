"""Who may come in, and what is refused at the door."""
