"""From an entry to the runs that its claims need: what is missing is made now."""

from harness.judging import Ran
from harness.record import Mode
from harness.study import Setup, Study
from zoo.catalogue import Entry
from zoo.errors import ZooError, told


def run(entry: Entry, mode: Mode, setup: Setup, *, seeds: list[int]) -> Ran:
    """Make what the entry's claims of `mode` lack, a re-training with each of `seeds`; an error becomes part of what is
    returned.
    """
    try:
        with told(entry.name):
            return _run(entry, mode, setup, seeds)
    except ZooError as error:
        return Ran(entry=entry, mode=mode, error=error)


def _run(entry: Entry, mode: Mode, setup: Setup, seeds: list[int]) -> Ran:
    study = Study(entry, setup)
    if mode == "weights":
        if study.recipe.weights is None:
            return Ran(entry=entry, mode=mode, skipped="there are no published weights; --train trains it")
        run = study.weights()
        return Ran(entry=entry, mode=mode, runs=(run,), published=run[1].published)
    runs = tuple(study.retrain(seed) for seed in seeds)
    return Ran(entry=entry, mode=mode, runs=runs, published=study.published)
