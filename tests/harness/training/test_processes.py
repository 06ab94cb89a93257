"""Two processes under `torchrun` (gloo, on the CPU) compute the same as one process, and write one record."""

import json
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.models.rounding import rounding_tolerance
from tests.helpers import forked
from tests.helpers.forked import zoo
from tests.helpers.project import ROOT
from tests.helpers.training import log_lines
from tests.helpers.user_module import USER_MODULE
from zoo.fetch.checksum import sha256

pytestmark = [
    pytest.mark.process,
    pytest.mark.cpu_only(reason="two processes need two CUDA devices: `test_two_devices.py`"),
]

RECIPE = """\
name: shared
task: mine.some
model: {use: mine.perceptron, width: 24}
stages:
  - epochs: 1
    batch_size: 50
    optimizer: {use: Adam, lr: 1e-2}
    teacher: {model: {use: mine.perceptron, width: 64}, trainable: ["*"]}
    criterion:
      hint: {loss: {use: Hint, student: "2", teacher: "2"}}
      peer: {loss: {use: CrossEntropy, ignore_index: 3}, student: teacher}
    keep: [hint]
  - epochs: 2
    batch_size: 50
    optimizer: {use: SGD, lr: 0.5, momentum: 0.9}
    clip_norm: 0.5
    teacher: {entry: digits-resnet14}
    criterion:
      kd: {loss: {use: KD, temperature: 2, alpha: 0.5}}
      hint: {loss: {use: Hint, student: "2", teacher: "fc:input"}}
"""


DRIVER = '''"""Run several commands in one process; write their output and exit codes to files."""
import contextlib
import json
import os
import sys
from pathlib import Path
from zoo.cli import main

rank = os.environ["RANK"]
for name, arguments in json.loads(sys.argv[1]).items():
    code, sys.argv = 0, ["zoo", *arguments]
    with open(f"{name}-{rank}.out", "w") as out, open(f"{name}-{rank}.err", "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
    Path(f"{name}-{rank}.code").write_text(str(code))
'''
TRAIN = ("train", "shared.yaml", "--trust", "mine", "--json")
SCORE = ("evaluate", "alone", "--as", "shared.yaml", "--trust", "mine", "--device", "cpu", "--json")
PLAIN = str(ROOT / "tests" / "recipes" / "plain.yaml")
DROPPING = """\
name: dropping
task: mine.some
model: mine.dropping
stages:
  - epochs: 1
    batch_size: 50
    optimizer: {use: SGD, lr: 0.1}
    criterion: {ce: {loss: CrossEntropy}}
"""


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run_torchrun(folder: Path, commands: dict[str, tuple[str, ...]]) -> None:
    """Run commands, one after the other, in the same two processes."""
    environment = {**os.environ, **ENVIRONMENT, "ZOO_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "driver.py", json.dumps(commands)], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in commands:
        for rank in range(2):
            assert (folder / f"{name}-{rank}.code").read_text() == "0", (folder / f"{name}-{rank}.err").read_text()


def start(folder: Path, name: str, command: tuple[str, ...], rank: object = "alone", **env: str) -> BaseProcess:
    files = (folder / f"{name}-{rank}.out", folder / f"{name}-{rank}.err")
    environment = {**ENVIRONMENT, "ZOO_HOME": str(folder / "home"), **env}
    return forked.start(folder, environment, files, zoo, *command, clean=True)


def run_alone(folder: Path, name: str, command: tuple[str, ...]) -> None:
    process = start(folder, name, command)
    process.join(180)
    assert process.exitcode == 0, (folder / f"{name}-alone.err").read_text()


def run_two(folder: Path, name: str, command: tuple[str, ...], **env: str) -> list[int | None]:
    """Run a command in two processes with the variables that `torchrun` sets, and return their exit codes.

    Like `torchrun`, end both when one fails.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    env |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    both = [start(folder, name, command, rank, RANK=str(rank), LOCAL_RANK=str(rank), **env) for rank in range(2)]
    waited = {process.sentinel: process for process in both}
    while waited:
        (completed, *_) = wait(waited, timeout=180)
        if waited.pop(completed).exitcode != 0:  # type: ignore[index]
            for process in both:
                process.terminate()
    return [process.exitcode for process in both]


def printed(folder: Path, name: str, rank: object = 0) -> Any:
    return json.loads((folder / f"{name}-{rank}.out").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    for name, text in {
        "mine.py": USER_MODULE,
        "driver.py": DRIVER,
        "shared.yaml": RECIPE,
        "dropping.yaml": DROPPING,
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The run that one process makes."""
    run_alone(folder, "train", (*TRAIN, "--out", "alone"))
    run_alone(folder, "score", SCORE)
    return folder / "alone"


@pytest.fixture(scope="module")
def both(folder: Path, alone: Path) -> Path:
    """The run that two processes make."""
    trained = ("train", PLAIN, "--device", "cpu", "--json", "--out", "normed")
    commands = {
        "both": (*TRAIN, "--out", "both"),
        "accumulated": (*TRAIN, "--micro-batch", "7", "--out", "accumulated"),
    }
    commands |= {"score": SCORE, "normed": trained}
    commands |= {"dropping": ("train", "dropping.yaml", "--trust", "mine", "--out", "dropping")}
    run_torchrun(folder, commands)
    assert printed(folder, "both")["results"][0]["n"] == 257
    assert (folder / "both-1.out").read_text() == ""  # only one process prints
    return folder / "both"


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch", [None, 7], ids=["whole batches", "accumulated"])
def test_two_processes_train_the_same_weights_as_one(
    folder: Path, alone: Path, both: Path, micro_batch: int | None
) -> None:
    """The last of the batches of 50 rows has one row, so one process has none."""
    both = folder / "accumulated" if micro_batch else both
    steps, products_of_teacher_and_student = 3 * 7, 3721 + 64 + 24
    allowed = steps * rounding_tolerance(torch.float32, products_of_teacher_and_student)
    ours, theirs = (load_file(run / "model.safetensors") for run in (alone, both))
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=0, atol=allowed)
    records = [json.loads((run / "record.json").read_text()) for run in (alone, both)]
    one_process, two_processes = (record["results"][0]["metrics"]["accuracy"] for record in records)
    # a prediction on the border between two classes may differ
    assert one_process["value"] == pytest.approx(two_processes["value"], abs=one_process["one_prediction"])
    logs = [(run / "log.jsonl").read_text().splitlines() for run in (alone, both)]
    assert len(logs[0]) == len(logs[1]) == steps
    for lines in zip(*logs, strict=True):
        losses = [json.loads(line)["losses"] for line in lines]
        assert losses[1] == pytest.approx(losses[0], rel=allowed)
    assert records[1]["numerics"]["processes"] == 2
    assert records[1]["numerics"].get("micro_batch") == micro_batch


