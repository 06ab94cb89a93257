"""The time left of a job: by earlier runs, scaled by the runs of the job, or unknown."""

import pytest

from harness.runs.job_progress import JobProgress


class Shown:
    """Notes what a job shows, and is its clock."""

    def __init__(self) -> None:
        self.now, self.states = 0.0, list[tuple[int, int, float | None]]()

    def clock(self) -> float:
        return self.now

    def step(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        self.states.append((done, total, seconds_left))


@pytest.fixture
def shown() -> Shown:
    return Shown()


def job(shown: Shown, expected: list[float | None], ends: list[int]) -> JobProgress:
    made = JobProgress(expected, ends, shown.step, shown.clock)
    made.begin()
    return made


def test_expected_times_are_scaled_by_the_runs_of_the_job(shown: Shown) -> None:
    of_job = job(shown, [10.0, 10.0, 30.0], [2, 3])
    shown.now = 20.0
    of_job.run_over(made=True)
    assert shown.states == [(0, 3, 50.0), (1, 3, 80.0)]


def test_a_run_that_existed_says_nothing_about_the_others(shown: Shown) -> None:
    of_job = job(shown, [10.0, 10.0, 10.0], [3])
    shown.now = 0.1
    of_job.run_over(made=False)
    assert shown.states[-1] == (1, 3, 20.0)


def test_nothing_is_estimated_before_a_run_without_earlier_ones_is_made(shown: Shown) -> None:
    of_job = job(shown, [None, None, 6.0], [3])
    assert shown.states == [(0, 3, None)]
    shown.now = 4.0
    of_job.run_over(made=True)
    assert shown.states[-1] == (1, 3, 10.0)


def test_runs_of_an_entry_with_an_error_are_over_with_it(shown: Shown) -> None:
    of_job = job(shown, [5.0, 5.0, 7.0], [2, 3])
    of_job.entry_over(0)
    of_job.entry_over(0)
    assert shown.states == [(0, 3, 17.0), (2, 3, 7.0)]
