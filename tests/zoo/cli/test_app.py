"""Every command: exit codes, one line for each mistake, JSON, bugs, signals, and options of earlier versions."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

import harness.training.train
from harness.training.gradients import accumulate_gradients
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.api.session import Session
from zoo.cli.command import REPLACED_OPTIONS
from zoo.errors import Terminated

BAD_RECIPES = {
    "unknown key": TINY.replace("clip_norm", "clip_nrom"),
    "misspelled loss": TINY.replace("CrossEntropy", "CrosEntropy"),
    "wrong type": TINY.replace("epochs: 1", "epochs: many"),
    "missing key": TINY.replace("    batch_size: 64\n", ""),
    "repeated key": TINY.replace("clip_norm: 1.0", "epochs: 2"),
    "import outside the allow-list": TINY.replace("use: SGD", "use: os.system"),
    "an argument the callable does not take": TINY.replace("momentum", "momentun"),
    "not UTF-8": b"name: \xff\n",
    "empty": "",
    "a list at top level": "- a\n- b\n",
    "1 MB of nesting": "[" * 1_000_000,
    "nesting below the size limit": "[" * 100_000,
}


@pytest.mark.parametrize("command", ["check", "train", "reproduce", "verify"])
@pytest.mark.parametrize("name", BAD_RECIPES)
def test_a_bad_recipe_is_one_line_with_its_position_and_exit_2(
    name: str, command: str, zoo: Zoo, recipe_file: Write
) -> None:
    path = recipe_file(BAD_RECIPES[name])
    completed = zoo(command, path)
    assert completed.code == 2
    assert len(completed.lines) == 1
    assert re.match(rf"{re.escape(str(path))}:\d+:\d+: \S", completed.lines[0])


def test_two_mistakes_in_one_recipe_are_both_reported(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace("clip_norm", "clip_nrom").replace("epochs: 1", "epochs: many"))
    completed = zoo("train", path)
    assert completed.code == 2
    assert len(completed.lines) == 2
    assert re.match(rf"{re.escape(str(path))}:5:13: stages\[0\].epochs must be .* 'many'", completed.lines[0])
    assert re.match(rf"{re.escape(str(path))}:9:5: .*'clip_nrom'.*; did you mean clip_norm\?", completed.lines[1])


@pytest.mark.slow
def test_a_new_process_prints_no_traceback_for_a_bad_recipe(zoo_process: Zoo, recipe_file: Write) -> None:
    completed = zoo_process("train", recipe_file(TINY.replace("CrossEntropy", "CrosEntropy")))
    assert (completed.code, len(completed.lines), completed.out) == (2, 1, "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["verify", "digits-resnet9"], "no entry 'digits-resnet9'; did you mean"),
        (["verify", "zebra"], "no entry 'zebra'; `zoo list` shows all entries"),
        (["verify", "--suite", "startr"], "no suite 'startr'; did you mean starter?"),
        (["verify"], "nothing to do: name entries, suites, globs or recipe files, or pass --suite NAME or --all"),
        (["train", "digits*"], "'digits*' selects 3 entries; name one"),
        (["evaluate", "x.csv", "--as", "digits"], "no entry 'digits'"),
        (["verify", "digits-resnet8", "--data", "cifar10"], "--data cifar10: write NAME=DIR"),
        (["verify", "digits-resnet8", "--data", "cifar10=nowhere"], "--data cifar10=nowhere: no such file or folder"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line_that_says_what_to_do(command: list[str], message: str, zoo: Zoo) -> None:
    completed = zoo(*command)
    assert completed.code == 2
    assert message in completed.err
    assert len(completed.lines) == 1


@pytest.mark.parametrize(("command", "name"), REPLACED_OPTIONS)
def test_an_option_of_an_earlier_version_names_its_replacement(command: str, name: str, zoo: Zoo) -> None:
    completed = zoo(command, "--suite", "starter", name)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert f"zoo {command} no longer has the option {name}: use " in completed.err
    assert "`zoo fingerprint" in completed.err


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "nowhere.csv", "--as", "digits-resnet8"], "nowhere.csv"),
        (["verify", "digits-resnet8", "--device", "abacus"], "abacus"),
    ],
)
def test_a_missing_file_or_device_is_exit_4(command: list[str], name: str, zoo: Zoo) -> None:
    completed = zoo(*command)
    assert (completed.code, len(completed.lines)) == (4, 1)
    assert name in completed.err


def test_the_most_severe_exit_code_is_returned(zoo: Zoo, damaged: Path) -> None:
    configs, starter = damaged / "configs" / "starter", damaged / "zoo" / "starter"
    path = configs / "digits-resnet8.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("value: 0.9788419", "value: 0.8997773"), encoding="utf-8")
    assert zoo("verify", "digits-resnet8").code == 1
    bad = configs / "digits-resnet14.yaml"
    bad.write_text(bad.read_text(encoding="utf-8").replace("cifar_resnet", "cifar_resnt"), encoding="utf-8")
    assert zoo("verify", "digits-resnet8", "digits-resnet14").code == 2
    (starter / "digits-resnet8_from_digits-resnet14.safetensors").write_bytes(b"")
    assert zoo("verify", "digits*").code == 5


def test_every_command_prints_json_with_a_schema(zoo: Zoo, recipe_file: Write) -> None:
    for command in (
        ["list"], ["show", "digits-resnet8"], ["check", "digits-resnet8"], ["reproduce", "digits-resnet8"],
        ["verify", "digits-resnet8"], ["fingerprint", "digits-resnet8"], ["train", recipe_file()], ["lock"],
        ["lock", "--check"], ["doctor", "digits-resnet8"], ["fetch", "digits-resnet8"], ["leaderboard", "--check"],
        ["explain", "digits-resnet8"], ["diff", "digits-resnet8:1000", "digits-resnet8:1001", "--limit", "0"],
        ["evaluate", ROOT / "zoo/starter/digits-resnet8.safetensors", "--as", "digits-resnet8"],
    ):  # fmt: skip
        completed = zoo(*command, "--json")
        assert completed.code == 0, completed.err
        assert json.loads(completed.out)["schema"] == 2


def test_a_bug_is_exit_70_and_one_line_that_names_the_saved_traceback(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("zoo.cli.entries.render", None)
    completed = zoo("list")
    assert (completed.code, len(completed.lines), completed.out) == (70, 1, "")
    (file,) = (tmp_path / "home").glob("zoo-error-*.txt")
    assert "zoo: internal error: AttributeError: 'NoneType' object has no attribute 'claim_data'" in completed.err
    assert (
        f"the traceback is in {file}; please report it to The zoo authors with that file and the output of `zoo env`"
        in completed.err
    )
    text = file.read_text(encoding="utf-8")
    assert text.startswith("command: zoo list\n")
    assert "Traceback (most recent call last):" in text
    assert "zoo/cli/entries.py" in text


def test_a_bug_in_one_entry_outranks_every_other_result(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, damaged: Path
) -> None:
    (damaged / "zoo" / "starter" / "digits-resnet14.safetensors").write_bytes(b"")
    assert zoo("verify", "digits-resnet14", "digits-resnet8").code == 5
    monkeypatch.setattr("harness.runs.recorder.environment", None)
    completed = zoo("verify", "digits-resnet14", "digits-resnet8", "--fresh", "--json")
    assert completed.code == 70
    errors = {entry["entry"]: entry["error"] for entry in json.loads(completed.out)["entries"]}
    assert "digits-resnet8: internal error: TypeError" in errors["digits-resnet8"]
    assert "sha256" in errors["digits-resnet14"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("raises", "raise ValueError('three labels at most')", "three labels at most"),
        ("misspells", "return labels.nowhere", "'numpy.ndarray' object has no attribute 'nowhere'"),
        ("misuses_numpy", "return labels @ [1]", "matmul"),
    ],
)
def test_a_mistake_in_a_users_metric_is_exit_2_with_its_own_message(
    name: str, code: str, message: str, zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    (tmp_path / f"metric_that_{name}.py").write_text(f"def own(predictions, labels):\n    {code}\n")
    path = recipe_file(TINY, ("stages:", f"metrics: [{{use: metric_that_{name}.own}}]\nstages:"))
    completed = zoo("train", path, "--trust", f"metric_that_{name}", "--out", "out")
    assert completed.code == 2
    assert message in completed.err
    assert len(completed.lines) == 1


def test_zoo_debug_shows_the_traceback(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    monkeypatch.setattr("zoo.cli.entries.render", None)
    with pytest.raises(AttributeError):
        zoo("list")


INTERRUPTED = "interrupted: the same command goes on, and repeats no finished run\n"


@pytest.mark.parametrize(
    ("signaled", "code", "message"), [(KeyboardInterrupt, 130, INTERRUPTED), (Terminated, 143, "")]
)
def test_ctrl_c_is_exit_130_and_sigterm_143(
    signaled: type[BaseException],
    code: int,
    message: str,
    zoo: Zoo,
    recipe_file: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise signaled

    monkeypatch.setattr(Session, "experiment", interrupted)
    completed = zoo("train", recipe_file(), "--out", "out")
    assert (completed.code, completed.err) == (code, message)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the same command goes on, and repeats no finished run"),
        (["--fresh"], "because of --fresh the same command makes all runs again; without it, runs that exist are not"),
        (["--fresh", "--jobs", "2"], "the same command goes on, and repeats no finished run"),
    ],
)
def test_ctrl_c_says_what_the_same_command_does(
    options: list[str], message: str, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.verify.verify_entries", interrupted)
    completed = zoo("verify", "digits-resnet8", *options)
    assert completed.code == 130
    assert completed.err.startswith(f"interrupted: {message}")


def test_ctrl_c_of_the_commands_for_plans_says_what_they_do_when_repeated(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    plan = Path(json.loads(zoo("plan", "digits-resnet8", "--records", "runs", "--json").out)["file"])
    monkeypatch.setattr("zoo.cli.fleet.planned_runs", interrupted)
    monkeypatch.setattr("zoo.cli.run_unit.unit_maker", interrupted)
    for command, message in (
        (("plan", "digits-resnet8"), "no run was started; the same command writes the plan"),
        (("run-unit", plan, "--index", "0"), "the same command goes on, from the last checkpoint of a training"),
    ):
        completed = zoo(*command)
        assert completed.code == 130
        assert completed.err.startswith(f"interrupted: {message}")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, as in a terminal; tests that run in the background ignore it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("step", [3, 15])
def test_a_training_that_ctrl_c_ended_resumes_to_the_same_weights(
    step: int, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal arrives in the third or in the last of 15 steps."""
    steps = iter(range(1, 100))

    def signaled(*args: Any) -> Any:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return accumulate_gradients(*args)

    monkeypatch.setattr(harness.training.train, "accumulate_gradients", signaled)
    completed = zoo("train", recipe_file(), "--out", "out")
    assert completed.code == 130
    assert "stopping after this step" in completed.err
    assert not Path("out").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    taken = next(steps)
    assert zoo("train", recipe_file(), "--out", "out").code == 0
    assert next(steps) - taken - 1 == 15 - step
    assert zoo("train", recipe_file(), "--out", "whole").code == 0
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


@pytest.mark.process
def test_the_installed_wheel_runs_without_a_checkout(tmp_path: Path) -> None:
    """Recipes, lock, weights and the rules of verdicts are in the wheel, and runs go to the user's data folder."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from zoo.cli import main; main()"
    command = [sys.executable, "-c", code, "verify", "digits-resnet8", "--json"]
    env = {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    (record,) = json.loads(done.stdout)["entries"][0]["records"]
    assert Path(record).is_relative_to(tmp_path / "data" / "zoo" / "runs")
    shipped = {path.name for path in (tmp_path / "site" / "zoo" / "docs").iterdir()}
    assert shipped == {"audit.md", "verdicts.md", "verdicts.svg"}
    for arguments in (["leaderboard"], ["leaderboard", "--check"], ["leaderboard", "--add", "digits-resnet8"]):
        refused = subprocess.run(
            [*command[:3], *arguments], cwd=tmp_path, env=env, check=False, capture_output=True, text=True
        )
        assert refused.returncode == 4
        assert "no committed records; only a checkout of its repository has them" in refused.stderr
    advised = [*command[:3], "leaderboard", "starter"]
    shown = subprocess.run(advised, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert "published weights: accuracy on test" in shown.stdout
