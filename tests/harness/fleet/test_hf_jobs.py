"""The commands for Jobs of the Hub, read by the parser of the Hub's own command line."""

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.cli.hf import app

from harness.fleet.existing_units import missing_units
from harness.fleet.hf_jobs import flavor_of, job_command, job_script, timeout_minutes
from harness.fleet.plan_file import Plan
from harness.fleet.units import plan_units
from tests.helpers.fleet_worker import write_record
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions


def plan(*names: str, sources: SourceOptions | None = None, **options: Any) -> Plan:
    entries = [catalogue.select_one(name) for name in names]
    return plan_units(entries, RunOptions(**options), sources or SourceOptions())


def parsed(command: str) -> dict[str, Any]:
    """The options and arguments that a command such as `hf jobs run` reads."""
    words = shlex.split(command)
    assert words[0] == "hf"
    run: Any = app
    for name in words[1:3]:
        run = run.get_command(run.make_context(name, [], resilient_parsing=True), name)
    parameters: dict[str, Any] = run.make_context(words[2], words[3:]).params
    return parameters


def test_the_hub_reads_the_command(tmp_path: Path) -> None:
    made = plan("digits-resnet8", train=True, seeds=3, first_seed=5, device="cuda", records=tmp_path)
    read = parsed(job_command(made, made.units))
    assert read["name"] == "zoo-digits-resnet8-seed5"
    assert (str(read["flavor"]), read["detach"]) == ("l4x1", True)
    assert read["secrets"] == ["HF_TOKEN"]
    assert read["timeout"] == f"{timeout_minutes(made.units)}m"
    shell, option, script = read["command"]
    assert (shell, option) == ("bash", "-c")
    assert script.startswith("pip install --quiet --root-user-action ignore $PACKAGES && ")
    assert list(read["env"]) == ["OWNER=$OWNER", "PACKAGES=$PACKAGES"]
    assert "zoo verify digits-resnet8 --train --first-seed 5 --seeds 3 --device cuda --records /tmp/runs" in script
    assert script.endswith('hf buckets sync /tmp/runs "hf://buckets/$OWNER/zoo-runs" && exit $code')


def test_the_time_limit_is_three_times_the_expected_time_with_the_installation() -> None:
    (unit,) = plan("digits-resnet8").units
    assert timeout_minutes([replace(unit, seconds=1500.0)]) == 120
    assert timeout_minutes([replace(unit, seconds=None)]) == 225


@pytest.mark.parametrize(
    ("device", "gigabytes", "of_gpu", "name"),
    [
        ("cpu", None, None, "cpu-basic"), ("cpu", 20.0, None, "cpu-upgrade"), ("cpu", 2.0, 60.0, "cpu-basic"),
        (None, None, None, "l4x1"), ("cuda", 40.0, 4.0, "l40sx1"), ("cuda", 4.0, 60.0, "a100-large"),
    ],
)  # fmt: skip
def test_the_smallest_machine_that_fits_is_chosen(
    device: str | None, gigabytes: float | None, of_gpu: float | None, name: str
) -> None:
    made = plan("digits-resnet8", device=device)
    assert flavor_of(made, [replace(made.units[0], gigabytes=gigabytes, gpu_gigabytes=of_gpu)]).name == name


def test_a_run_that_fits_no_machine_is_refused() -> None:
    made = plan("digits-resnet8")
    with pytest.raises(UsageError, match="takes 500 GB, which no machine of the Hub"):
        flavor_of(made, [replace(made.units[0], gigabytes=500.0)])


def test_students_come_after_their_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    made = plan("digits-resnet8", "digits-resnet8_from_digits-resnet14", device="cpu")
    units = tuple(replace(unit, wave=unit.index) for unit in made.units)
    lines = job_script(replace(made, units=units), [0, 1]).splitlines()
    words = [line.split()[0] for line in lines]
    assert words == [*["#"] * 6, "OWNER=$(hf", words[7], "hf", "hf", "#", "hf", "#", "echo", "echo", "printf"]
    (packages,) = shlex.split(lines[7])
    assert packages.startswith("PACKAGES=")
    assert " torch==" in packages
    assert lines[0] == "# 2 runs to make, in 2 jobs:"
    assert [line.split()[1:] for line in lines[3:5]] == [
        ["digits-resnet8", "-", "1", "46", "cpu-basic"],
        ["digits-resnet8_from_digits-resnet14", "-", "1", "46", "cpu-basic"],
    ]


