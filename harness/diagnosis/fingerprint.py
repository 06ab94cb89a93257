"""A fingerprint of an entry: what its published weights put out for the first rows, and which level of it breaks.

It lies beside the recipe as NAME.fingerprint.json. The levels, each made from the one before: recipe, weights,
data, inputs, logits, predictions. A recipe's digest that differs alone is a note and no break: it covers the training
too, and what is computed is seen in the other levels.

Logits are kept to four decimals and compared so: they may differ by 1e-4. The noise of fp32 across kernels is about
1e-5, so a rounding at the border does not count, and a change of the computation does.
"""

import hashlib
import json
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
from zoo.recipes.catalogue import Entry
from zoo.tasks.base import Inputs, content_hash

SCHEMA = 1
ROWS = 32
DECIMALS = 4
TOLERANCE = 10.0**-DECIMALS
LEVELS = ("recipe", "weights", "data", "inputs", "logits", "predictions")
NONE_YET = "no canary; once its claims are reproduced, `zoo fingerprint --update` writes one"


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The fingerprint: digests as SHA-256, and what was put out for the first rows of the first scored split."""

    recipe: str
    weights: str
    data: str
    """Of the rows, as a record hashes a split."""
    inputs: str
    """Of the tensors that the model is handed."""
    split: str
    precision: str
    logits: NDArray[np.float64]
    """`(R, C)`, to four decimals."""
    predictions: NDArray[np.generic]
    """`(R,)`, or `(R, C)` of several labels."""


@dataclass(frozen=True, kw_only=True)
class LevelResult:
    """Whether a level is as it was recorded, and what there is to say of it where it is not."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class FingerprintComparison:
    """Every level, the first that broke, and the verdict."""

    levels: tuple[LevelResult, ...]

    @property
    def broke(self) -> str | None:
        """The first level that is not as recorded; of the recipe's digest, which is a note, nothing is said."""
        return next((level.name for level in self.levels if not level.ok and level.name != "recipe"), None)

    @property
    def verdict(self) -> Verdict:
        """`reproduced` where all levels but the recipe's digest are as recorded."""
        return "not-reproduced" if self._breaks else "reproduced"

    @property
    def why(self) -> str:
        """What broke, and what is as recorded."""
        broken = [f"{level.name}: {level.detail}" for level in self.levels if not level.ok]
        held = [level.name for level in self.levels if level.ok]
        if not broken:
            return "every level is as recorded"
        if not self._breaks:
            return f"every level but the digest is as recorded; {broken[0]}"
        parts = [*broken, *([f"{_listed(held)} as recorded"] if held else [])]
        return "; ".join(parts) + (": the computation changed" if self.broke in ("logits", "predictions") else "")

    @property
    def _breaks(self) -> bool:
        return any(not level.ok for level in self.levels if level.name != "recipe")


@dataclass(frozen=True, kw_only=True)
class FingerprintOutcome:
    """What a look at the first rows says of an entry; or the error that ended it."""

    entry: Entry
    verdict: Verdict
    why: str
    check: FingerprintComparison | None = None
    error: ZooError | None = None
    counts: bool = True
    """Whether the exit code is to tell of it."""

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        levels = self.check.levels if self.check else ()
        return {
            "entry": self.entry.name,
            "suite": self.entry.suite,
            "verdict": self.verdict,
            "broke": self.check.broke if self.check else None,
            "why": self.why,
            "levels": [{"name": level.name, "ok": level.ok, "detail": level.detail} for level in levels],
            "error": str(self.error) if self.error else None,
        }


def check_fingerprint(entry: Entry, setup: RunContext) -> FingerprintOutcome:
    """Compare an entry's fingerprint with what is computed now; an error becomes part of the outcome."""
    try:
        with translate_errors(entry.name):
            return _quick(entry, setup)
    except ZooError as error:
        return FingerprintOutcome(entry=entry, verdict="not-run", why=first_line(error), error=error)


def update_fingerprint(entry: Entry, setup: RunContext) -> FingerprintOutcome:
    """Write an entry's fingerprint as it is now, and compare it with itself; an entry that can have none has none."""
    try:
        with translate_errors(entry.name):
            if why := _unable(entry, setup):
                return FingerprintOutcome(entry=entry, verdict="not-run", why=why)
            found = compute_fingerprint(prepare(entry, setup))
            write_fingerprint(fingerprint_path(entry), found)
            check = compare_fingerprints(read_fingerprint(fingerprint_path(entry)), found)
            return FingerprintOutcome(
                entry=entry, verdict=check.verdict, why=f"wrote {fingerprint_path(entry)}", check=check
            )
    except ZooError as error:
        return FingerprintOutcome(entry=entry, verdict="not-run", why=first_line(error), error=error)


def fingerprint_path(entry: Entry) -> Path:
    """Where an entry's fingerprint lies."""
    return entry.path.with_suffix(".fingerprint.json")


def _quick(entry: Entry, setup: RunContext) -> FingerprintOutcome:
    if why := _unable(entry, setup):
        return FingerprintOutcome(entry=entry, verdict="not-run", why=why)
    if not fingerprint_path(entry).exists():
        return FingerprintOutcome(entry=entry, verdict="not-run", why=NONE_YET)
    expected = read_fingerprint(fingerprint_path(entry))
    check = compare_fingerprints(expected, compute_fingerprint(prepare(entry, setup)))
    return FingerprintOutcome(entry=entry, verdict=check.verdict, why=check.why, check=check)


