"""A run that is killed at any moment and started again ends with the same bits; two commands make it only once.

Each command runs in a process of its own, forked from one that has imported everything. It kills itself with SIGKILL at
a moment that a seeded generator draws: at a certain call of a function, or after a share of the bytes of a file.
"""

import io
import os
import random
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

import harness.runs.recorder
import harness.training.train
from harness.records.find_runs import read_all
from harness.records.record import FILE, read_record, verify_files
from harness.runs.unfinished import training_key
from tests.helpers import forked
from tests.helpers.device import device
from tests.helpers.forked import zoo
from tests.helpers.training import log_lines
from zoo.fetch.checksum import sha256
from zoo.recipes.build import Builder

pytestmark = pytest.mark.process

MINE = """
from torch import nn

def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.ReLU(), nn.Linear(32, 10)
    )
"""
RECIPE = """\
# All that a checkpoint must hold: dropout, BatchNorm, kept adapters, schedules, momentum, a best epoch.
name: three_stages
task: digits
model: mine.dropping
stages:
  - epochs: 1
    batch_size: 64
    optimizer: {use: Adam, lr: 2e-3}
    trainable: ["1", "2"]
    teacher: {entry: digits-resnet14}
    criterion:
      hint: {loss: {use: Hint, student: "4", teacher: "fc:input"}}
    keep: [hint]
  - epochs: 3
    batch_size: 48
    optimizer: {use: SGD, lr: 0.05, momentum: 0.9}
    schedule: {use: cosine, warmup: 0.3}
    clip_norm: 0.5
    teachers:
      large: {entry: digits-resnet14}
      small: {model: mine.dropping, trainable: ["*"]}
    criterion:
      of_large: {loss: {use: KD, temperature: 4, alpha: 0.1}, teacher: large}
      of_small: {loss: KL, teacher: small}
      own: {loss: CrossEntropy, student: small}
      hint: {loss: {use: Hint, student: "4", teacher: "fc:input"}, teacher: large}
    keep: [small]
  - epochs: 3
    batch_size: 100
    optimizer: {use: SGD, lr: 6.0, momentum: 0.9}
    schedule: {use: multistep, milestones: [0.3], gamma: 3}
    teachers:
      small: {model: mine.dropping}
    criterion:
      ce: {loss: {use: CrossEntropy, label_smoothing: 0.1}}
      of_small: {loss: KL, teacher: small}
    selection: best
"""
Kill = tuple[str, int]
"""A place in the program, and the number of the call there, from 0."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killing(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """Return the function so that it kills the process at that call, counted from 0."""
    calls = iter(range(call, -1, -1))

    def counted(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 0:
            kill()
        return function(*args, **kwargs)

    return counted


def half_saved(call: int, share: float) -> Callable[..., None]:
    """Return `torch.save` so that at that call it writes a share of the bytes and kills the process."""
    calls, save = iter(range(call, -1, -1)), torch.save

    def counted(state: object, file: Any) -> None:
        if next(calls):
            save(state, file)
            return
        whole = io.BytesIO()
        save(state, whole)
        file.write(whole.getvalue()[: int(share * whole.tell())])
        file.flush()
        kill()

    return counted


def command(arguments: list[str], place: str, call: int, share: float) -> int:
    """Run `zoo` in a child process, killed at a call of a place."""
    places = {
        "start": (Builder, "build"),
        "step": (harness.training.train, "accumulate_gradients"), "saved": (harness.training.train, "save_checkpoint"),
        "stage": (harness.training.train, "leave_stage"), "entering": (harness.training.train, "enter_stage"),
        "evaluation": (harness.runs.recorder, "result_of"), "selection": (harness.training.train, "end_epoch"),
        "swap": (Path, "replace"), "record": (Path, "write_text"),
    }  # fmt: skip
    if place == "saving":
        torch.save = half_saved(call, share)
    elif place in places:
        owner, name = places[place]
        setattr(owner, name, killing(getattr(owner, name), call))
    return zoo(*arguments)


def start(home: Path, *arguments: str, at: Kill = ("nowhere", 0), share: float = 0.5) -> BaseProcess:
    (home.parent / "mine.py").write_text(MINE)
    (home.parent / "three.yaml").write_text(RECIPE)
    printed, environment = Path(f"{home}.printed"), {"ZOO_HOME": str(home)}
    return forked.start(home.parent, environment, (printed, printed), command, [*arguments], *at, share)


def run(home: Path, *arguments: str, at: Kill = ("nowhere", 0), share: float = 0.5) -> int:
    """Return the exit code of a command; -9 if it was killed."""
    process = start(home, *arguments, at=at, share=share)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


TRAIN = ("train", "three.yaml", "--trust", "mine", "--seed", "3", "--save-every", "0", "--device", device())


def outcome(folder: Path) -> dict[str, Any]:
    """Return the log of a run and the checksums of its files, which must not depend on how often it was killed."""
    names = ("model.safetensors", "predictions-test.npz", "predictions-test-best.npz", "recipe.yaml")
    return {"log": log_lines(folder), **{name: sha256(folder / name) for name in names}}


def the_run(home: Path) -> Path:
    ((path, _),) = read_all(home / "runs")
    return path.parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a run that was not interrupted."""
    home = tmp_path_factory.mktemp("whole") / "home"
    assert run(home, *TRAIN) == 0
    return home


