"""Read the logs of other evaluation tools, and make records of them. Never imports torch."""
