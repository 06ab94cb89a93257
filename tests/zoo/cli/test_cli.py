"""The command line as a user meets it: exit codes, one clear line for every fault, JSON everywhere."""

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

import numpy as np
import pytest

import harness.training.train
from harness.training.gradients import accumulate_gradients
from harness.training.interrupt import Interrupt
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.cli import render
from zoo.tasks import digits

BAD = {
    "unknown key": TINY.replace("clip_norm", "clip_nrom"),
    "misspelt loss": TINY.replace("CrossEntropy", "CrosEntropy"),
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
@pytest.mark.parametrize("name", BAD)
def test_a_bad_recipe_is_one_clear_line_and_exit_2(name: str, command: str, zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(BAD[name])
    ended = zoo(command, path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert re.match(rf"{re.escape(str(path))}:\d+:\d+: \S", ended.lines[0])


def test_two_faults_in_one_file_are_both_reported(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace("clip_norm", "clip_nrom").replace("epochs: 1", "epochs: many"))
    ended = zoo("train", path)
    assert ended.code == 2
    assert ended.lines == [
        f"{path}:5:13: epochs must be a whole number, not 'many'",
        f"{path}:9:5: unknown key 'clip_nrom'; did you mean clip_norm?",
    ]


def test_a_bad_recipe_shows_no_traceback_in_a_process_of_its_own(zoo_process: Zoo, recipe_file: Write) -> None:
    ended = zoo_process("train", recipe_file(TINY.replace("CrossEntropy", "CrosEntropy")))
    assert (ended.code, len(ended.lines), ended.out) == (2, 1, "")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["verify", "digits-resnet9"], "no entry 'digits-resnet9'; did you mean"),
        (["verify", "--suite", "startr"], "no suite 'startr'; did you mean starter?"),
        (["verify"], "name entries, suites, globs or recipe files, or say --suite NAME or --all"),
        (["train", "digits*"], "'digits*' selects 3 entries; name one"),
        (["evaluate", "x.csv", "--as", "digits"], "no entry 'digits'"),
    ],
)
def test_wrong_usage_is_exit_2_and_names_the_nearest(command: list[str], said: str, zoo: Zoo) -> None:
    ended = zoo(*command)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.lines) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["evaluate", "nowhere.csv", "--as", "digits-resnet8"], "nowhere.csv: no such file"),
        (["verify", "digits-resnet8", "--device", "abacus"], "no device 'abacus' here; there is cpu"),
    ],
)
def test_what_cannot_be_had_is_exit_4(command: list[str], said: str, zoo: Zoo) -> None:
    ended = zoo(*command)
    assert ended.code == 4
    assert said in ended.err


def test_the_gravest_code_wins(zoo: Zoo, damaged: Path) -> None:
    configs, starter = damaged / "configs" / "starter", damaged / "zoo" / "starter"
    path = configs / "digits-resnet8.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("value: 0.97", "value: 0.90"), encoding="utf-8")
    assert zoo("verify", "digits-resnet8").code == 1
    bad = configs / "digits-resnet14.yaml"
    bad.write_text(bad.read_text(encoding="utf-8").replace("cifar_resnet", "cifar_resnt"), encoding="utf-8")
    assert zoo("verify", "digits-resnet8", "digits-resnet14").code == 2
    (starter / "digits-resnet8_from_digits-resnet14.safetensors").write_bytes(b"")
    assert zoo("verify", "digits*").code == 5


