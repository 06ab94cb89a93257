"""The order in which units are handed out. It depends on earlier runs, so it is no part of a plan."""

from collections.abc import Collection, Sequence

from harness.fleet.plan_file import Plan, Unit

Work = tuple[int, str, float | None]
"""The wave of a run, what it is computed on, and its expected seconds."""


def scheduled(plan: Plan, indexes: Collection[int]) -> list[int]:
    """Return the numbers of units in the order in which they should start: see `order_of`."""
    units = [plan.units[index] for index in sorted(indexes)]
    return [units[position].index for position in order_of([_work(unit) for unit in units])]


def order_of(works: Sequence[Work]) -> list[int]:
    """Return the positions of runs by wave; in it those with the same task together, the longest first, unknown last.

    A long run that starts last would keep one process busy while the others have nothing to do.
    """
    longest: dict[tuple[int, str], float] = {}
    for wave, task, seconds in works:
        longest[wave, task] = max(longest.get((wave, task), 0.0), seconds or 0.0)

    def key(position: int) -> tuple[int, float, str, float]:
        wave, task, seconds = works[position]
        return wave, -longest[wave, task], task, -(seconds or 0.0)

    return sorted(range(len(works)), key=key)


def _work(unit: Unit) -> Work:
    task = repr(unit.entry.recipe.task) if unit.entry.is_readable else ""
    return unit.wave, task, unit.seconds