@pytest.fixture(scope="module")
def uninterrupted(whole: Path) -> dict[str, str]:
    files = outcome(the_run(whole))
    assert files["predictions-test.npz"] != files["predictions-test-best.npz"]  # else the best epoch is not tested
    return files


def check_visible_files(home: Path) -> None:
    """Check that every visible run is complete and every checkpoint can be read."""
    for path, record in read_all(home / "runs"):
        verify_files(path, record)
    for checkpoint in sorted((home / "runs" / ".unfinished").glob("*/checkpoint-*.pt")):
        torch.load(checkpoint, weights_only=True)
    assert not [path for path in (home / "runs").rglob("*.partial") if not path.name.startswith(".")]


# 99 steps, 3 stages, 3 scored epochs, 99 checkpoints, 1 run with 2 results; each row of kills happens to one run
MOMENTS = {
    "everywhere": [("step", (1, 14)), ("saving", (0, 20)), ("stage", (0, 0)), ("selection", (0, 1)),
                   ("record", (0, 1))],
    "start": [("start", (0, 9)), ("start", (0, 9)), ("entering", (0, 0)), ("step", (0, 0))],
    "mid-epoch": [("step", (1, 14)), ("step", (1, 14)), ("step", (1, 14)), ("step", (1, 30))],
    "saving": [("saving", (0, 20)), ("saving", (0, 20)), ("swap", (0, 20)), ("saved", (0, 20)), ("saving", (0, 5))],
    "between stages": [("stage", (0, 0)), ("entering", (1, 1)), ("saved", (45, 60)), ("stage", (0, 0))],
    "evaluation": [("selection", (0, 1)), ("selection", (0, 1)), ("evaluation", (0, 1)), ("evaluation", (1, 1)),
                   ("record", (0, 1)), ("record", (1, 1))],
}  # fmt: skip


@pytest.mark.parametrize(
    "moments", [name if name == "everywhere" else pytest.param(name, marks=pytest.mark.slow) for name in MOMENTS]
)
def test_a_run_that_is_killed_and_started_again_ends_with_the_same_bits(
    moments: str, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    draw, home = random.Random(f"kill {moments}"), tmp_path / "home"  # noqa: S311
    for place, (first, last) in MOMENTS[moments]:
        assert run(home, *TRAIN, at=(place, draw.randint(first, last)), share=draw.random()) == -9, place
        check_visible_files(home)
    assert run(home, *TRAIN) == 0
    assert outcome(the_run(home)) == uninterrupted
    check_visible_files(home)
    assert list((home / "runs" / ".unfinished").iterdir()) == []


def test_a_finished_run_stays_if_only_its_checkpoints_were_not_deleted(whole: Path, tmp_path: Path) -> None:
    """The process was killed between the rename of the run's folder and the deletion of the checkpoints."""
    home = tmp_path / "home"
    shutil.copytree(whole, home)
    record = read_record(the_run(home) / FILE)
    key = training_key(record.identity, record.recipe)
    work = home / "runs" / ".unfinished" / f"three_stages-{key[:12]}"
    work.mkdir()
    (work / "checkpoint-0.pt").write_bytes(b"")
    before = (the_run(home) / FILE).read_bytes()
    assert run(home, *TRAIN) == 0
    assert (the_run(home) / FILE).read_bytes() == before
    assert not work.exists()


@pytest.mark.slow
def test_a_resumed_run_reports_its_step_and_records_the_time_of_all_processes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(home, *TRAIN, at=("step", 90)) == -9
    checkpoints = (home / "runs" / ".unfinished").glob("*/checkpoint-*.pt")
    before = max(torch.load(checkpoint, weights_only=True)["seconds"] for checkpoint in checkpoints)
    assert run(home, *TRAIN) == 0
    assert read_record(the_run(home) / FILE).cost["seconds"] > before > 0
    assert "three_stages: resuming after step 90 of 99: stage 3 of 3, epoch " in (tmp_path / "home.printed").read_text()


@pytest.mark.slow
def test_a_run_with_its_own_output_folder_resumes_too(uninterrupted: dict[str, str], tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    arguments = (*TRAIN, "--out", str(out))
    assert run(home, *arguments, at=("step", 33)) == -9
    assert not out.exists()
    assert run(home, *arguments) == 0
    assert outcome(out) == uninterrupted
    before = (out / FILE).read_bytes()
    assert run(home, *arguments) == 0
    assert (out / FILE).read_bytes() == before
    assert run(home, *TRAIN[:4], "--seed", "4", "--out", str(out)) == 2
    assert "holds another run" in (tmp_path / "home.printed").read_text()


@pytest.mark.slow
def test_two_commands_that_need_the_same_run_make_it_once(uninterrupted: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    both = [start(home, *TRAIN), start(home, *TRAIN)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    printed = (tmp_path / "home.printed").read_text()
    assert printed.count("three_stages: waiting for another run of it") == 1
    assert outcome(the_run(home)) == uninterrupted
