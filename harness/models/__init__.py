"""Run models: feature hooks, outputs, memory format, and a description of the environment."""
