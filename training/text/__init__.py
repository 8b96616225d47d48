"""The seeded generator of training dialogues. `dialogues.dialogue` is the entry.

The text itself is in `training/topics` and `training/phrases`, as TOML; here is the code that reads
it and puts dialogues together.

data        reads the files, checks them, and fills in the facts about the app
topics      what the guide can explain, and small talk
noise       how people really type
words       words to tell and to remember, usual and invented
memory      facts that people tell about themselves
skills      small things to do on request: repeat, spell, add up, compare
refusals    messages from far outside the guide's field
dialogues   whole dialogues, drawn from all of these
"""
