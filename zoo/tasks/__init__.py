"""The tasks a recipe can name; one file each."""

from zoo.tasks.digits import digits
from zoo.tasks.entailment import entailment

__all__ = ["digits", "entailment"]
