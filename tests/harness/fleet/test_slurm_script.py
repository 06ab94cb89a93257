"""The batch script and the calls of sbatch: which options a plan and the configuration lead to."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet.plan_file import Plan
from harness.fleet.slurm_config import SlurmConfig, parse_minutes, read_slurm_config
from harness.fleet.slurm_script import array_text, batch_script, job_name, preview, submissions
from harness.fleet.units import plan_units
from tests.helpers.fleet_worker import plan_of
from tests.helpers.project import Zoo
from zoo.cli.plan import slurm_text
from zoo.errors import SourceError, UsageError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions


def make_plan(records: Path, count: int = 3, **options: object) -> Plan:
    chosen = RunOptions(train=True, records=records, on="slurm", **options)  # type: ignore[arg-type]
    return plan_of(plan_units([catalogue.select_one("digits-resnet8")], chosen, SourceOptions()), count)


def options_of(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


@pytest.mark.parametrize(
    ("numbers", "throttle", "text"),
    [
        ([0], None, "0"), ([0, 1, 2], None, "0-2"), ([3, 0, 9, 8, 7, 12], 4, "0,3,7-9,12%4"),
    ],
)  # fmt: skip
def test_numbers_of_an_array_are_written_as_ranges(numbers: list[int], throttle: int | None, text: str) -> None:
    assert array_text(numbers, throttle) == text


def test_the_configuration_becomes_options_and_lines_of_the_script(tmp_path: Path) -> None:
    config = SlurmConfig(
        partition="gpu", account="lab", qos="long", memory="32G", gpus="a100:1", cpus=6, grace=90,
        options=("--constraint=a100",), setup=("module load cuda", "source venv/bin/activate"),
        environment={"HF_HOME": "/scratch/it's here"}, command=("apptainer", "exec", "my image.sif", "zoo"),
    )  # fmt: skip
    script = batch_script(make_plan(tmp_path), config)
    assert options_of(script)[1:] == [
        "--requeue", "--signal=B:TERM@90", "--open-mode=append", "--output=slurm/%A_%a.log", "--cpus-per-task=6",
        "--gpus=a100:1", "--partition=gpu", "--account=lab", "--qos=long", "--constraint=a100",
    ]  # fmt: skip
    assert "\nmodule load cuda\nsource venv/bin/activate\n" in script
    assert "\nexport HF_HUB_OFFLINE=1\n" in script
    assert "\nexport HF_HOME='/scratch/it'\"'\"'s here'\n" in script
    assert "\napptainer exec 'my image.sif' zoo run-unit " in script


def test_the_script_is_valid_shell_for_any_folder(tmp_path: Path) -> None:
    script = batch_script(make_plan(tmp_path / "ä b'c\"d$e`f\\g(h"), SlurmConfig())
    assert subprocess.run(["bash", "-n"], input=script.encode(), check=False).returncode == 0


def test_tokens_are_not_written_into_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("ZOO_CACHE", "/shared/cache")
    script = batch_script(make_plan(tmp_path), SlurmConfig())
    assert "hf_secret" not in script
    assert "export ZOO_CACHE=/shared/cache" in script


@pytest.mark.parametrize(("device", "gpus"), [(None, []), ("cpu", []), ("cuda", ["--gpus=1"])])
def test_a_gpu_is_asked_for_only_if_the_device_is_cuda(tmp_path: Path, device: str | None, gpus: list[str]) -> None:
    script = batch_script(make_plan(tmp_path, device=device), SlurmConfig())
    assert [option for option in options_of(script) if "gpu" in option] == gpus


def test_one_of_several_gpus_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--device cuda:1: Slurm chooses the GPU of a job; pass --device cuda"):
        batch_script(make_plan(tmp_path, device="cuda:1"), SlurmConfig())


@pytest.mark.parametrize(
    ("seconds", "config", "time"),
    [
        ([1.0, 2.0], SlurmConfig(), "10"), ([60.0, 1200.0], SlurmConfig(), "60"), ([1.0, None], SlurmConfig(), "240"),
        ([1.0, None], SlurmConfig(max_time="1:30:00"), "90"), ([1.0, 1.0], SlurmConfig(time="2:00:00"), "2:00:00"),
    ],
)  # fmt: skip
def test_the_time_limit_follows_the_longest_run(
    tmp_path: Path, seconds: list[float | None], config: SlurmConfig, time: str
) -> None:
    made = make_plan(tmp_path, len(seconds))
    units = tuple(replace(unit, seconds=each) for unit, each in zip(made.units, seconds, strict=True))
    (array,) = submissions(replace(made, units=units), range(len(units)), config)
    assert array.options[:2] == (f"--array=0-{len(seconds) - 1}", f"--time={time}")


@pytest.mark.parametrize(
    ("sizes", "config", "options"),
    [
        ((None, None), SlurmConfig(), ["--mem=8G"]), ((6.5, 2.0), SlurmConfig(), ["--mem=11G"]),
        ((0.9, None), SlurmConfig(), ["--mem=8G"]), ((6.5, None), SlurmConfig(), ["--mem=11G"]),
        ((0.9, None), SlurmConfig(memory="32G"), ["--mem=32G"]),
        ((0.9, None), SlurmConfig(options=("--mem-per-cpu=4G",)), []),
    ],
)  # fmt: skip
def test_the_memory_of_an_array_is_that_of_earlier_runs_and_enough_for_unknown_ones(
    tmp_path: Path, sizes: tuple[float | None, ...], config: SlurmConfig, options: list[str]
) -> None:
    made = make_plan(tmp_path)
    units = [replace(unit, gigabytes=each) for unit, each in zip(made.units, sizes, strict=False)]
    other = replace(made.units[2], gigabytes=50.0, wave=1)  # of another array
    first, _ = submissions(replace(made, units=(*units, other)), range(3), config)
    assert [option for option in first.options if option.startswith("--mem")] == options


def test_arrays_have_no_number_above_the_limit_of_slurm(tmp_path: Path) -> None:
    made = make_plan(tmp_path, 2100)
    arrays = submissions(made, [0, 1, 1000, 1001, 1500, 2001, 2002, 2099], SlurmConfig(throttle=50))
    assert [(array.first, array.options[0]) for array in arrays] == [
        (0, "--array=0-1,1000%50"), (1001, "--array=0,499,1000%50"), (2002, "--array=0,97%50")
    ]  # fmt: skip


def test_arrays_with_a_limit_of_tasks_follow_each_other(tmp_path: Path) -> None:
    """Slurm's limit is one of each array, so two arrays at once would have twice as many tasks."""
    made = make_plan(tmp_path, 2100)
    for config, throttle, dependencies in (
        (SlurmConfig(throttle=50), "%50", ["$job0", "$job0:$job1"]),
        (SlurmConfig(), "", []),
    ):
        commands = preview(made, [0, 1001, 2002], [], config).commands[1:]
        assert all(f"--array=0{throttle} " in command for command in commands)
        assert [command.partition("afterany:")[2].partition(" ")[0] for command in commands] == [
            "",
            *(dependencies or ["", ""]),
        ]


