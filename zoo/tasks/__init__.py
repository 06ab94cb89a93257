"""The tasks a recipe can name; one file each."""

from zoo.tasks.digits import digits
from zoo.tasks.entailment import entailment
from zoo.tasks.image_folder import image_folder

__all__ = ["digits", "entailment", "image_folder"]
