"""All commands agree on which runs of a plan exist."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from harness.fleet.collect import read_collection
from harness.fleet.dispatch import open_units
from harness.fleet.existing_units import missing_units
from harness.fleet.slurm_config import SlurmConfig
from harness.fleet.slurm_script import preview
from harness.fleet.status import status_of
from harness.fleet.units import plan_units
from harness.records.record import read_record
from harness.runs.plan import plan as plan_runs
from tests.helpers.device import device
from tests.helpers.fleet_worker import copy_predictions, write_record
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

ENTRIES = ("digits-resnet8", "digits-resnet14")


def missing_by_command(zoo: Zoo, entries: Sequence[object], records: Path, *asked: str) -> dict[str, int]:
    """Return how many runs are missing according to each command, and how many tasks of Slurm confirm one."""

    def printed(*command: object) -> dict[str, object]:
        done = zoo(*command, "--json")
        assert done.code in (0, 3), done.err
        data: dict[str, object] = json.loads(done.out)
        return data

    arguments = (*entries, "--records", records, *asked)
    planned, dry = printed("plan", *arguments), printed("verify", *arguments, "--dry-run")
    slurm = printed("verify", *arguments, "--on", "slurm", "--dry-run")
    has_jobs = "--trust" not in asked  # they do not have the package
    jobs = printed("verify", *arguments, "--on", "hf-jobs", "--dry-run") if has_jobs else {"script": ""}
    states = printed("status", planned["file"])["counts"]
    collected = printed("collect", records, "--plan", planned["file"], "--check")
    assert isinstance(states, dict)
    return {
        "plan": sum(runs["missing"] for runs in planned["plan"]),  # type: ignore[attr-defined]
        "dry run": sum(runs["missing"] for runs in dry["plan"]),  # type: ignore[attr-defined]
        "slurm": slurm["tasks"] - slurm["confirming"],  # type: ignore[operator]
        "hf-jobs": str(jobs["script"]).count("\nhf jobs run "),
        "status": sum(states.values()) - states["done"],
        "collect": len(collected["missing"]),  # type: ignore[arg-type]
        "confirming": slurm["confirming"],  # type: ignore[dict-item]
    }


@pytest.mark.cpu_only(reason="without --device a command takes the GPU")
@pytest.mark.parametrize(
    ("made", "copied", "asked", "missing", "of_jobs", "confirming"),
    [
        (["--device", "cpu"], False, [], 1, 2, 0),
        ([], False, ["--device", "cpu"], 1, 1, 0),
        ([], True, [], 1, 2, 1),
        ([], False, ["--precision", "bf16"], 2, 2, 0),
        ([], False, ["--fresh", "--device", "cpu"], 2, 2, 0),
    ],
    ids=["made with --device cpu", "made without a device", "copied by collect", "another precision", "fresh"],
)
def test_all_commands_agree_on_the_number_of_missing_runs(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, made: list[str], copied: bool, asked: list[str], missing: int,
    of_jobs: int, confirming: int,
) -> None:  # fmt: skip
    """Jobs of the Hub have GPUs unless `--device` says otherwise. A recipe without weights has no run."""
    records = tmp_path / "first"
    assert zoo("verify", ENTRIES[0], *made, "--records", records).code == 0
    if copied:
        assert zoo("collect", records, "--to", tmp_path / "second").code == 0
        records = tmp_path / "second"
    names = ("plan", "dry run", "slurm", "status", "collect")
    counted = missing_by_command(zoo, [*ENTRIES, recipe_file()], records, *asked)
    assert counted == {**dict.fromkeys(names, missing), "hf-jobs": of_jobs, "confirming": confirming}


def test_runs_with_trusted_code_exist_until_the_code_changes(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    """The module lies beside the recipe. The run cache has no such runs, so a task confirms each."""
    module = tmp_path / "recipes" / "own_task_of_a_user.py"
    module.parent.mkdir()
    module.write_text("from zoo.tasks import digits\n")
    recipe = recipe_file(TINY, ("task: digits", "task: own_task_of_a_user.digits"), name="recipes/tiny.yaml")
    asked = ("--train", "--seeds", "1", "--device", device(), "--trust", "own_task_of_a_user")
    records = tmp_path / "runs"
    assert "error" not in zoo("verify", recipe, *asked, "--records", records).err
    for content, missing in (("", 0), ("# changed", 1)):
        module.write_text(f"from zoo.tasks import digits\n{content}")
        counted = missing_by_command(zoo, [recipe], records, *asked)
        assert counted == {
            **dict.fromkeys(("plan", "dry run", "slurm", "status", "collect"), missing),
            "hf-jobs": 0,
            "confirming": 1 - missing,
        }


@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"micro_batch": 8}, {"strict": True}], ids=str)
def test_trainings_and_their_teachers_are_counted_alike(
    recipe_file: Write, tmp_path: Path, options: dict[str, object]
) -> None:
    """Whichever runs of a student, and of a teacher that is also judged, exist with the default options.

    No run is in the run cache, so that each is confirmed by its identity, which needs the teacher.
    """
    teacher = recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    student = recipe_file(TINY, ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 1}\n    epochs: 1"))

    for number, (files, exist) in enumerate(product(([student], [student, teacher]), product([False, True], repeat=3))):
        entries, records = [catalogue.local(file) for file in files], tmp_path / str(number)
        records.mkdir()
        chosen = RunOptions(train=True, seeds=2, device="cpu", records=records, **options)  # type: ignore[arg-type]
        made = plan_units(entries, chosen, SourceOptions())
        existing = {("teacher", 1): exist[0], ("tiny", 0): exist[1], ("tiny", 1): exist[2]}
        for unit in made.units:
            if existing.get((unit.entry.name, unit.seed)):
                file, _ = write_record(made, unit)
                copy_predictions(file.parent)
        missing = len(missing_units(made))
        if not options:
            judged = [("teacher", 0)] * (teacher in files)
            assert missing == len(judged) + list(existing.values()).count(False)
            tasks = preview(made, open_units(made), missing_units(made), SlurmConfig())
            assert tasks.confirming == list(existing.values()).count(True)
        assert sum(runs.missing for runs in plan_runs(entries, chosen, SourceOptions())) == missing
        assert len(read_collection([records], made).missing) == missing
        assert sum(unit.state != "done" for unit in status_of(made).units) == missing


def test_a_fresh_plan_counts_runs_since_it_was_made_wherever_they_come_from(zoo: Zoo, tmp_path: Path) -> None:
    """A process makes an older run again, and only confirms a newer one that another machine has made."""
    asked = ("digits-resnet8", "--device", device())
    assert zoo("verify", *asked, "--records", tmp_path / "box2").code == 0
    plan = Path(json.loads(zoo("plan", *asked, "--fresh", "--json").out)["file"])
    (file,) = (tmp_path / "box2").glob("*/*/record.json")
    record = read_record(file)
    for created, missing in (("2020-01-01T00:00:00Z", 1), ("2999-01-01T00:00:00Z", 0)):
        file.write_text(replace(record, created=created).sealed(record.files).to_json())
        collected = json.loads(zoo("collect", tmp_path / "box2", "--plan", plan, "--check", "--json").out)
        assert len(collected["missing"]) == missing
    assert zoo("status", plan).code == 3
    assert zoo("collect", tmp_path / "box2").code == 0
    assert zoo("status", plan).code == 0
    made = json.loads(zoo("run-unit", plan, "--index", "0", "--json").out)
    assert made["existed"]
    assert [read_record(Path(file)).created for file in made["records"]] == ["2999-01-01T00:00:00Z"]