def test_a_preview_writes_nothing_and_chains_the_waves(tmp_path: Path) -> None:
    made = make_plan(tmp_path / "runs")
    students = replace(made, units=(*made.units[:2], replace(made.units[2], wave=1)))
    shown = preview(students, range(3), range(3), SlurmConfig(time="30", memory="8G"))
    assert shown.commands == (
        f"cd {students.home}", "job0=$(sbatch --parsable --array=0-1 --time=30 --mem=8G slurm.sh 0)",
        "job1=$(sbatch --parsable --array=2 --time=30 --mem=8G --dependency=afterany:$job0 slurm.sh 0)",
    )  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_dry_run_prints_the_script_and_the_commands(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "zoo.toml").write_text('[slurm]\npartition = "gpu"\n')
    result = zoo("verify", "--suite", "starter", "--on", "slurm", "--dry-run")
    assert result.code == 0
    assert "#SBATCH --partition=gpu" in result.out
    table = [line for line in result.out.splitlines() if line.startswith("# digits-resnet8 ")]
    assert [line.split()[2:4] for line in table] == [["evaluate", "1"]]
    assert "# 6 tasks to submit\ncd " in result.out
    assert subprocess.run(["bash", "-n"], input=result.out.encode(), check=False).returncode == 0
    last = result.out.splitlines()[-1]
    assert re.fullmatch(r"job0=\$\(sbatch --parsable --array=0-5 --time=10 --mem=\d+G slurm\.sh 0\)", last)
    assert not (tmp_path / "home" / "runs").exists()


