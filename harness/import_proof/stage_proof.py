"""The losses of one stage by zoo and by torchdistill, and whether they are equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TOLERANCE, FLOAT32_TOLERANCE = 1e-9, 1e-5
"""The largest relative difference of losses that count as equal, in float64 and in float32."""


@dataclass(frozen=True, kw_only=True)
class StageProof:
    """The losses of one stage, by the two tools."""

    stage: int
    losses: dict[str, tuple[float, float]]
    """For each dtype, and after a step, the loss of zoo and that of torchdistill."""
    tolerance: float = TOLERANCE
    """The largest relative difference of float64 losses that count as equal."""
    differs_by_design: str = ""
    """Why the two need not be equal; nothing if they must be."""
    others: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The losses of a stage that differs by design, of all terms that must be equal; empty if it has no such term."""

    @property
    def is_equal(self) -> bool:
        """Whether all losses that must be equal are equal."""
        return self._are_equal(self.others if self.differs_by_design else self.losses)

    def _are_equal(self, losses: Mapping[str, tuple[float, float]]) -> bool:
        """Return whether losses are equal; in float32 they may also differ by twice torchdistill's own rounding."""
        if not losses:
            return True
        rounding = abs(losses["float32"][1] - losses["float64"][1])
        allowed = {name: self.tolerance * abs(theirs) for name, (_, theirs) in losses.items()}
        allowed["float32"] = max(FLOAT32_TOLERANCE * abs(losses["float32"][1]), 2 * rounding)
        return all(abs(ours - theirs) <= allowed[name] for name, (ours, theirs) in losses.items())

    @property
    def verdict(self) -> str:
        """`equal`, `differs as stated`, `differs`, or `not compared`."""
        if not self.losses:
            return "not compared"
        if not self.is_equal:
            return "differs"
        return "differs as stated" if self.differs_by_design else "equal"
