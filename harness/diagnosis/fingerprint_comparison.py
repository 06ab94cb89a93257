"""Compare two fingerprints of an entry, level by level.

The levels, each computed from the one before, are recipe, weights, data, inputs, logits and predictions. Comparing them
shows where a computation first differs. A recipe digest that differs alone is only noted: it also covers the training,
and the other levels show what is computed.

Logits may differ by one unit of their last stored decimal, because both sides are rounded, plus the rounding errors of
the forward pass on two processors (`harness.models.rounding`): 3e-5 for the smallest text model of the starter suite,
2e-4 for its largest image model, whose logits reach 15. A prediction may differ if its two classes are that close.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from harness.diagnosis.fingerprint_file import DECIMALS, DTYPES, Fingerprint
from harness.judging.paired import find_flips
from harness.judging.types import Verdict
from harness.models.rounding import rounding_tolerance

LEVELS = ("recipe", "weights", "data", "inputs", "logits", "predictions")


@dataclass(frozen=True, kw_only=True)
class LevelResult:
    """Whether a level matches the fingerprint, and how it differs."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class FingerprintComparison:
    """The comparison of all levels, and the verdict."""

    levels: tuple[LevelResult, ...]

    @property
    def first_mismatch(self) -> str | None:
        """The first level that differs, other than the recipe; None if there is none."""
        return next((level.name for level in self.levels if not level.ok and level.name != "recipe"), None)

    @property
    def verdict(self) -> Verdict:
        """`reproduced` if all levels match, other than the recipe."""
        return "reproduced" if self.first_mismatch is None else "not-reproduced"

    @property
    def why(self) -> str:
        """The differences of the levels that differ, and the names of the levels that match."""
        different = [f"{level.name}: {level.detail}" for level in self.levels if not level.ok]
        matching = [level.name for level in self.levels if level.ok]
        if not different:
            return "all levels match the fingerprint"
        if self.first_mismatch is None:
            return f"all levels but the recipe match the fingerprint; {different[0]}"
        parts = [*different, *([_matching(matching)] if matching else [])]
        changed = "; so the computation changed" if self.first_mismatch in ("logits", "predictions") else ""
        return "; ".join(parts) + changed


def compare_fingerprints(expected: Fingerprint, computed: Fingerprint) -> FingerprintComparison:
    """Compare two fingerprints level by level. All levels are compared, whichever differs first."""
    levels = [
        LevelResult(name=name, ok=old == new, detail=f"SHA-256 {new[:12]} instead of {old[:12]}" if old != new else "")
        for name in LEVELS[:4]
        for old, new in [(getattr(expected, name), getattr(computed, name))]
    ]
    if expected.split != computed.split:
        detail = f"split {computed.split} instead of {expected.split}"
        levels = [replace(level, ok=False, detail=detail) if level.name == "data" else level for level in levels]
    logits = _logits(expected, computed)
    return FingerprintComparison(levels=(*levels, logits, _predictions(expected, computed, logits_hold=logits.ok)))


def _logits(expected: Fingerprint, computed: Fingerprint) -> LevelResult:
    old, new = expected.logits, computed.logits
    if old.shape != new.shape:
        return LevelResult(name="logits", ok=False, detail=f"shape {new.shape} instead of {old.shape}")
    close = np.isclose(old, new, rtol=0, atol=allowed_difference(expected, computed), equal_nan=True)
    if close.all():
        return LevelResult(name="logits", ok=True)
    rows, most = int((~close).any(axis=1).sum()), float(np.nanmax(np.abs(old - new), initial=0.0))
    precisions = f", computed in {computed.precision}, recorded in {expected.precision}"
    detail = f"{rows} of {len(old)} rows differ, by at most {most:.2g}"
    return LevelResult(name="logits", ok=False, detail=detail + precisions * (computed.precision != expected.precision))


def allowed_difference(expected: Fingerprint, computed: Fingerprint) -> float:
    """Return how far two logits may differ: by the stored decimals and by the rounding errors of two processors.

    Sums are in fp32 in every precision; a lower one also rounds the outputs of each layer. If the precisions differ,
    the finer one counts, so that a coarser computation is detected.
    """
    scale = float(np.nanmax(np.abs(expected.logits), initial=0.0))
    dtypes = [DTYPES[fingerprint.precision] for fingerprint in (expected, computed)]
    finer = min(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
    sums, layers = (
        rounding_tolerance(torch.float32, computed.terms, scale),
        rounding_tolerance(finer, computed.layers, scale),
    )
    return 10.0**-DECIMALS * 1.01 + math.hypot(sums, layers)  # 1e-4 itself is not a binary number


def _predictions(expected: Fingerprint, computed: Fingerprint, *, logits_hold: bool) -> LevelResult:
    """Compare predictions: a regression's are its logits; a class may flip to one that rounding can bring ahead."""
    old, new = expected.predictions, computed.predictions
    if old.shape != new.shape:
        return LevelResult(name="predictions", ok=False, detail=f"shape {new.shape} instead of {old.shape}")
    if np.issubdtype(new.dtype, np.floating):
        return LevelResult(
            name="predictions", ok=logits_hold, detail="" if logits_hold else "equal the logits, which differ"
        )
    both = (expected, computed)
    arrays = [{"predictions": side.predictions, "labels": old, "logits": side.logits} for side in both]
    flips = find_flips(*arrays)
    unexplained = flips.unexplained(allowed_difference(expected, computed)) if logits_hold else flips.flipped
    detail = f"{flips.flipped} of {len(old)} differ" if unexplained else ""
    return LevelResult(name="predictions", ok=not unexplained, detail=detail)


def _matching(levels: list[str]) -> str:
    """Return a phrase such as `weights, data and inputs match`."""
    if len(levels) == 1:
        return f"{levels[0]} {'matches' if levels[0] == 'recipe' else 'match'}"
    return f"{', '.join(levels[:-1])} and {levels[-1]} match"