def test_a_preview_says_how_many_tasks_only_confirm_runs(tmp_path: Path) -> None:
    made = make_plan(tmp_path)
    for missing, text in (
        ([0, 1, 2], "# 3 tasks to submit\n"),
        ([0, 2], "# 3 tasks to submit; 1 of them only confirms a run that exists\n"),
        ([2], "# 3 tasks to submit; 2 of them only confirm runs that exist\n"),
    ):
        assert text in slurm_text([], {}, preview(made, range(3), missing, SlurmConfig()))
    assert "# nothing to submit\n" in slurm_text([], {}, preview(made, [], [], SlurmConfig()))


def test_the_configuration_needs_slurm(zoo: Zoo) -> None:
    result = zoo("verify", "--suite", "starter", "--slurm-config", "x.toml")
    assert (result.code, result.err) == (2, "--slurm-config needs --on slurm\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[slurm]\npartition = "gpu"\ncpu = 4\n', "c.toml:3: unknown key 'cpu' in [slurm]; did you mean cpus"),
        ("[slurm]\n\ncpus = '4'\n", "c.toml:3: cpus = '4': expected a number from 1 on, without quotes"),
        ("[slurm]\ngpus = 0\n", "c.toml:2: gpus = 0: expected a number from 1 on, or text such as"),
        ("[slurm]\npartition = 'a b'\n", "c.toml:2: partition = 'a b': expected text without spaces and quotes"),
        ("[slurm]\nmax_time = 'long'\n", "c.toml:2: max_time = 'long': expected a time such as"),
        ("[slurm]\nsetup = 'x'\n", "c.toml:2: setup = 'x': expected a list of lines of shell"),
        ("[slurm]\noptions = ['x']\n", "c.toml:2: options = ['x']: expected a list of options of sbatch"),
        ("[slurm]\ntime = '1:30'\n", "c.toml:2: grace is 120 s, which leaves no time of time = '1:30'"),
        ("[slurm]\ntime = '9'\ngrace = 540\n", "c.toml:3: grace is 540 s, which leaves no time of time = '9'"),
        ("[slurm.environment]\nA = 1\n", "c.toml:1: environment = {'A': 1}: expected a table of variables"),
        ("[slurm]\ncpus = true\n", "c.toml:2: cpus = True: expected a number"),
        ("[slurm]\n\nmemory = 'lots'\n", "c.toml:3: memory = 'lots': expected a size such as '16G': a number, then K"),
        ("[slurm]\nmemory = '16GB'\n", "c.toml:2: memory = '16GB': expected a size"),
        ("[slurm]\ntime = '90 m'\n", "c.toml:2: time = '90 m': expected a time such as '90' (minutes), '90m', '300s'"),
        ("[slurm]\ntime = '20s'\n", "c.toml:2: grace is 120 s, which leaves no time of time = '20s'"),
        ("[slurm]\ncpus =\n", "c.toml: not a TOML file: Invalid value (at line 2"),
        ("", "c.toml: no table [slurm]; docs/slurm.md has an example"),
        ("[slrm]\n", "c.toml: unknown table [slrm]; did you mean [slurm]?"),
    ],
)
def test_a_mistake_in_the_configuration_is_reported_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError) as raised:
        read_slurm_config(tmp_path / "c.toml")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("option", "word", "reason"),
    [
        ("--job-name=mine", "--job-name=mine", "zoo finds its jobs by their name"), ("-J mine", "-J", "by their name"),
        ("-Jmine", "-Jmine", "by their name"), ("--constraint=a100 --array=0-1", "--array=0-1", "chooses the tasks"),
        ("--arr 0-1", "--arr", "chooses the tasks"), ("-o /dev/null", "-o", "names this file in its messages"),
        ("--no-requeue", "--no-requeue", "zoo queues tasks again"), ("--signal=USR1", "--signal=USR1", "set grace"),
        ("--open-mode=truncate", "--open-mode=truncate", "names this file"), ("-d 7", "-d", "chains the waves"),
        ("--clusters=gpu", "--clusters=gpu", "its jobs in this cluster"), ("--mem=1G", "--mem=1G", "set memory"),
    ],
)  # fmt: skip
def test_options_that_zoo_depends_on_are_refused(tmp_path: Path, option: str, word: str, reason: str) -> None:
    (tmp_path / "c.toml").write_text(f'[slurm]\ncpus = 1\noptions = ["--exclusive", "{option}"]\n')
    with pytest.raises(UsageError) as raised:
        read_slurm_config(tmp_path / "c.toml")
    assert str(raised.value).startswith(f"{tmp_path / 'c.toml'}:3: options: {word} is not possible: ")
    assert reason in str(raised.value)


