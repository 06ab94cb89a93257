"""What `zoo init` finds in data: the task, the splits, the columns and the classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.safe_text import one_line

Task = Literal["text_classification", "image_folder", "image_classification"]


@dataclass(frozen=True, kw_only=True)
class FoundData:
    """The data of a first recipe."""

    task: Task
    arguments: Mapping[str, Any]
    """The arguments of the task that say where the data are."""
    rows: Mapping[str, int]
    """The number of rows of each split."""
    classes: tuple[str, ...] = ()
    """The names of the classes; empty for numbers."""
    notes: tuple[str, ...] = ()
    """What was guessed, for comments in the recipe."""
    texts: tuple[str, ...] = field(default=(), repr=False)
    """The texts of the split for training, for a vocabulary."""
    side: int = 0
    """The shorter side of a typical image in pixels; 0 if it is not known."""

    @property
    def is_text(self) -> bool:
        """Whether the data are texts."""
        return self.task == "text_classification"

    @property
    def summary(self) -> str:
        """The rows of each split and the number of classes, on one line: names of folders may hold line ends."""
        rows = ", ".join(f"{count:,} rows of {split}" for split, count in self.rows.items())
        return one_line(f"{rows}; {f'{len(self.classes):,} classes' if self.classes else 'numbers to predict'}")

    @property
    def outputs(self) -> int:
        """The number of outputs of a model for these data: one for numbers."""
        return len(self.classes) or 1

    @property
    def training(self) -> str:
        """The split for training: `train`, else the first."""
        return "train" if "train" in self.rows else next(iter(self.rows))
