"""What a conversion finds on its way: problems, assumptions and differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from zoo.importers.settings import Notes
from zoo.importers.torchdistill.items import BlockedError


@dataclass(frozen=True, kw_only=True)
class Findings(Notes):
    """The notes of one conversion, whose parts are converted one after another."""

    @contextmanager
    def part(self) -> Iterator[None]:
        """Convert a part in the `with` block. If it is blocked, note why, and go on after the block."""
        try:
            yield
        except BlockedError as error:
            self.problems.update(dict.fromkeys(error.problems))
