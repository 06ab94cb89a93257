"""The fingerprint of an entry: its published weights are run on the first rows and compared with stored outputs."""

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.diagnosis.fingerprint_comparison import FingerprintComparison, compare_fingerprints
from harness.diagnosis.fingerprint_file import DECIMALS, Fingerprint, read_fingerprint, write_fingerprint
from harness.evaluation.evaluate import check_finite
from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.subset import subset
from harness.judging.types import Verdict
from harness.models.environment import deterministic
from harness.models.rounding import layers_of, terms_of
from harness.runs.experiment import Experiment, RunContext, checked_builder, prepare
from zoo.error_translation import translate_errors
from zoo.errors import UsageError, ZooError, first_line
from zoo.recipes.catalogue import Entry
from zoo.recipes.positions import located_in
from zoo.tasks.base import Inputs, content_hash

ROWS = 32
NO_LOGITS = "its task has no logits of examples to compare"


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
    failed: bool = False

    def data(self) -> dict[str, Any]:
        """Return the outcome as plain data for JSON."""
        levels = self.comparison.levels if self.comparison else ()
        return {
            "entry": self.entry.name,
            "title": self.entry.title,
            "suite": self.entry.suite,
            "verdict": self.verdict,
            "first_mismatch": self.comparison.first_mismatch if self.comparison else None,
            "why": self.why,
            "levels": [{"name": level.name, "ok": level.ok, "detail": level.detail} for level in levels],
            "error": str(self.error) if self.error else None,
        }


def check_fingerprint(entry: Entry, context: RunContext) -> FingerprintOutcome:
    """Compute the fingerprint of an entry and compare it with the stored one. Errors become part of the outcome."""

    def check() -> FingerprintOutcome:
        if not fingerprint_path(entry).exists():
            return FingerprintOutcome(entry=entry, verdict="not-run", why=_missing(entry))
        stored = read_fingerprint(fingerprint_path(entry))
        comparison = compare_fingerprints(stored, compute_fingerprint(prepare(entry, context)))
        return FingerprintOutcome(entry=entry, verdict=comparison.verdict, why=comparison.why, comparison=comparison)

    return _outcome(entry, context, check)


def update_fingerprint(entry: Entry, context: RunContext) -> FingerprintOutcome:
    """Compute and store the fingerprint of an entry, if it can have one. Errors become part of the outcome."""

    def update() -> FingerprintOutcome:
        path, computed = fingerprint_path(entry), compute_fingerprint(prepare(entry, context))
        write_fingerprint(path, computed)
        comparison = compare_fingerprints(read_fingerprint(path), computed)
        return FingerprintOutcome(entry=entry, verdict=comparison.verdict, why=f"wrote {path}", comparison=comparison)

    return _outcome(entry, context, update)


def fingerprint_path(entry: Entry) -> Path:
    """Return the path of the fingerprint of an entry."""
    return entry.path.with_suffix(".fingerprint.json")


def _missing(entry: Entry) -> str:
    command = shlex.join(["zoo", "fingerprint", entry.argument, "--update"])
    return f"no fingerprint; once the claims are reproduced, write one with `{command}`"


def _outcome(entry: Entry, context: RunContext, action: Callable[[], FingerprintOutcome]) -> FingerprintOutcome:
    try:
        with translate_errors(entry.title), located_in(entry.recipe):
            if why := _impossible(entry, context):
                return FingerprintOutcome(entry=entry, verdict="not-run", why=why)
            return action()
    except ZooError as error:
        return FingerprintOutcome(entry=entry, verdict="not-run", why=first_line(error), error=error)


def _impossible(entry: Entry, context: RunContext) -> str:
    """Return why an entry can have no fingerprint; an empty text if it can."""
    checked_builder(entry, context)
    if entry.recipe.weights is None:
        return "there are no published weights"
    # the kind of a text task is not checked, because building the task may download a tokenizer
    has_readout = entry.recipe.tokenizer is None and prepare(entry, context).task.readout is not None
    return NO_LOGITS if has_readout else ""


def compute_fingerprint(experiment: Experiment) -> Fingerprint:
    """Compute the fingerprint of an entry; only the first rows of the split are hashed and evaluated."""
    context = experiment.context
    if experiment.task.readout is not None:
        raise UsageError(NO_LOGITS)
    model, weights = experiment.published_model()
    name, precision = experiment.task.scored[0], context.options.precision
    split = experiment.task.load(name)
    rows = subset(split, range(min(ROWS, len(split))))
    with deterministic(precision, model):
        logits = SplitRunner(model, experiment.task, context.accelerator, precision).outputs(rows)
    check_finite(name, {"logits": logits.numpy()})
    return Fingerprint(
        recipe=experiment.recipe.digest, weights=weights, data=content_hash(rows),
        inputs=_digest(rows.batch(range(len(rows))).inputs), split=name, precision=precision,
        logits=np.round(logits.double().numpy(), DECIMALS), predictions=experiment.task.predict(logits).numpy(),
        terms=terms_of(model), layers=layers_of(model),
    )  # fmt: skip


def _digest(inputs: Inputs) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(inputs.items()) if isinstance(inputs, dict) else [("", inputs)]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
