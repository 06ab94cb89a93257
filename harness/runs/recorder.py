"""From a model to its record: one command at a time, scored on every process, written by one, visible when whole."""

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from harness.evaluation.evaluate import Evaluation
from harness.evaluation.label_order import findings
from harness.models.environment import deterministic, environment, peak_memory
from harness.records.record import FILE, Identity, Record, Result, new_folder, read_record, verify_files
from harness.records.run_lock import run_lock
from harness.runs.export import CARD, model_card
from zoo.errors import UsageError, translate_errors
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import Selection


@dataclass(frozen=True, kw_only=True)
class ModelToRecord:
    """A model that was read or trained, with the SHA-256 of its weights file, and how it came to be."""

    model: nn.Module
    sha256: str
    selection: Selection = "last"
    last: Mapping[str, Tensor] | None = None
    """The last epoch's state dict, where the model is of the best one."""
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Scores that files beside the weights hold."""
    seconds: float = 0.0
    """What was spent on it before this process."""
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecorder:
    """What is to be recorded, where, and how it is scored."""

    entry: Entry
    identity: Identity
    final: Path
    work: Path
    """A folder for the state of the run, which outlives a kill."""
    accelerator: Accelerator
    say: Callable[[str], None]
    evaluations: Callable[[nn.Module], Iterable[Evaluation]]
    label_names: tuple[str, ...] = ()
    """The classes of the task, in its order."""
    provenance: Callable[[], Mapping[str, Mapping[str, str]]] = dict
    """Which commits of repositories were read."""
    fresh: bool = False
    """Whether a run that is there is made again."""


def find_or_make_run(run: RunRecorder, make: Callable[[Path, Path], ModelToRecord]) -> tuple[Path, Record]:
    """The run of an identity: the one that is there, else what `make` makes, scored and recorded.

    `make` is called with the folder to be, and with that of its state. While one command makes a run, another that
    wants it waits.
    """
    with run_lock(run.work, run.accelerator, lambda: run.say(f"{run.entry.name}: waiting for another run of it")):
        record = _found(run)
        if record is None:
            with translate_errors(run.entry.name), deterministic():
                record = _make(run, make)
        if run.accelerator.is_main_process:
            shutil.rmtree(run.work, ignore_errors=True)
    return run.final / FILE, record


def _found(run: RunRecorder) -> Record | None:
    """The record that is there already, its files verified; none where it is to be made again."""
    if run.fresh or not (run.final / FILE).exists():
        return None
    record = read_record(run.final / FILE)
    if record.identity != run.identity:
        mine, there = asdict(run.identity), asdict(record.identity)
        other = ", ".join(name for name, value in mine.items() if value != there[name])
        raise UsageError(f"{run.final} holds another run of {record.entry} (another {other}); --out makes a new folder")
    verify_files(run.final / FILE, record)
    return record


def _make(run: RunRecorder, make: Callable[[Path, Path], ModelToRecord]) -> Record:
    writes, started = run.accelerator.is_main_process, time.perf_counter()
    with new_folder(run.final, run.identity.key, writes=writes, replaces=run.fresh) as folder:
        made = make(folder, run.work)
        evaluated = list(_evaluated(run, made))
        results = [_result(evaluation, selection) for evaluation, selection in evaluated]
        record = Record(
            entry=run.entry.name,
            suite=run.entry.suite,
            identity=run.identity,
            recipe=run.entry.recipe.data(),
            weights=made.sha256,
            results=tuple(result for result, _ in results),
            environment={**environment(run.accelerator.device), **made.environment},
            cost={
                "seconds": round(made.seconds + time.perf_counter() - started, 3),
                "peak_memory_bytes": peak_memory(),
            },
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            published=made.published,
            provenance=run.provenance(),
            findings=_findings(run, made, evaluated[0][0]),
        )
        if writes:
            for result, data in results:
                (folder / result.predictions["file"]).write_bytes(data)
            if run.identity.mode == "retrain":
                card = model_card(record, folder)
                (folder / CARD).write_text(card, encoding="utf-8")
            (folder / FILE).write_text(record.to_json(), encoding="utf-8")
    found: Record = broadcast_object_list([record])[0]
    return found


def _evaluated(run: RunRecorder, made: ModelToRecord) -> Iterator[tuple[Evaluation, Selection]]:
    """The model scored on every split; first as of its last epoch, where it is of the best one."""
    if made.last is not None:
        best = {name: value.clone() for name, value in made.model.state_dict().items()}
        made.model.load_state_dict(made.last)
        yield from ((evaluation, "last") for evaluation in run.evaluations(made.model))
        made.model.load_state_dict(best)
    yield from ((evaluation, made.selection) for evaluation in run.evaluations(made.model))


def _findings(run: RunRecorder, made: ModelToRecord, evaluation: Evaluation) -> tuple[str, ...]:
    """What speaks against the published order of the classes; a model trained here has that of its data."""
    if run.identity.mode != "weights" or not run.label_names:  # of none but a classification they are given
        return ()
    named = getattr(getattr(made.model, "config", None), "id2label", {})
    return findings(named, run.label_names, evaluation.arrays["predictions"], evaluation.arrays["labels"])


def _result(evaluation: Evaluation, selection: Selection) -> tuple[Result, bytes]:
    """An evaluation as a record's result, with the content of its file of predictions."""
    data = evaluation.npz()
    scores = {
        metric: {"value": _or_none(score.value), "one_prediction": _or_none(score.one_prediction)}
        for metric, score in evaluation.scores.items()
    }
    name = f"predictions-{evaluation.split}{'' if selection == 'last' else '-' + selection}.npz"
    predictions = {"file": name, "sha256": sha256(data).hexdigest()}
    return (
        Result(split=evaluation.split, n=evaluation.n, selection=selection, metrics=scores, predictions=predictions),
        data,
    )


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
