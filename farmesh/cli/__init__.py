"""The engine's commands, each in a module, and upstream's, translated for them."""
