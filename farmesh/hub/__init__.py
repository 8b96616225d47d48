"""Where a checkpoint's files come from: a folder, or the Hugging Face hub."""
