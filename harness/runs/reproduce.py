"""From entries to the runs that their claims need: what is missing is made now."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from harness.judging.judge_runs import EntryRuns
from harness.records.record import Mode
from harness.runs.experiment import Experiment, RunContext
from zoo.errors import ZooError, translate_errors
from zoo.recipes.catalogue import Entry


def make_runs(wanted: Iterable[tuple[Entry, list[int]]], mode: Mode, setup: RunContext) -> Iterator[EntryRuns]:
    """Make what the entries' claims of `mode` lack, a re-training with each of its seeds; one after the other.

    While published weights are evaluated, those of the next entry are downloaded, verified and loaded and its texts are
    tokenised, so at most two models are in memory. An error becomes part of what is returned for its own entry.
    """
    waiting = [(Experiment(entry, setup), seeds) for entry, seeds in wanted]
    ahead = mode == "weights" and setup.accelerator.num_processes == 1 and len(waiting) > 1
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(waiting[0][0].prepare) if ahead else None
        try:
            while waiting:
                study, seeds = waiting.pop(0)
                prepared, ready = ready, pool.submit(waiting[0][0].prepare) if ahead and waiting else None
                yield make_entry_runs(study, mode, seeds, prepared)
                del study  # and with it the model
        finally:
            pool.shutdown(cancel_futures=True)


def make_entry_runs(study: Experiment, mode: Mode, seeds: list[int], prepared: Future[None] | None = None) -> EntryRuns:
    """The runs of one entry, once it is `prepared`; an error becomes part of what is returned."""
    entry = study.entry
    try:
        with translate_errors(entry.name):
            if prepared is not None:
                prepared.result()
            return _run(study, mode, seeds)
    except ZooError as error:
        return EntryRuns(entry=entry, mode=mode, error=error)


def _run(study: Experiment, mode: Mode, seeds: list[int]) -> EntryRuns:
    entry = study.entry
    if mode == "weights":
        if study.recipe.weights is None:
            return EntryRuns(entry=entry, mode=mode, skipped="there are no published weights; --train trains it")
        found = study.weights()
        return EntryRuns(entry=entry, mode=mode, runs=(found,), published=found[1].published)
    runs = tuple(study.retrain(seed) for seed in seeds)
    return EntryRuns(entry=entry, mode=mode, runs=runs, published=study.published)
