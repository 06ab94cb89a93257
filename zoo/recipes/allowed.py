"""The packages that a recipe may import from without its reader saying so."""

ALLOWED = frozenset({"zoo", "harness", "torch", "torchvision", "transformers", "datasets", "evaluate"})
