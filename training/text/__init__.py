"""The seeded generator of training dialogues. `dialogues.dialogue` is the entry."""