def test_other_options_are_accepted(tmp_path: Path) -> None:
    options = ["--constraint=a100", "--mem-per-cpu=4G", "-p gpu", "--wait-all-nodes=1", "--mail-type=END"]
    (tmp_path / "c.toml").write_text(f"[slurm]\noptions = {options}\n")
    assert read_slurm_config(tmp_path / "c.toml").options == tuple(options)


def test_the_configuration_is_read_from_zoo_toml_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_slurm_config(None) == SlurmConfig()
    (tmp_path / "zoo.toml").write_text("[other]\n")
    assert read_slurm_config(None) == SlurmConfig()
    (tmp_path / "zoo.toml").write_text("[slurm]\ngpus = 2\nthrottle = 8\n[slurm.environment]\nA = 'b'\n")
    assert read_slurm_config(None) == SlurmConfig(gpus="2", throttle=8, environment={"A": "b"})


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can change owners")
def test_a_zoo_toml_of_a_stranger_is_an_error_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zoo.toml").write_text("[slurm]\ngpus = 2\n")
    os.chown("zoo.toml", 12345, -1)
    with pytest.raises(UsageError, match=r"could run code; `--slurm-config zoo\.toml` reads it"):
        read_slurm_config(None)
    assert read_slurm_config(Path("zoo.toml")).gpus == "2"


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"--slurm-config .*: no such file"):
        read_slurm_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90), ("90:30", 91), ("2:00:00", 120), ("1-12", 2160), ("1-12:30", 2190), ("1-00:00:01", 1441),
        ("90m", 90), ("90min", 90), ("2h", 120), ("1d", 1440), ("61s", 2),
    ],
)  # fmt: skip
def test_time_limits_are_read_as_slurm_writes_them_or_with_a_unit(text: str, minutes: int) -> None:
    assert parse_minutes(text) == minutes


def test_sbatch_gets_times_and_sizes_that_it_reads(tmp_path: Path) -> None:
    made = make_plan(tmp_path)
    for settings, options in (
        ("time = '90m'\nmemory = '16G'", ("--time=90", "--mem=16G")),
        ("time = '1-12:00:00'\nmemory = 4000", ("--time=1-12:00:00", "--mem=4000")),
        ("time = 90\nmemory = '512m'", ("--time=90", "--mem=512m")),
    ):
        (tmp_path / "c.toml").write_text(f"[slurm]\n{settings}\n")
        (array,) = submissions(made, range(3), read_slurm_config(tmp_path / "c.toml"))
        assert array.options[1:] == options


def test_the_name_of_jobs_is_that_of_the_folder_of_records_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = make_plan(tmp_path / "a"), make_plan(tmp_path / "b")
    assert first.id == other.id
    assert job_name(first) != job_name(other)
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert job_name(make_plan(Path("../a"))) == job_name(replace(first, folder=tmp_path / "b"))
