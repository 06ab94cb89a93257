"""The tasks a recipe can name; one file each."""

from zoo.tasks.digits import digits

__all__ = ["digits"]
