"""Run a model over a whole split: batching, metrics, and the order of labels."""
