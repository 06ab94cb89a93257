"""Hazards of a recipe that runs: stable codes, and how a hazard is shown."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.errors import Mark
from zoo.safe_text import one_line

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
    "D306": "small-sigma",
    "D307": "no-share",
    "D401": "label-order",
    "D402": "custom-code",
}
"""Code -> name. D1xx is about sources, D2xx about trainings, D3xx about claims, D4xx about code and labels."""


@dataclass(frozen=True, kw_only=True)
class Hazard:
    """Something that can change a score or weaken a comparison, and what to do about it.

    An `error` makes a claim or a run meaningless. A `warning` weakens a claim or a run. A `note` is good to know.
    """

    code: str
    severity: Severity
    mark: Mark
    message: str
    fix: str

    @property
    def name(self) -> str:
        """The name of the code."""
        return NAMES[self.code]

    def data(self) -> dict[str, Any]:
        """Return the hazard as JSON can hold it."""
        return {
            "code": self.code, "name": self.name, "severity": self.severity, **vars(self.mark),
            "message": self.message, "fix": self.fix,
        }  # fmt: skip


def lines(hazards: Iterable[Hazard]) -> Iterator[str]:
    """Yield hazards as `path:line:column: severity CODE name: message`, each followed by a line with its fix."""
    for hazard in hazards:
        path = Path(hazard.mark.path).resolve()
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else hazard.mark.path
        position = f"{shown}:{hazard.mark.line}:{hazard.mark.column}"
        yield one_line(f"{position}: {hazard.severity} {hazard.code} {hazard.name}: {hazard.message}")
        yield f"    fix: {one_line(hazard.fix)}"
