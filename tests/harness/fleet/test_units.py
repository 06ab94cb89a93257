"""The units of a plan: one for each run that claims need, teachers before students, and limits on the whole."""

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet.dispatch import MakeMissing, make_with_fleet, note_made_units, open_units
from harness.fleet.existing_units import missing_units
from harness.fleet.fresh_plans import begin, current_plan
from harness.fleet.plan_file import Plan, read_plan
from harness.fleet.schedule import scheduled
from harness.fleet.status import status_of
from harness.fleet.units import plan_units
from harness.fleet.work import Messages, make_unit
from harness.judging.judge_runs import EntryRuns
from tests.helpers import fleet_worker
from tests.helpers.fleet_worker import write_record
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions


def plan(*names: str, **options: object) -> Plan:
    entries = [catalogue.select_one(name) for name in names]
    return plan_units(entries, RunOptions(**options), SourceOptions())  # type: ignore[arg-type]


def test_an_evaluation_is_one_unit_and_each_seed_is_one(tmp_path: Path) -> None:
    weights = plan("digits-resnet8", "digits-resnet14", records=tmp_path)
    assert [(unit.index, unit.mode, unit.seed) for unit in weights.units] == [
        (0, "weights", None),
        (1, "weights", None),
    ]
    trained = plan("digits-resnet8", records=tmp_path, train=True, seeds=3, first_seed=5)
    assert [unit.seed for unit in trained.units] == [5, 6, 7]


def test_units_of_one_task_are_together_and_the_longest_first(tmp_path: Path) -> None:
    made = plan(
        "digits-resnet8",
        "entail-bert-l2h32",
        "digits-resnet14",
        "entail-bert-l2h64",
        records=tmp_path,
        train=True,
        seeds=1,
    )
    assert [unit.entry.name for unit in made.units] == [
        "digits-resnet8", "entail-bert-l2h32", "digits-resnet14", "entail-bert-l2h64",
    ]  # fmt: skip
    names = [made.units[index].entry.name for index in scheduled(made, range(4))]
    assert names == ["entail-bert-l2h64", "entail-bert-l2h32", "digits-resnet14", "digits-resnet8"]
    assert all(unit.seconds for unit in made.units)


@pytest.fixture
def family(recipe_file: Write) -> tuple[Path, Path]:
    """The recipes of a teacher, and of a student that learns from its seed 3."""
    teacher = recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    student = recipe_file(
        TINY,
        ("name: tiny", "name: student"),
        ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 3}\n    epochs: 1"),
    )
    return teacher, student


def rows(made: Plan) -> list[tuple[str, int | None, int, str]]:
    return [(unit.entry.name, unit.seed, unit.wave, unit.teacher_of) for unit in made.units]


def plan_of_files(*files: Path, **options: object) -> Plan:
    chosen = RunOptions(train=True, **options)  # type: ignore[arg-type]
    return plan_units([catalogue.local(file) for file in files], chosen, SourceOptions())


def test_a_teacher_is_a_unit_of_an_earlier_wave(tmp_path: Path, family: tuple[Path, Path]) -> None:
    made = plan_of_files(family[1], seeds=2, records=tmp_path)
    assert rows(made) == [("teacher", 3, 0, "student"), ("student", 0, 1, ""), ("student", 1, 1, "")]
    assert read_plan(made.write()) == made


