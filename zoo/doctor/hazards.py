"""What may be wrong with a recipe that is right as far as `zoo check` can tell: codes that never change, and places."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.errors import Mark

Severity = Literal["error", "warning", "note"]
NAMES = {
    "D101": "unpinned-revision",
    "D102": "unknown-digest",
    "D103": "pickle-weights",
    "D201": "no-seed",
    "D202": "best-epoch",
    "D203": "fp16-reference",
    "D204": "non-deterministic",
    "D301": "other-split",
    "D302": "other-examples",
    "D303": "no-sigma",
    "D304": "few-decimals",
    "D305": "majority-baseline",
    "D401": "label-order",
    "D402": "custom-code",
}
"""Code -> name: 1 what is read, 2 how it was trained, 3 what is claimed, 4 what is run."""


@dataclass(frozen=True, kw_only=True)
class Hazard:
    """Something that can make a score differ, or a comparison mean less than it seems, and what to do about it.

    An `error` makes a claim or a run meaningless, a `warning` is true of this recipe and weakens it, a `note` is good
    to know.
    """

    code: str
    severity: Severity
    mark: Mark
    message: str
    fix: str

    @property
    def name(self) -> str:
        """The code in words."""
        return NAMES[self.code]

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "code": self.code, "name": self.name, "severity": self.severity, **vars(self.mark),
            "message": self.message, "fix": self.fix,
        }  # fmt: skip


def lines(hazards: Iterable[Hazard]) -> Iterator[str]:
    """Hazards as `path:line:column: severity CODE name: message`, and below each what to do."""
    for one in hazards:
        path = Path(one.mark.path).resolve()
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else one.mark.path
        yield f"{shown}:{one.mark.line}:{one.mark.column}: {one.severity} {one.code} {one.name}: {one.message}"
        yield f"    fix: {one.fix}"
