"""The client's side: token ids in, typed events out."""
