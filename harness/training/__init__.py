"""Train a student: stages, the objective, teachers, checkpoints and the training log."""