def _unable(entry: Entry, setup: RunContext) -> str:
    """Why an entry can have no fingerprint; empty where it can."""
    checked_builder(entry, setup)
    if entry.recipe.weights is None:
        return "there are no published weights"
    # of texts nobody asks: to build their task may fetch a tokenizer
    is_segmentation = entry.recipe.tokenizer is None and prepare(entry, setup).task.kind == "segmentation"
    return "a segmentation has no canary" if is_segmentation else ""


def compute_fingerprint(study: Experiment) -> Fingerprint:
    """What the published weights put out now; of the data only the first rows are hashed."""
    model, weights = study.published_model()
    name, precision = study.task.scored[0], study.context.options.precision
    split = study.task.load(name)
    rows = subset(split, range(min(ROWS, len(split))))
    with deterministic():
        logits = SplitRunner(model, study.task, study.context.accelerator, precision).outputs(rows)
    return Fingerprint(
        recipe=study.recipe.digest, weights=weights, data=content_hash(rows),
        inputs=_digest(rows.batch(range(len(rows))).inputs), split=name, precision=precision,
        logits=np.round(logits.double().numpy(), DECIMALS), predictions=study.task.predict(logits).numpy(),
    )  # fmt: skip


def _digest(inputs: Inputs) -> str:
    """SHA-256 of the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(inputs.items()) if isinstance(inputs, dict) else [("", inputs)]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def compare_fingerprints(expected: Fingerprint, found: Fingerprint) -> FingerprintComparison:
    """Level by level; one that broke does not hide that a later one holds."""
    levels = [
        LevelResult(name=name, ok=old == new, detail=f"SHA-256 {new[:12]} instead of {old[:12]}" if old != new else "")
        for name in LEVELS[:4]
        for old, new in [(getattr(expected, name), getattr(found, name))]
    ]
    if expected.split != found.split:
        said = f"of the split {found.split} instead of {expected.split}"
        levels = [replace(level, ok=False, detail=said) if level.name == "data" else level for level in levels]
    logits = _logits(expected, found)
    return FingerprintComparison(levels=(*levels, logits, _predictions(expected, found, logits_hold=logits.ok)))


def _logits(expected: Fingerprint, found: Fingerprint) -> LevelResult:
    old, new = expected.logits, found.logits
    if old.shape != new.shape:
        return LevelResult(name="logits", ok=False, detail=f"of shape {new.shape}, recorded {old.shape}")
    close = np.isclose(old, new, rtol=0, atol=TOLERANCE * 1.01, equal_nan=True)  # of 1e-4 the last bit is not there
    if close.all():
        return LevelResult(name="logits", ok=True)
    rows, most = int((~close).any(axis=1).sum()), float(np.nanmax(np.abs(old - new), initial=0.0))
    computed = f", computed in {found.precision}, recorded in {expected.precision}"
    said = f"{rows} of {len(old)} rows differ, at most {most:.2g}"
    return LevelResult(name="logits", ok=False, detail=said + computed * (found.precision != expected.precision))


def _predictions(expected: Fingerprint, found: Fingerprint, *, logits_hold: bool) -> LevelResult:
    """Of a regression the predictions are the logits."""
    old, new = expected.predictions, found.predictions
    if old.shape != new.shape:
        return LevelResult(name="predictions", ok=False, detail=f"of shape {new.shape}, recorded {old.shape}")
    if np.issubdtype(new.dtype, np.floating):
        return LevelResult(name="predictions", ok=logits_hold, detail="" if logits_hold else "are the logits")
    differ = int((old != new).reshape(len(old), -1).any(axis=1).sum())
    return LevelResult(name="predictions", ok=not differ, detail=f"{differ} of {len(old)} differ" if differ else "")


def write_fingerprint(path: Path, canary: Fingerprint) -> None:
    """Write a fingerprint, a row of logits a line; raises UsageError for logits that are no numbers."""
    if not np.isfinite(canary.logits).all():
        raise UsageError(f"{path}: the weights put out logits that are no numbers")
    digests = {name: getattr(canary, name) for name in ("recipe", "weights", "data", "inputs")}
    data = {"schema": SCHEMA, **digests, "split": canary.split, "precision": canary.precision}
    head = json.dumps(data, indent=1).removesuffix("\n}")
    logits = ",\n  ".join(json.dumps((row + 0.0).tolist()) for row in canary.logits)  # no -0.0
    predictions = json.dumps(canary.predictions.tolist())
    text = f'{head},\n "predictions": {predictions},\n "logits": [\n  {logits}\n ]\n}}\n'
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def read_fingerprint(path: Path) -> Fingerprint:
    """The fingerprint in a file; raises SourceError where it cannot be read, IntegrityError where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise IntegrityError(f"{path}: its schema is {data['schema']!r}, known is {SCHEMA}")
        logits = np.asarray(data["logits"], np.float64)
        texts = {name: str(data[name]) for name in ("recipe", "weights", "data", "inputs", "split", "precision")}
        return Fingerprint(**texts, logits=logits, predictions=np.asarray(data["predictions"]))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{path}: this is no canary: {type(error).__name__}: {first_line(error)}") from None


def _listed(names: list[str]) -> str:
    """Such as `weights, data and inputs are`."""
    if len(names) == 1:
        return f"{names[0]} {'is' if names[0] == 'recipe' else 'are'}"
    return f"{', '.join(names[:-1])} and {names[-1]} are"
