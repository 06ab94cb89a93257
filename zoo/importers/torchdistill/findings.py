"""What a conversion finds on its way: problems, assumptions and differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from zoo.errors import Mark, Problem
from zoo.importers.torchdistill.items import BlockedError


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings of one conversion; the dicts are used as ordered sets."""

    problems: dict[Problem, None] = field(default_factory=dict)
    assumptions: dict[str, None] = field(default_factory=dict)
    differences: dict[str, None] = field(default_factory=dict)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Convert a part in the `with` block. If it is blocked, note why, and go on after the block."""
        try:
            yield
        except BlockedError as error:
            self.problems.update(dict.fromkeys(error.problems))

    def refuse(self, mark: Mark, message: str) -> None:
        """Add a problem."""
        self.problems[Problem(mark, message)] = None

    def assume(self, text: str) -> None:
        """Add something that the configuration does not say."""
        self.assumptions[text] = None

    def differ(self, text: str) -> None:
        """Add a difference between torchdistill and the recipe."""
        self.differences[text] = None
