"""How the bundled model `models/guide` is made, from text written for this project.

facts       what the guide says about the app's commands and settings; the only place for them
topics/     what the guide can explain: one file per topic
phrases/    small talk, words, and the patterns that questions are made of
text/       the seeded generator of training dialogues, from these two
tokenizer   byte-level BPE and the chat template
model       the shape of the network
train       dialogues in, checkpoint out; resumable
sampling    how replies are drawn, and the setting that evaluates best
evaluate    held-out cases in `cases/`, scored; prints the figures of the model card
card        the model card, with the figures of the run that made the model
make_guide  everything above, with one command: `make guide`
"""
