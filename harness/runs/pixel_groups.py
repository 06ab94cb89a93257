"""Find the entries that read the same pixels. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path

from zoo.recipes.catalogue import Entry
from zoo.recipes.values import Call

TASK = "image_folder"
NORMALIZATION = ("mean", "std", "preprocessing")
"""Arguments that do not change which pixels are read. What a published preprocessing changes is in
`Preparation.variant`, and in the arguments of its own."""
Pixels = tuple[str, Path | None, str | None]
"""The inputs that decide the pixels of an entry: its task without normalization, and the base of relative sources."""


def pixels_of(entry: Entry) -> Pixels | None:
    """Return what the decoded images of an entry depend on; None for other tasks, and recipes that cannot be read."""
    if not entry.is_readable or (task := entry.recipe.task).use != TASK:
        return None
    decoding = {key: value for key, value in sorted(task.args.items()) if key not in NORMALIZATION}
    published = task.args.get("preprocessing")
    changes = {k: v for k, v in sorted(published.args.items()) if k != "of"} if isinstance(published, Call) else {}
    return repr((decoding, changes)), entry.folder, entry.recipe_repo


def group_by_pixels(entries: Sequence[Entry], indices: Sequence[int]) -> list[int]:
    """Return positions of entries in an order in which those that read the same pixels follow each other."""
    first: dict[Pixels, int] = {}
    groups: dict[int, int] = {}
    for index in indices:
        pixels = pixels_of(entries[index])
        groups[index] = index if pixels is None else first.setdefault(pixels, index)
    return sorted(indices, key=groups.__getitem__)
