"""Folders `SPLIT/CLASS/` of images, and how they are matched with the classes of a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.class_names import ClassMatch, match_labels
from zoo.errors import UsageError, did_you_mean, errors_about
from zoo.fetch.sources import Source
from zoo.files import is_hidden
from zoo.tasks.image_split import ImageSplit, image_files
from zoo.tasks.images import Preparation, local_folder
from zoo.tasks.labels import Classes

FOLDERS = "; `train` and `val` of the task name its folders"


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """The folders `SPLIT/CLASS/` of a data set.

    Attributes:
        classes: The classes in the recipe.
        listed: Their names; empty if the recipe has only their number, or nothing.
        splits: The names of the splits.
        only: The classes whose images are read; empty for all.
    """

    data: Source
    classes: Classes
    listed: tuple[str, ...]
    splits: tuple[str, ...]
    only: tuple[str, ...] = ()

    def load(self, split: str, preparation: Preparation, *, fixed: bool) -> ImageSplit:
        """Read the names of all images of a split."""
        root, folders = self._folders(split)
        if self.listed:
            folders = {name: self._chosen(found) for name, found in folders.items()}
            with errors_about("classes"):
                match, notes = self._match(root, folders, split)
            names, labels = self.listed, match.positions
        else:
            self._check_same(root, folders, split)
            names, labels, notes = tuple(folders[split]), tuple(range(len(folders[split]))), ()
        pairs = zip(folders[split], labels, strict=True)
        chosen = self._chosen(folders[split])
        labelled = [(root / split / name, label) for name, label in pairs if name in chosen]
        return ImageSplit(root / split, labelled, preparation, classes=names, fixed=fixed, notes=notes)

    def scoring(self, split: str) -> Mapping[str, int]:
        """Return the number of classes whose images are read, and the number of images of all classes."""
        root, folders = self._folders(split)
        images = sum(len(image_files(root / split / name)) for name in folders[split])
        return {"classes": len(self._chosen(folders[split])), "of": images}

    def _folders(self, split: str) -> tuple[Path, dict[str, list[str]]]:
        """Return the folder of the data, and the names of the folders of classes in every split that is there.

        Raises:
            UsageError: No split has a folder for a class in `only`.
        """
        with errors_about("data"):
            root = local_folder(self.data, ["{split}/*/*"], self.splits, split, FOLDERS)
        folders = {name: _class_names(root / name) for name in self.splits if (root / name).is_dir()}
        known = sorted({name for found in folders.values() for name in found})
        if absent := next((name for name in self.only if name not in known), None):
            where = " or in ".join(str(root / name) for name in folders)
            found = f"there is no folder {absent!r} in {where}{did_you_mean(absent, known)}"
            raise UsageError(f"only: {found}").about("only")
        return root, folders

    def _chosen(self, found: Sequence[str]) -> list[str]:
        return [name for name in found if not self.only or name in self.only]

    def _match(
        self, root: Path, folders: Mapping[str, Sequence[str]], split: str
    ) -> tuple[ClassMatch, tuple[str, ...]]:
        """Find the folders of a split in the classes of the recipe; also return what a user should know of that."""
        matches = {
            name: match_labels(found, self.listed, side=f"the folder {root / name}", other="the recipe")
            for name, found in folders.items()
        }
        lacking = [name for position, name in enumerate(self.listed) if position not in matches[split].positions]
        note = f"{split} has no images of {len(lacking)} of the classes: {', '.join(lacking[:3])}" if lacking else None
        return matches[split], tuple(filter(None, (matches[split].note, note)))

    def _check_same(self, root: Path, folders: Mapping[str, Sequence[str]], split: str) -> None:
        """Raise UsageError unless all splits have the same classes, as many as the recipe says."""
        names, known = folders[split], sorted({name for found in folders.values() for name in found})
        missing = [name for name in known if name not in names]
        if isinstance(self.classes, int) and len(names) != self.classes:
            example = f"; {missing[0]} is missing" if missing else ""
            count = f"{len(names)} folders of classes, expected {self.classes}"
            raise UsageError(f"{root / split}: {count}{example}").about("classes")
        for other, found in folders.items():
            if differing := sorted(set(found) ^ set(names)):
                advice = "add the folders, or list the names of all classes in `classes`"
                raise UsageError(
                    f"{root}: {split} and {other} do not hold the same classes: {', '.join(differing[:3])}; {advice}"
                ).about("classes")


def _class_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