def test_runs_that_exist_are_copied_into_the_bucket_first(recipe_file: Write, tmp_path: Path) -> None:
    """Those of entries with missing runs and of their teachers that count for the plan."""
    teacher = recipe_file(TINY, ("name: tiny", "name: teacher"), name="teacher.yaml")
    student = recipe_file(TINY, ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 1}\n    epochs: 1"))
    entries = [catalogue.local(teacher), catalogue.local(student), catalogue.select_one("digits-resnet8")]
    options = RunOptions(train=True, seeds=2, device="cpu", records=tmp_path / "my runs")
    made = plan_units(entries, options, SourceOptions())
    for unit in made.units:
        if (unit.entry.name, unit.seed) != ("tiny", 1):
            write_record(made, unit)
    other_recipe = replace(made.units[0], recipe="0" * 64, seed=7)
    write_record(made, other_recipe)
    missing = missing_units(made)
    assert [made.units[index].name for index in missing] == ["tiny, seed 1"]
    lines = job_script(made, missing).splitlines()
    copies = [parsed(line) for line in lines if line.startswith("hf buckets sync")]
    assert [(each["source"], each["dest"]) for each in copies] == [
        (str(tmp_path / "my runs" / name), f"hf://buckets/$OWNER/zoo-runs/{name}") for name in ("teacher", "tiny")
    ]
    runs = {name: {run.name for run in (made.records / name).iterdir()} for name in ("teacher", "tiny")}
    included = {
        each["source"].rpartition("/")[2]: {name.removesuffix("/*") for name in each["include"]} for each in copies
    }
    assert included["tiny"] == runs["tiny"]
    assert {name for name in runs["teacher"] if "-seed7-" not in name} == included["teacher"] < runs["teacher"]
    on_gpu = replace(made, options=replace(made.options, device="cuda"))
    assert "hf buckets sync" not in job_script(on_gpu, missing).partition("hf jobs run")[0]
    (job,) = (number for number, line in enumerate(lines) if line.startswith("hf jobs run"))
    assert lines.index("# Runs that exist here and count for this plan, so that no job makes them again.") < job
    assert "--train --first-seed 1 --seeds 1 --device cpu" in lines[job]


def test_records_come_back_into_a_new_folder_and_are_merged(tmp_path: Path) -> None:
    """`hf buckets sync` overwrites files, such as the looks and caches of this machine."""
    made = plan("digits-resnet8", device="cpu", records=tmp_path / "my 'runs'")
    lines = job_script(made, [0]).splitlines()
    printed = subprocess.run(
        ["sh", "-c", "OWNER=me\n" + "\n".join(lines[-4:])], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folder = f"zoo-runs-{made.id}"
    assert printed[1] == f"hf buckets sync hf://buckets/me/zoo-runs {folder}"
    assert shlex.split(printed[2]) == ["zoo", "collect", folder, "--to", str(tmp_path / "my 'runs'")]
    assert not any(line.startswith("hf buckets sync") for line in lines)


def test_files_of_the_user_are_mounted(recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file()
    (tmp_path / "data").mkdir()
    entry = catalogue.local(path)
    made = plan_units([entry], RunOptions(train=True, seeds=1), SourceOptions(data={"mine": tmp_path / "data"}))
    read = parsed(job_command(made, made.units))
    assert list(read["volume"]) == [f"{tmp_path}:/inputs/0:ro", f"{tmp_path}/data:/inputs/1:ro"]
    assert f"zoo verify /inputs/0/{path.name} --train" in read["command"][2]
    assert "--data mine=/inputs/1" in read["command"][2]


def test_own_packages_are_refused() -> None:
    with pytest.raises(UsageError, match="a job does not have the package of --trust"):
        job_script(plan("digits-resnet8", sources=SourceOptions(trust=["mine"])), [0])


def test_trackers_are_refused() -> None:
    with pytest.raises(UsageError, match="a job does not have the account of --log-to"):
        job_script(plan("digits-resnet8", train=True, seeds=1, log_to=["wandb"]), [0])


def test_a_dry_run_prints_the_script_and_nothing_else_starts_jobs(zoo: Zoo) -> None:
    printed = zoo("verify", "digits-resnet8", "--on", "hf-jobs", "--dry-run", "--json")
    assert printed.code == 0, printed.err
    script = json.loads(printed.out)["script"]
    assert "hf jobs run --detach --name zoo-digits-resnet8 " in script
    assert "the same command with --device cuda, on a machine with a GPU, and without --on then judges them" in script
    refused = zoo("verify", "digits-resnet8", "--on", "hf-jobs")
    assert refused.code == 2
    assert "add --dry-run" in refused.err
