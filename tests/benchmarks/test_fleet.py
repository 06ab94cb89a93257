"""What a fleet adds to its runs stays small, also after 2,000 units."""

import pytest

from benchmarks.fleet import UNITS, measure

MOST_MILLISECONDS = 15
MOST_MEGABYTES = 2
"""How much the memory of the process that starts the others may grow."""
BLOCKS = 3


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("jobs", [1, 2])
def test_two_thousand_units_take_milliseconds_each_and_no_more_memory(jobs: int) -> None:
    """The machine may be busy for a while, so the best of three blocks of units counts."""
    measured = measure(jobs)
    assert measured.units == UNITS
    size = UNITS // BLOCKS
    blocks = [measured.milliseconds_of(first, first + size) for first in range(1, UNITS - size, size)]
    assert len(blocks) == BLOCKS
    assert min(blocks) < MOST_MILLISECONDS, blocks
    assert max(measured.megabytes[1:]) - measured.megabytes[1] < MOST_MEGABYTES
