"""The plan of the runs that a command would make."""

from pathlib import Path

import pytest

from harness.runs import plan as module
from harness.runs.plan import PlannedRuns
from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

TEACHER = """\
    teacher: {run: digits-resnet8, seed: 3}
    criterion"""


def plan(*patterns: str, records: Path, **options: object) -> list[PlannedRuns]:
    chosen = RunOptions(records=records, **options)  # type: ignore[arg-type]
    return module.plan(catalogue.select(list(patterns)), chosen, SourceOptions())


@pytest.mark.cpu_only(reason="the committed runs were made on a CPU")
def test_every_missing_seed_is_planned_with_the_time_of_committed_runs(tmp_path: Path) -> None:
    (runs,) = plan("digits-resnet8", records=tmp_path, train=True, seeds=4)
    assert (runs.mode, runs.seeds, runs.missing, runs.time.measured_on) == ("retrain", (0, 1, 2, 3), 4, "cpu, 1 thread")
    assert runs.time.seconds is not None
    assert runs.expected_seconds == pytest.approx(4 * runs.time.seconds)


def test_runs_that_exist_are_not_missing_and_give_the_time(zoo: Zoo, recipe_file: Write) -> None:
    recipe = str(recipe_file())
    zoo("reproduce", recipe, "--train", "--seeds", "2", "--device", device(), "--records", "runs")
    (runs,) = plan(recipe, records=Path("runs"), train=True, seeds=3)
    assert (runs.missing, runs.time.measured_on) == (1, "here")
    (again,) = plan(recipe, records=Path("runs"), train=True, seeds=2)
    assert (again.missing, again.expected_seconds) == (0, 0.0)
    (fresh,) = plan(recipe, records=Path("runs"), train=True, seeds=2, fresh=True)
    assert fresh.missing == 2
    (other,) = plan(recipe, records=Path("runs"), train=True, seeds=2, precision="bf16")
    assert other.missing == 2


def test_teachers_that_are_runs_come_first_and_are_counted_once(recipe_file: Write, tmp_path: Path) -> None:
    student = str(recipe_file(TINY.replace("    criterion", TEACHER), name="student.yaml"))
    teacher, runs = plan(student, records=tmp_path, train=True, seeds=2)
    assert (teacher.entry.name, teacher.seeds, teacher.teacher_of) == ("digits-resnet8", (3,), "tiny")
    assert (runs.entry.name, runs.missing, runs.expected_seconds) == ("tiny", 2, None)
    _, _, own = plan(student, "digits-resnet8", records=tmp_path, train=True, seeds=4)
    assert (own.entry.name, own.missing) == ("digits-resnet8", 3)


def test_a_teacher_that_is_selected_by_a_relative_path_is_counted_once(
    recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    recipe_file(TINY, ("    criterion", "    teacher: {run: teacher.yaml, seed: 1}\n    criterion"))
    planned = plan("teacher.yaml", "tiny.yaml", records=tmp_path, train=True, seeds=2)
    assert sum(runs.missing for runs in planned) == 4


def test_a_plan_of_evaluations_leaves_out_entries_without_published_weights(tmp_path: Path) -> None:
    planned = plan("digits-resnet8", "minilm-l6-mrpc", records=tmp_path)
    assert [(runs.entry.name, runs.mode, runs.seeds, runs.missing) for runs in planned] == [
        ("digits-resnet8", "weights", (), 1)
    ]
