"""How the bundled model `models/guide` is made, from text written for this project.

facts       what the guide says about the app's commands and settings; the only place for them
text/       the seeded generator of training dialogues
tokenizer   byte-level BPE and the chat template
model       the shape of the network
train       dialogues in, checkpoint out; resumable
evaluate    held-out cases in `cases/`, scored; prints the figures of the model card
make_guide  everything above, with one command
"""
