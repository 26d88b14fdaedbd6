"""Train a model further on videos that nobody labelled, by its own confident predictions."""
