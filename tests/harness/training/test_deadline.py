"""When a training has to stop: with time for the slowest step and the slowest checkpoint that it has seen."""

import time

import pytest

from harness.training.deadline import Deadline


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def step(deadline: Deadline, clock: Clock, seconds: float) -> None:
    clock.seconds += seconds
    deadline.step_ended()


def save(deadline: Deadline, clock: Clock, seconds: float) -> None:
    with deadline.saving():
        clock.seconds += seconds


def test_without_a_limit_no_end_is_near() -> None:
    clock = Clock()
    deadline = Deadline(None, clock)
    clock.seconds = 1e9
    assert not deadline.is_near
    assert not deadline.needs_measured_save


def test_there_must_be_time_for_the_slowest_step_and_the_slowest_checkpoint() -> None:
    clock = Clock()
    deadline = Deadline(100.0, clock)
    step(deadline, clock, 50)  # what came before the first step is none
    assert not deadline.is_near
    step(deadline, clock, 4)
    step(deadline, clock, 1)
    save(deadline, clock, 10)
    save(deadline, clock, 1)
    step(deadline, clock, 1)
    clock.seconds = 100 - 2 * 4 - 1.5 * 10 - 0.1
    assert not deadline.is_near
    clock.seconds += 0.2
    assert deadline.is_near


def test_a_checkpoint_is_no_part_of_a_step() -> None:
    clock = Clock()
    deadline = Deadline(100.0, clock)
    step(deadline, clock, 1)
    save(deadline, clock, 20)
    step(deadline, clock, 1)
    clock.seconds = 100 - 2 - 30 - 0.1
    assert not deadline.is_near


def test_with_a_limit_the_first_checkpoint_is_saved_early_to_know_its_time() -> None:
    clock = Clock()
    deadline = Deadline(100.0, clock)
    assert deadline.needs_measured_save
    save(deadline, clock, 1)
    assert not deadline.needs_measured_save


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_jump_of_the_wall_clock_moves_no_deadline(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wall_clock = time.time
    deadline = Deadline(time.monotonic() + 1800)
    monkeypatch.setattr(time, "time", lambda: wall_clock() + 3600 * hours)
    deadline.step_ended()
    assert not deadline.is_near