def test_an_entry_that_is_also_a_teacher_is_judged_with_all_its_seeds(
    tmp_path: Path, family: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [("teacher", seed, 0, "") for seed in range(4)]
    monkeypatch.chdir(tmp_path)
    for teacher in (family[0], Path("teacher.yaml")):
        for files in ((teacher, family[1]), (family[1], teacher)):
            made = plan_of_files(*files, seeds=4, records=tmp_path)
            assert sorted(row for row in rows(made) if row[0] == "teacher") == own
    several = plan_of_files(Path("teacher.yaml"), family[0], seeds=4, records=tmp_path)
    assert rows(several) == own


def test_a_teacher_is_another_run_than_that_of_its_entry_with_other_options(
    tmp_path: Path, family: tuple[Path, Path]
) -> None:
    made = plan_of_files(*family, seeds=1, first_seed=3, records=tmp_path, precision="bf16")
    assert sorted(rows(made)) == [("student", 3, 1, ""), ("teacher", 3, 0, ""), ("teacher", 3, 0, "student")]


def test_runs_that_are_made_change_no_plan(tmp_path: Path, family: tuple[Path, Path]) -> None:
    def planned() -> Plan:
        return plan_of_files(*family, *starter, seeds=2, records=tmp_path)

    starter = [catalogue.select_one(name).path for name in ("digits-resnet8", "digits-resnet14")]
    before = planned()
    for name, seconds in (("digits-resnet8", 1000.0), ("digits-resnet14", 0.1)):
        path, record = write_record(before, next(unit for unit in before.units if unit.entry.name == name))
        path.write_text(replace(record, cost={**record.cost, "seconds": seconds}).sealed({}).to_json())
    for unit in before.units:
        if unit.entry.name in ("student", "teacher"):
            write_record(before, unit)
    after = planned()
    assert after.id == before.id
    for made, first in ((before, "digits-resnet14, seed 0"), (after, "digits-resnet8, seed 0")):
        assert made.units[scheduled(made, range(len(made.units)))[0]].name == first


def test_a_teacher_is_made_only_if_a_run_that_learns_from_it_is(tmp_path: Path, family: tuple[Path, Path]) -> None:
    """The journals of a plan of `--fresh` say that its runs are made; nothing has to be confirmed."""
    made = plan_of_files(family[1], seeds=2, records=tmp_path, fresh=True)
    assert open_units(made) == missing_units(made) == [0, 1, 2]
    make_units(made, [1])
    assert open_units(made) == missing_units(made) == [0, 2]
    make_units(made, [2])
    assert note_made_units(made) == missing_units(made) == []
    assert {unit.state for unit in status_of(made).units} == {"done"}


def make_units(made: Plan, indexes: Collection[int]) -> None:
    for index in indexes:
        make_unit(made, index, lambda unit: fleet_worker.make(made, unit, Messages()), Messages())


def test_a_fresh_plan_that_no_command_works_on_is_complete_when_all_its_runs_are_made(tmp_path: Path) -> None:
    made = plan("digits-resnet8", train=True, seeds=2, fresh=True, records=tmp_path)
    made.write()
    entries = [unit.entry for unit in made.units[:1]]

    def next_id() -> str:
        return current_plan(entries, made.options, SourceOptions()).id

    make_units(made, [0])
    assert next_id() == made.id
    make_units(made, [1])
    assert next_id() != made.id
    begin(made)  # a command was interrupted before it has judged these runs
    assert next_id() == made.id


def test_a_recipe_without_published_weights_has_nothing_to_evaluate(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file()
    for arguments, text in (
        (("plan", recipe), "nothing to run"),
        (("reproduce", recipe, "--jobs", 2), "no published weights"),
    ):
        done = zoo(*arguments)
        assert text in done.out, done.err
    assert zoo("status").out == "0 runs\n"


def test_an_interrupted_fresh_plan_goes_on_until_a_command_has_ended(tmp_path: Path) -> None:
    entries, messages = [catalogue.select_one("digits-resnet8")], list[str]()

    def interrupted(plan: Plan, missing: Collection[int]) -> None:
        asked.append((plan.id, list(missing)))
        make_units(plan, [min(missing)])
        raise KeyboardInterrupt

    def complete(plan: Plan, missing: Collection[int]) -> None:
        asked.append((plan.id, list(missing)))
        make_units(plan, missing)

    def command(make: MakeMissing) -> list[EntryRuns]:
        options, wanted = RunOptions(train=True, seeds=2, fresh=True, records=tmp_path), [(entries[0], [0, 1])]
        return list(make_with_fleet(entries, wanted, options, SourceOptions(), make, report=messages.append))

    asked: list[tuple[str, list[int]]] = []
    with pytest.raises(KeyboardInterrupt):
        command(interrupted)
    (runs,) = command(complete)
    assert [index for _, index in asked] == [[0, 1], [1]]
    assert asked[0][0] == asked[1][0]
    assert len(runs.runs) == 2
    assert ["going on with the interrupted --fresh of" in message for message in messages] == [True]
    command(complete)
    assert asked[2][0] != asked[0][0]
    assert asked[2][1] == [0, 1]


def test_the_same_command_has_the_same_plan_and_another_one_has_not(tmp_path: Path) -> None:
    first = plan("digits-resnet8", records=tmp_path, train=True)
    assert plan("digits-resnet8", records=tmp_path, train=True, jobs=4).id == first.id
    assert plan("digits-resnet8", records=tmp_path, train=True, seeds=2).id != first.id
    assert plan("digits-resnet8", records=tmp_path, train=True, precision="bf16").id != first.id
    fresh = plan("digits-resnet8", records=tmp_path, train=True, fresh=True)
    assert plan("digits-resnet8", records=tmp_path, train=True, fresh=True).id != fresh.id


def test_the_command_writes_the_plan_and_says_what_it_takes(zoo: Zoo) -> None:
    done = zoo("plan", "digits-resnet8", "--train", "--seeds", "2")
    assert done.code == 0, done.err
    assert "2 runs to make; about" in done.out
    data = json.loads(zoo("plan", "digits-resnet8", "--train", "--seeds", "2", "--json").out)
    assert (data["units"], data["plan"][0]["download_bytes"]) == (2, 0)
    assert data["plan"][0]["memory_bytes"] > 1e8
    assert Path(data["file"]).is_file()
    dry = json.loads(zoo("verify", "digits-resnet8", "--train", "--seeds", "2", "--dry-run", "--json").out)
    assert dry["plan"] == data["plan"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [(["--max-hours", "0.02"], "--max-hours 0.02 leaves out entail-bert-l2h64 ("), (["--max-bytes", "1kB"], "")],
)
def test_limits_leave_entries_out(zoo: Zoo, limit: list[str], message: str) -> None:
    done = zoo("plan", "digits-resnet8", "entail-bert-l2h64", "--train", "--json", *limit)
    assert done.code == 0, done.err
    assert message in done.err
    names = [runs["entry"] for runs in json.loads(done.out)["plan"]]
    assert names == (["digits-resnet8"] if message else ["entail-bert-l2h64", "digits-resnet8"])


def test_limits_that_leave_nothing_are_an_error_that_names_the_smallest_need(zoo: Zoo, recipe_file: Write) -> None:
    done = zoo("plan", "digits-resnet8", "entail-bert-l2h64", "--train", "--max-hours", "0.0001")
    assert done.code == 2
    message = "nothing is left to plan: --max-hours 0.0001 leaves out 2 entries; the smallest need is that of digits-"
    assert message in done.err
    done = zoo("plan", recipe_file(), "--train", "--max-hours", "1")
    assert done.code == 2
    assert "leaves out 1 entry; no need of theirs is known" in done.err


@pytest.mark.parametrize("option", ["--jobs", "--on", "--ray-address", "--slurm-config", "--time-limit", "--dry-run"])
def test_a_plan_has_no_options_for_where_its_runs_are_made(zoo: Zoo, option: str) -> None:
    done = zoo("plan", "digits-resnet8", option, "1")
    assert done.code == 2
    assert f"has no option {option}" in done.err
