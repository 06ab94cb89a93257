"""The line below a plan says how long its runs may take, and where that was measured."""

from collections.abc import Sequence

import pytest

from harness.runs.expected_times import ExpectedTime
from harness.runs.plan import PlannedRuns
from zoo.cli.plan import total_line
from zoo.recipes import catalogue

HERE = ExpectedTime(seconds=60.0, measured_on="here")
CPU = ExpectedTime(seconds=60.0, measured_on="cpu, 1 thread")
SCALED = ExpectedTime(seconds=60.0, measured_on="cpu, 1 thread", scale=2.3, scaled_by=1)
GPU = ExpectedTime(seconds=60.0, measured_on="NVIDIA A100")


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ([HERE], "about 1.0 min without the start of Python, measured here"),
        ([CPU], "about 1.0 min without the start of Python, measured on a CPU with 1 thread"),
        (
            [SCALED, HERE],
            "about 2.0 min without the start of Python, measured on a CPU with 1 thread and multiplied by 2.3, the"
            " ratio of 1 entry also run here, or here",
        ),
        ([GPU, HERE, CPU], "about 3.0 min without the start of Python, measured on several machines"),
    ],
)
def test_the_expected_time_names_where_it_was_measured(times: Sequence[ExpectedTime], text: str) -> None:
    entry = catalogue.select_one("digits-resnet8")
    planned = [PlannedRuns(entry=entry, mode="weights", seeds=(), missing=1, time=time) for time in times]
    assert total_line(planned) == f"{len(times)} run{'s' * (len(times) > 1)} to make; {text}"
