"""Ctrl-C and SIGTERM during training: a checkpoint is saved, and the same command resumes from it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.records.heartbeat_lock import HeartbeatLock
from harness.training.deadline import Deadline
from harness.training.gradients import accumulate_gradients
from harness.training.interrupt import Interrupt
from harness.training.stage import ActiveStage
from harness.training.train import leave_stage
from harness.training.training_run import TrainingRun
from tests.helpers import forked
from tests.helpers.device import device
from tests.helpers.forked import zoo
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import log_lines
from zoo.errors import Terminated
from zoo.fetch.checksum import sha256

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
OUT_OF_TIME = "stopped before the time limit of 2h; run the same command again to go on from here"
STEPS = 15
"""The steps of the tiny recipe."""


@pytest.fixture
def default_handlers() -> Iterator[None]:
    """Handle signals as in a terminal: processes in the background ignore SIGINT."""
    before = [(number, signal.getsignal(number)) for number, _ in SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_is_reported_once_and_becomes_an_exception_of_its_own(
    number: signal.Signals, error: type[BaseException]
) -> None:
    messages: list[str] = []
    before = signal.getsignal(number)
    with Interrupt(messages.append) as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested
        assert type(interrupt.error) is error
    assert len(messages) == 1
    assert "stopping after this step, once a checkpoint is saved" in messages[0]
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("default_handlers")
def test_a_second_ctrl_c_stops_at_once() -> None:
    with Interrupt(print), pytest.raises(KeyboardInterrupt):  # noqa: PT012  the first signal must not raise
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("default_handlers")
def test_a_second_sigterm_changes_nothing() -> None:
    messages: list[str] = []
    with Interrupt(messages.append) as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
    assert len(messages) == 1


def test_a_process_in_the_background_still_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt(print) as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.requested
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize(("call", "step"), [(2, 3), (STEPS - 1, STEPS)], ids=["third", "last"])
def test_an_interrupted_training_resumes_after_the_step_that_it_finished(
    call: int, step: int, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))

    def interrupted(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, torch.Tensor]:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return accumulate_gradients(run, stage, rows)

    monkeypatch.setattr("harness.training.train.accumulate_gradients", interrupted)
    completed = zoo("train", recipe_file(), "--out", "out")
    assert completed.code == 130
    assert not Path("out").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = zoo("train", recipe_file(), "--out", "out")
    assert again.code == 0, again.err
    assert f"resuming after step {step} of {STEPS}" in again.err
    assert zoo("train", recipe_file(), "--out", "whole").code == 0
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


@pytest.mark.usefixtures("default_handlers")
def test_a_signal_after_the_last_step_stops_before_the_evaluation(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command then only evaluates: no step is repeated."""

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        leave_stage(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("harness.training.train.leave_stage", interrupted)
    assert zoo("train", recipe_file(), "--out", "out").code == 130
    monkeypatch.setattr("harness.training.train.accumulate_gradients", None)
    again = zoo("train", recipe_file(), "--out", "out")
    assert (again.code, f"resuming after step {STEPS} of {STEPS}: all steps are taken" in again.err) == (0, True)


def test_a_training_without_time_for_another_step_saves_and_resumes_to_the_same_bytes(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = iter([False] * 4 + [True] * 100)
    command = ("train", recipe_file(), "--out", "out", "--time-limit", "2h")
    with monkeypatch.context() as patch:
        patch.setattr(Deadline, "is_near", property(lambda deadline: next(near)))
        completed = zoo(*command)
    assert (completed.code, completed.lines) == (75, [OUT_OF_TIME])
    assert not Path("out").exists()
    assert list(Path("home/runs/.unfinished").glob("*.lock")) == []
    again = zoo(*command)
    assert again.code == 0, again.err
    assert f"of {STEPS}: epoch" in again.err
    assert zoo("train", recipe_file(), "--out", "whole").code == 0
    assert log_lines("out") == log_lines("whole")
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize(
    ("number", "code", "lines"),
    [(signal.SIGALRM, 75, [OUT_OF_TIME]), (signal.SIGTERM, 143, [])],
    ids=["time", "SIGTERM"],
)
def test_an_evaluation_that_is_cut_off_is_made_again(
    number: int, code: int, lines: list[str], zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*arguments: object) -> None:
        os.kill(os.getpid(), number)

    command = ("reproduce", "digits-resnet8", "--time-limit", "2h")
    with monkeypatch.context() as patch:
        patch.setattr("harness.runs.recorder.result_of", cut_off)
        completed = zoo(*command)
    assert (completed.code, completed.lines) == (code, lines)
    left = [path for path in Path("home/runs").rglob("*") if path.is_file()]
    assert left == []
    assert zoo(*command).code == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize(
    ("number", "code", "lines"),
    [(signal.SIGALRM, 75, [OUT_OF_TIME]), (signal.SIGTERM, 143, [])],
    ids=["time", "SIGTERM"],
)
def test_a_command_that_waits_for_a_lock_can_be_stopped(
    number: int, code: int, lines: list[str], zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = HeartbeatLock.acquire

    def held(lock: HeartbeatLock, seconds: float) -> bool:
        if not lock.path.exists():
            assert acquire(HeartbeatLock(lock.path), 0)
            return acquire(lock, 0)
        os.kill(os.getpid(), number)
        return acquire(lock, seconds)

    monkeypatch.setattr(HeartbeatLock, "acquire", held)
    completed = zoo("reproduce", "digits-resnet8", "--time-limit", "2h")
    assert completed.code == code
    assert completed.lines[1:] == lines
    assert f"digits-resnet8: waiting for another run of it by process {os.getpid()} on " in completed.lines[0]


def test_sigterm_before_a_training_ends_with_143(zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("harness.runs.experiment.prepare", prepare)
    monkeypatch.setattr("zoo.api.session.Session.experiment", prepare)
    completed = zoo("train", recipe_file(), "--out", "out")
    assert (completed.code, completed.err, completed.out) == (143, "", "")


def train_and_signal(number: int, *arguments: str) -> int:
    """Run `zoo` in a new process that sends itself a signal in its third step."""
    calls = iter(range(1000))
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def signaled(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, torch.Tensor]:
        if next(calls) == 2 and number:
            os.kill(os.getpid(), number)
        return accumulate_gradients(run, stage, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.train.accumulate_gradients", signaled)
        return zoo(*arguments)


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [*SIGNALS, (signal.SIGALRM, 75)], ids=["SIGINT", "SIGTERM", "time limit"])
def test_a_signaled_process_ends_with_its_exit_code_and_resumes_to_the_same_bytes(
    number: int, code: int, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    printed = tmp_path / "printed"

    def run(number: int, out: str) -> int | None:
        environment = {"ZOO_HOME": str(tmp_path / "home")}
        arguments = ("train", "tiny.yaml", "--device", device(), "--out", out, "--time-limit", "2h")
        process = forked.start(tmp_path, environment, (printed, printed), train_and_signal, number, *arguments)
        process.join(120)
        return process.exitcode

    assert run(number, "out") == code
    expected = OUT_OF_TIME if code == 75 else "stopping after this step, once a checkpoint is saved"
    assert expected in printed.read_text()
    assert not (tmp_path / "out").exists()
    assert run(0, "out") == 0, printed.read_text()
    assert "resuming after step 3 of 15: epoch 0.2 of 1" in printed.read_text()
    assert run(0, "whole") == 0
    assert log_lines(tmp_path / "out") == log_lines(tmp_path / "whole")
    for name in ("model.safetensors", "predictions-test.npz"):
        assert sha256(tmp_path / "out" / name) == sha256(tmp_path / "whole" / name), name
