"""Settings and the model catalogue: frozen values from a file, the environment and flags."""
