"""The recipes of `configs/methods` train, and their recorded runs are near those of the plain student."""

import re
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.models.environment import accelerator_on
from harness.records.find_runs import read_all
from harness.records.record import FIRST_REFERENCE_SEED
from harness.runs.experiment import RunContext, prepare
from harness.runs.record_runs import training_run
from harness.runs.teachers import TeacherResolver
from harness.training.objective import Objective
from harness.training.train import train
from leaderboard.methods import plain_student
from tests.helpers.device import device
from tests.helpers.operations import no_tensor_on_the_default_device, only_deterministic_operations
from tests.helpers.project import ROOT
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry, entries
from zoo.tasks.base import Split
from zoo.tasks.splits import TensorSplit, TextSplit

ROWS, FLOOR, SECONDS = 64, 0.02, 20
METHODS = [entry for entry in entries() if entry.suite == "methods"]
QUICK = ("crd", "hint", "kd", "mutual_learning", "sskd", "tinybert")
"""Methods that `make test` trains: one of each kind of term. The others are marked `slow`."""


def some(split: Split) -> Split:
    """Return the first rows of a split."""
    if isinstance(split, TensorSplit):
        return TensorSplit(split.inputs[:ROWS], split.labels[:ROWS])
    assert isinstance(split, TextSplit)
    return TextSplit(split.texts[:ROWS], split.labels[:ROWS], tokenizer=split.tokenizer, max_length=split.max_length)


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=() if entry.name in QUICK else pytest.mark.slow) for entry in METHODS],
)
def test_every_stage_of_a_method_trains_two_steps(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With operations that a CUDA device has too, and tensors on the device of the batch."""
    text = re.sub(
        r"batch_size: \d+", f"batch_size: {ROWS // 2}", re.sub(r"epochs: \d+", "epochs: 1", entry.path.read_text())
    )
    path = tmp_path / f"{entry.name}.yaml"
    path.write_text(text)
    experiment = prepare(
        catalogue.local(path), RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path)
    )
    for name in experiment.task.splits:
        experiment.task.loaded[name] = some(experiment.task.splits[name]())
    run = training_run(experiment, TeacherResolver().resolve(experiment), 0, tmp_path)
    forward = Objective.forward

    def computed(objective: Objective, *arguments: Any) -> dict[str, Tensor]:
        with no_tensor_on_the_default_device():
            return forward(objective, *arguments)

    monkeypatch.setattr(Objective, "forward", computed)
    with only_deterministic_operations():
        student = train(run).model
    assert run.steps == 2 * len(entry.recipe.stages)
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == run.steps


def test_there_are_at_least_30_methods() -> None:
    assert len(METHODS) >= 30
    assert {entry.name for entry in METHODS} >= {*QUICK}


def reference_runs(entry: Entry) -> dict[int, tuple[float, float]]:
    """Return accuracy and seconds, by seed, of the recorded reference runs of the present recipe."""
    records = [record for _, record in read_all(ROOT / "leaderboard" / "records") if record.entry == entry.name]
    runs = {}
    for record in records:
        seed, same = record.identity.seed, record.identity.digest == entry.recipe.digest
        if same and record.identity.mode == "retrain" and seed is not None and seed >= FIRST_REFERENCE_SEED:
            runs[seed] = (record.results[0].metrics["accuracy"]["value"], record.cost["seconds"])
    return runs


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_five_recorded_runs_are_at_most_two_points_below_the_plain_students_worst(entry: Entry) -> None:
    """The median run takes at most 20 s. Single runs may take longer: other programs ran at the same time."""
    plain = plain_student(entry, entries())
    assert plain is not None
    runs, plain_runs = reference_runs(entry), reference_runs(plain)
    assert {*range(FIRST_REFERENCE_SEED, FIRST_REFERENCE_SEED + 5)} <= runs.keys() & plain_runs.keys()
    assert fmean(value for value, _ in runs.values()) >= min(value for value, _ in plain_runs.values()) - FLOOR
    assert median(seconds for _, seconds in runs.values()) <= SECONDS


def test_the_docs_state_the_number_of_lines_of_recipes() -> None:
    page = (ROOT / "docs" / "distillation.md").read_text()
    counted = re.findall(r"\[(\d+)\]\(../(configs/ilsvrc2012\S+\.yaml)\)", page)
    assert len(counted) == 3
    for number, path in counted:
        lines = [line.strip() for line in (ROOT / path).read_text().splitlines()]
        assert int(number) == len([line for line in lines if line and not line.startswith("#")])


def test_no_entry_has_the_name_of_a_suite() -> None:
    """Commands accept either name as an argument."""
    assert not {entry.name for entry in entries()} & {entry.suite for entry in entries()}
