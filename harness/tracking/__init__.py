"""Send the training log to experiment trackers: TensorBoard, Trackio, Weights & Biases and MLflow, while it is written.

A tracker's package is imported only if the user names it.
"""
