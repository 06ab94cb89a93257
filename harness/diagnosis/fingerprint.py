"""The fingerprint of an entry: digests of its inputs, and the outputs of its published weights for the first rows.

It is stored beside the recipe as NAME.fingerprint.json. Its levels, each computed from the one before, are recipe,
weights, data, inputs, logits and predictions. Comparing them shows where a computation first differs. A recipe digest
that differs alone is only noted: it also covers the training, and the other levels show what is computed.

Logits are stored with four decimals and may differ by 1e-4. The rounding noise of fp32 across kernels is about 1e-5, so
a value at the border between two decimals does not count as a difference, but a changed computation does.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.evaluate import SplitRunner
from harness.evaluation.subset import subset
from harness.judging.types import Verdict
from harness.models.environment import deterministic
from harness.runs.experiment import Experiment, RunContext, checked_builder, prepare
from zoo.errors import IntegrityError, SourceError, UsageError, ZooError, first_line, translate_errors
from zoo.files import write_atomically
from zoo.recipes.catalogue import Entry
from zoo.tasks.base import Inputs, content_hash

SCHEMA = 1
ROWS = 32
DECIMALS = 4
TOLERANCE = 10.0**-DECIMALS
LEVELS = ("recipe", "weights", "data", "inputs", "logits", "predictions")
MISSING = "no fingerprint; once the claims are reproduced, write one with `zoo fingerprint --update`"


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """SHA-256 digests, and the outputs for the first rows of the first scored split."""

    recipe: str
    weights: str
    data: str
    """The digest of the rows, computed as in a record."""
    inputs: str
    """The digest of the tensors that the model gets."""
    split: str
    precision: str
    logits: NDArray[np.float64]
    """`(R, C)`, rounded to four decimals."""
    predictions: NDArray[np.generic]
    """`(R,)`, or `(R, C)` for several labels."""


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
        """How the levels that differ do so, and which levels match."""
        different = [f"{level.name}: {level.detail}" for level in self.levels if not level.ok]
        matching = [level.name for level in self.levels if level.ok]
        if not different:
            return "all levels match the fingerprint"
        if self.first_mismatch is None:
            return f"all levels but the recipe match the fingerprint; {different[0]}"
        parts = [*different, *([_matching(matching)] if matching else [])]
        changed = "; so the computation changed" if self.first_mismatch in ("logits", "predictions") else ""
        return "; ".join(parts) + changed


@dataclass(frozen=True, kw_only=True)
class FingerprintOutcome:
    """The result of checking or updating the fingerprint of an entry; or the error that prevented it."""

    entry: Entry
    verdict: Verdict
    why: str
    comparison: FingerprintComparison | None = None
    error: ZooError | None = None
    counts: bool = True
    """Whether the verdict affects the exit code."""

    def data(self) -> dict[str, Any]:
        """Return the outcome as plain data for JSON."""
        levels = self.comparison.levels if self.comparison else ()
        return {
            "entry": self.entry.name,
            "suite": self.entry.suite,
            "verdict": self.verdict,
            "first_mismatch": self.comparison.first_mismatch if self.comparison else None,
            "why": self.why,
            "levels": [{"name": level.name, "ok": level.ok, "detail": level.detail} for level in levels],
            "error": str(self.error) if self.error else None,
        }


def check_fingerprint(entry: Entry, context: RunContext) -> FingerprintOutcome:
    """Compute the fingerprint of an entry and compare it with the stored one. Errors become part of the outcome."""

    def check(experiment: Experiment) -> FingerprintOutcome:
        if not fingerprint_path(entry).exists():
            return FingerprintOutcome(entry=entry, verdict="not-run", why=MISSING)
        stored = read_fingerprint(fingerprint_path(entry))
        comparison = compare_fingerprints(stored, compute_fingerprint(experiment))
        return FingerprintOutcome(entry=entry, verdict=comparison.verdict, why=comparison.why, comparison=comparison)

    return _outcome(entry, context, check)


def update_fingerprint(entry: Entry, context: RunContext) -> FingerprintOutcome:
    """Compute and store the fingerprint of an entry, if it can have one. Errors become part of the outcome."""

    def update(experiment: Experiment) -> FingerprintOutcome:
        path, computed = fingerprint_path(entry), compute_fingerprint(experiment)
        write_fingerprint(path, computed)
        comparison = compare_fingerprints(read_fingerprint(path), computed)
        return FingerprintOutcome(entry=entry, verdict=comparison.verdict, why=f"wrote {path}", comparison=comparison)

    return _outcome(entry, context, update)


def fingerprint_path(entry: Entry) -> Path:
    """Return the path of the fingerprint of an entry."""
    return entry.path.with_suffix(".fingerprint.json")


def _outcome(
    entry: Entry, context: RunContext, action: Callable[[Experiment], FingerprintOutcome]
) -> FingerprintOutcome:
    try:
        with translate_errors(entry.name):
            if why := _impossible(entry, context):
                return FingerprintOutcome(entry=entry, verdict="not-run", why=why)
            return action(prepare(entry, context))
    except ZooError as error:
        return FingerprintOutcome(entry=entry, verdict="not-run", why=first_line(error), error=error)


def _impossible(entry: Entry, context: RunContext) -> str:
    """Return why an entry can have no fingerprint; an empty text if it can."""
    checked_builder(entry, context)
    if entry.recipe.weights is None:
        return "there are no published weights"
    # the kind of a text task is not checked, because building the task may download a tokenizer
    is_segmentation = entry.recipe.tokenizer is None and prepare(entry, context).task.kind == "segmentation"
    return "a segmentation has no fingerprint" if is_segmentation else ""


def compute_fingerprint(experiment: Experiment) -> Fingerprint:
    """Compute the fingerprint of an entry; only the first rows of the split are hashed and evaluated."""
    context = experiment.context
    model, weights = experiment.published_model()
    name, precision = experiment.task.scored[0], context.options.precision
    split = experiment.task.load(name)
    rows = subset(split, range(min(ROWS, len(split))))
    with deterministic():
        logits = SplitRunner(model, experiment.task, context.accelerator, precision).outputs(rows)
    return Fingerprint(
        recipe=experiment.recipe.digest, weights=weights, data=content_hash(rows),
        inputs=_digest(rows.batch(range(len(rows))).inputs), split=name, precision=precision,
        logits=np.round(logits.double().numpy(), DECIMALS), predictions=experiment.task.predict(logits).numpy(),
    )  # fmt: skip


def _digest(inputs: Inputs) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(inputs.items()) if isinstance(inputs, dict) else [("", inputs)]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def compare_fingerprints(expected: Fingerprint, found: Fingerprint) -> FingerprintComparison:
    """Compare two fingerprints level by level. All levels are compared, whichever differs first."""
    levels = [
        LevelResult(name=name, ok=old == new, detail=f"SHA-256 {new[:12]} instead of {old[:12]}" if old != new else "")
        for name in LEVELS[:4]
        for old, new in [(getattr(expected, name), getattr(found, name))]
    ]
    if expected.split != found.split:
        detail = f"split {found.split} instead of {expected.split}"
        levels = [replace(level, ok=False, detail=detail) if level.name == "data" else level for level in levels]
    logits = _logits(expected, found)
    return FingerprintComparison(levels=(*levels, logits, _predictions(expected, found, logits_hold=logits.ok)))


def _logits(expected: Fingerprint, found: Fingerprint) -> LevelResult:
    old, new = expected.logits, found.logits
    if old.shape != new.shape:
        return LevelResult(name="logits", ok=False, detail=f"shape {new.shape} instead of {old.shape}")
    close = np.isclose(old, new, rtol=0, atol=TOLERANCE * 1.01, equal_nan=True)  # of 1e-4 the last bit is not there
    if close.all():
        return LevelResult(name="logits", ok=True)
    rows, most = int((~close).any(axis=1).sum()), float(np.nanmax(np.abs(old - new), initial=0.0))
    computed = f", computed in {found.precision}, recorded in {expected.precision}"
    detail = f"{rows} of {len(old)} rows differ, by at most {most:.2g}"
    return LevelResult(name="logits", ok=False, detail=detail + computed * (found.precision != expected.precision))


def _predictions(expected: Fingerprint, found: Fingerprint, *, logits_hold: bool) -> LevelResult:
    """Compare predictions; those of a regression are its logits."""
    old, new = expected.predictions, found.predictions
    if old.shape != new.shape:
        return LevelResult(name="predictions", ok=False, detail=f"shape {new.shape} instead of {old.shape}")
    if np.issubdtype(new.dtype, np.floating):
        return LevelResult(
            name="predictions", ok=logits_hold, detail="" if logits_hold else "equal the logits, which differ"
        )
    differ = int((old != new).reshape(len(old), -1).any(axis=1).sum())
    return LevelResult(name="predictions", ok=not differ, detail=f"{differ} of {len(old)} differ" if differ else "")


def write_fingerprint(path: Path, fingerprint: Fingerprint) -> None:
    """Write a fingerprint as JSON with one line for each row of logits.

    Raises:
        UsageError: A logit is not a finite number.
        SourceError: The file cannot be written.
    """
    if not np.isfinite(fingerprint.logits).all():
        raise UsageError(f"{path}: no fingerprint can be written, because the model returns logits that are not finite")
    digests = {name: getattr(fingerprint, name) for name in ("recipe", "weights", "data", "inputs")}
    data = {"schema": SCHEMA, **digests, "split": fingerprint.split, "precision": fingerprint.precision}
    head = json.dumps(data, indent=1).removesuffix("\n}")
    logits = ",\n  ".join(
        json.dumps((row + 0.0).tolist()) for row in fingerprint.logits
    )  # adding 0.0 turns -0.0 into 0.0
    predictions = json.dumps(fingerprint.predictions.tolist())
    text = f'{head},\n "predictions": {predictions},\n "logits": [\n  {logits}\n ]\n}}\n'
    try:
        write_atomically(path, text)
    except OSError as error:
        raise SourceError(f"{path}: cannot write the fingerprint: {error.strerror or error}") from None


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a fingerprint.

    Raises:
        SourceError: The file cannot be read.
        IntegrityError: The file is not a fingerprint, or has another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise IntegrityError(f"{path}: the schema is {data['schema']!r}, but this version reads {SCHEMA}")
        logits = np.asarray(data["logits"], np.float64)
        texts = {name: str(data[name]) for name in ("recipe", "weights", "data", "inputs", "split", "precision")}
        return Fingerprint(**texts, logits=logits, predictions=np.asarray(data["predictions"]))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{path}: not a fingerprint: {type(error).__name__}: {first_line(error)}") from None


def _matching(levels: list[str]) -> str:
    """Return a phrase such as `weights, data and inputs match`."""
    if len(levels) == 1:
        return f"{levels[0]} {'matches' if levels[0] == 'recipe' else 'match'}"
    return f"{', '.join(levels[:-1])} and {levels[-1]} match"