@pytest.mark.slow
def test_scores_on_an_odd_number_of_examples_are_the_same_to_the_last_digit(folder: Path, both: Path) -> None:
    alone, together = printed(folder, "score", "alone"), printed(folder, "score")
    assert alone == together
    assert alone["results"][0]["n"] == 257


@pytest.mark.slow
def test_saved_batchnorm_statistics_are_those_that_were_scored(folder: Path, both: Path) -> None:
    """Each process follows its own part of a batch; the statistics of the first are scored and saved."""
    run_alone(folder, "again", ("evaluate", "normed", "--as", PLAIN, "--device", "cpu", "--json"))
    scored = printed(folder, "again", "alone")["results"][0]["measured"]
    assert printed(folder, "normed")["results"][0]["metrics"]["accuracy"] == scored


@pytest.mark.slow
def test_two_processes_resume_to_the_same_bits_after_one_was_killed(folder: Path, both: Path) -> None:
    """The second run also scores its epochs, which changes no bit either."""
    command = (*TRAIN, "--save-every", "0", "--score-epochs", "--fresh", "--out", "killed")
    assert run_two(folder, "killed", command, DIE="1:20")[1] == -signal.SIGKILL
    assert not (folder / "killed").exists()
    assert run_two(folder, "resumed", command) == [0, 0], (folder / "resumed-0.err").read_text()
    assert "resuming after step" in (folder / "resumed-0.err").read_text()
    assert sha256(folder / "killed" / "model.safetensors") == sha256(both / "model.safetensors")
    lines = log_lines(folder / "killed")
    assert [line for line in lines if "losses" in line] == log_lines(both)
    assert any("scores" in line for line in lines)


@pytest.mark.slow
def test_processes_draw_different_dropout(folder: Path, both: Path) -> None:
    drawn = [(folder / f"drawn-{rank}").read_text().split() for rank in range(2)]
    assert len(drawn[0]) == len(drawn[1]) == 7
    assert not set(drawn[0]) & set(drawn[1])
