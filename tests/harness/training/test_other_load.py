"""The warning about other programs on the processors of a training."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from harness.training import other_load
from harness.training.other_load import LoadWatch


class Machine:
    """Four processors of which others use a part, and a clock."""

    def __init__(self, others: float, own: float) -> None:
        self.others, self.own, self.now = others, own, 100.0

    def monotonic(self) -> float:
        return self.now

    def cpu_percent(self, *, percpu: bool) -> list[float]:
        assert percpu
        return [100 * (self.others + self.own) / 4] * 4

    def Process(self) -> SimpleNamespace:  # noqa: N802 - the name in psutil
        return SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=self.own * self.now, system=0.0))


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


def messages(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is reported in 100 steps of a second each; every step is passed on."""
    monkeypatch.setattr(other_load, "psutil", machine)
    monkeypatch.setattr(other_load, "time", machine)
    reported: list[str] = []
    steps: list[int] = []

    def count(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        steps.append(done)

    watch = LoadWatch(count, reported.append, "mine")
    for step in range(100):
        machine.now += 1
        watch(step, 100)
    assert steps == list(range(100))
    return reported


def test_other_programs_on_the_processors_are_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    [message] = messages(Machine(others=1.5, own=2.5), monkeypatch)
    assert message == (
        "mine: other programs use 1.5 of 4 processors, and this training has 4 threads. If it is slow, stop it and "
        "run it again with OMP_NUM_THREADS=1, or with OMP_WAIT_POLICY=PASSIVE for the same digits (docs/speed.md)"
    )


def test_a_training_that_has_its_processors_to_itself_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not messages(Machine(others=0.3, own=3.7), monkeypatch)


def test_nothing_is_reported_if_there_are_processors_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    assert not messages(Machine(others=1.8, own=2.0), monkeypatch)


def test_nothing_is_reported_where_the_user_chose_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert not messages(Machine(others=3, own=1), monkeypatch)