def test_json_has_a_schema_everywhere(zoo: Zoo, recipe_file: Write) -> None:
    for command in (
        ["list"], ["show", "digits-resnet8"], ["check", "digits-resnet8"], ["reproduce", "digits-resnet8"],
        ["verify", "digits-resnet8"], ["train", recipe_file()], ["leaderboard", "--check"],
        ["evaluate", ROOT / "zoo/starter/digits-resnet8.safetensors", "--as", "digits-resnet8"],
    ):  # fmt: skip
        ended = zoo(*command, "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["schema"] == 1


def test_list_and_show_tell_of_every_entry(zoo: Zoo) -> None:
    assert len(json.loads(zoo("list", "--json").out)["entries"]) >= 6
    shown = json.loads(zoo("show", "digits-resnet8", "--json").out)
    assert shown["recipe"]["model"]["use"] == "cifar_resnet"
    assert shown["recipe"]["model"]["depth"] == 8
    assert re.fullmatch("[0-9a-f]{64}", shown["digest"])


def test_retraining_is_judged_over_its_seeds(zoo: Zoo, recipe_file: Write) -> None:
    claim = "{of: retrain, split: test, metric: accuracy, value: %s, sigma: 0.02, reference_runs: 10, source: here}"
    measured = json.loads(zoo("train", recipe_file(), "--json").out)["results"][0]["metrics"]["accuracy"]
    path = recipe_file(TINY + f"claims:\n  - {claim % measured}\n  - {claim % 0.999}\n")
    ended = zoo("reproduce", path, "--train", "--seeds", "3", "--json")
    (entry,) = json.loads(ended.out)["entries"]
    assert len(entry["records"]) == 3
    assert entry["claims"][1]["verdict"] == "not-reproduced"
    assert ended.code == 1
    path = recipe_file(TINY + f"claims:\n  - {claim % (measured + 0.02)}\n")
    assert zoo("reproduce", path, "--train", "--seeds", "1").code == 3  # inconclusive: too few


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".npz"])
def test_predictions_of_ones_own_are_scored_on_an_entrys_task(ending: str, zoo: Zoo) -> None:
    labels = digits().load("test").labels.numpy()
    predictions = labels.copy()
    predictions[:9] = (predictions[:9] + 1) % 10
    path = Path(f"mine{ending}")
    if ending == ".npz":
        np.savez(path, predictions=predictions)
    else:
        rows = [{"id": i, "prediction": int(p)} for i, p in enumerate(predictions)][::-1]
        lines = [json.dumps(row) for row in rows]
        if ending != ".jsonl":
            separator = "\t" if ending == ".tsv" else ","
            lines = [separator.join(("id", "prediction")), *(separator.join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    ended = zoo("evaluate", path, "--as", "digits-resnet8", "--json")
    assert ended.code == 0, ended.err
    (result,) = json.loads(ended.out)["results"]
    assert result["measured"] == pytest.approx(1 - 9 / 898)
    assert result["n"] == 898


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prediction\n1\n2\n", "2 predictions for 898 examples"),
        ("guess\n1\n", "no column 'prediction'"),
        ("id,prediction\n" + "".join(f"{i},1\n" for i in range(1, 899)), "0 is missing"),
        ("prediction\n" + "1.5\n" * 898, "must be whole numbers"),
        ("prediction\n" + "nine\n" * 898, "'nine' is no label of this task"),
        ("prediction\n" + "\n" * 898, "predictions"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(content: str, said: str, zoo: Zoo) -> None:
    Path("mine.csv").write_text(content)
    ended = zoo("evaluate", "mine.csv", "--as", "digits-resnet8")
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_weights_of_ones_own_are_scored_and_wrong_ones_refused(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    for path in ("run", "run/model.safetensors"):
        assert zoo("evaluate", path, "--as", recipe_file()).code == 0
    ended = zoo("evaluate", "run", "--as", "digits-resnet8")
    assert ended.code == 2
    assert "the weights do not fit the model" in ended.err
    Path("junk.safetensors").write_bytes(b"junk")
    assert zoo("evaluate", "junk.safetensors", "--as", "digits-resnet8").code == 2


def test_an_interrupt_is_exit_130_and_leaves_no_run(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.runs.experiment.train", interrupted)
    ended = zoo("train", recipe_file(), "--out", "out")
    assert ended.code == 130
    assert not [path for path in Path.cwd().iterdir() if "out" in path.name]


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C as in a terminal: where tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_an_interrupted_training_saves_a_state_after_its_step(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal in the third step: the run goes on from there and ends with the same weights."""
    steps = iter(range(100))

    def signalled(*args: Any) -> Any:
        if next(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return accumulate_gradients(*args)

    monkeypatch.setattr("harness.training.train.accumulate_gradients", signalled)
    ended = zoo("train", recipe_file(), "--out", "out")
    assert ended.code == 130
    assert "stopping after this step, with a state saved" in ended.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = zoo("train", recipe_file(), "--out", "out")
    assert again.code == 0
    assert "going on after step 3 of 15" in again.err
    assert zoo("train", recipe_file(), "--out", "whole").code == 0
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("where", ["accumulate_gradients", "_leave"])
def test_an_interrupt_in_the_last_step_or_after_it_is_heeded(
    where: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained is kept: the same command only scores it."""
    calls, last = iter(range(100)), 14 if where == "accumulate_gradients" else 0
    real = getattr(harness.training.train, where)

    def signalled(*args: Any) -> Any:
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(harness.training.train, where, signalled)
    ended = zoo("train", recipe_file(), "--out", "out")
    assert ended.code == 130
    assert not Path("out").exists()
    monkeypatch.setattr(harness.training.train, "accumulate_gradients", None)
    again = zoo("train", recipe_file(), "--out", "out")
    assert (again.code, "going on after step 15 of 15" in again.err) == (0, True)


def test_a_command_in_the_background_does_not_heed_an_interrupt(zoo: Zoo, recipe_file: Write) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt(print) as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_no_score_is_defined_for_is_not_the_best(zoo: Zoo, recipe_file: Write) -> None:
    Path("odd_metrics.py").write_text("def odd(predictions, labels):\n    return float('nan')\n")
    best = "    selection: best\n    criterion"
    text = recipe_file().read_text().replace("epochs: 1", "epochs: 2").replace("    criterion", best)
    path = recipe_file(text.replace("stages:", "metrics: [{use: odd_metrics.odd}]\nstages:"))
    ended = zoo("train", path, "--trust", "odd_metrics", "--out", "out")
    assert ended.code == 0, ended.err
    assert "odd on test is not defined in epoch 1: any other is better" in ended.err


def test_a_stale_leaderboard_is_exit_1(tmp_path: Path, zoo_process: Zoo) -> None:
    root = tmp_path / "checkout"
    for room in ("zoo", "harness", "leaderboard", "configs"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.rmtree(next((root / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed0-*")))
    ended = zoo_process("leaderboard", "--check", root=root)
    assert ended.code == 1
    assert "is stale" in ended.err


def test_a_run_of_a_changed_checkout_is_no_evidence(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.environment._commit", lambda root: ("0" * 40, True))
    assert zoo("train", recipe_file(TINY, ("name: tiny", "name: digits-resnet8")), "--out", "run").code == 0
    ended = zoo("leaderboard", "--add", "run")
    assert ended.code == 2
    assert "uncommitted changes" in ended.err


def test_the_installed_program_works_where_no_checkout_is(tmp_path: Path) -> None:
    """The wheel, unpacked: recipes, lock and weights are in it, and runs go to the user's data folder."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from zoo.cli.app import main; main()"
    command = [sys.executable, "-c", code, "verify", "digits-resnet8", "--json"]
    env = {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    (record,) = json.loads(done.stdout)["entries"][0]["records"]
    assert Path(record).is_relative_to(tmp_path / "data" / "zoo" / "runs")


def test_an_entry_without_published_weights_is_not_run_and_hides_nothing(zoo: Zoo) -> None:
    ended = zoo("verify", "minilm-l6-mrpc", "--json")
    (entry,) = json.loads(ended.out)["entries"]
    assert (ended.code, entry["verdict"], entry["error"]) == (3, "not-run", None)
    assert {claim["why"] for claim in entry["claims"]} == {"there are no published weights; --train trains it"}
    assert "minilm-l6-mrpc" in zoo("verify", "minilm-l6-mrpc").out


def test_a_run_of_ones_own_recipe_is_on_no_leaderboard(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "out").code == 0
    ended = zoo("leaderboard", "--add", "out")
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "the entry 'tiny' is not shipped with zoo" in ended.err


def test_a_list_fits_its_terminal() -> None:
    rows = [["a-long-name-of-an-entry", "suite", "some words " * 20]]
    lines = render.fitted(rows, ["entry", "suite", "claims"], 60).splitlines()
    assert (max(map(len, lines)) <= 60, len(lines) > 6) == (True, True)
    assert "a-long-name-of-an-entry" in lines[2]
    assert len(render.fitted(rows, ["entry", "suite", "claims"], None).splitlines()) == 3


def test_a_lock_that_is_not_there_is_told(zoo: Zoo) -> None:
    ended = zoo("check", "digits-resnet8", "--lock", "configs/zoo.lokc")
    assert (ended.code, len(ended.lines)) == (0, 1)
    assert "configs/zoo.lokc: no such lock yet: what is first seen is trusted" in ended.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"sources": {"hub:a/b": {"files": {"x": {"size": "x"}}}}}', "x: size cannot be 'x'"),
        ('{"sources": {"hub:a/b": {"files": {"x": {"sha256": 7}}}}}', "x: sha256 cannot be 7"),
        ('{"schema": 9, "sources": {}}', "its schema is 9, known is 1"),
        ('{"endpoints": []}', "this is no lock"),
        ("[", "the lock cannot be read"),
    ],
)
def test_a_damaged_lock_is_told(content: str, message: str, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "own.lock").write_text(content)
    ended = zoo("check", "digits-resnet8", "--lock", "own.lock")
    assert (ended.code, len(ended.lines)) == (5, 1)
    assert message in ended.err


def test_a_lock_is_checked_as_a_whole(zoo: Zoo) -> None:
    assert zoo("lock", "--check").out.rstrip().endswith("zoo.lock: ok")
    for words in (["digits-resnet8"], ["--suite", "starter"], ["--update"]):
        assert zoo("lock", "--check", *words).code == 2
    assert len(zoo("lock").out.splitlines()) > 40


def test_a_run_of_texts_evaluated_as_images_is_told(zoo: Zoo) -> None:
    Path("train.csv").write_text("title,body,stars\nold,dog,bad\nnew,dog,good\n")
    Path("validation.jsonl").write_text('{"title": "a", "body": "b", "stars": "bad"}\n')
    ended = zoo("train", ROOT / "tests" / "recipes" / "reviews.yaml", "--out", "run")
    assert ended.code == 0, ended.err
    ended = zoo("evaluate", "run", "--as", "digits-resnet8")
    assert (ended.code, len(ended.lines)) == (2, 1)


def test_a_file_that_is_no_recipe_is_not_told_as_a_whole(zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo("check", recipe_file("text " * 9_000))
    assert ended.code == 2
    assert len(ended.err) < 400
