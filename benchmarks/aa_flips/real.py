"""Real pairs of runs: the starter suite evaluated with other batch sizes and numbers of threads.

They repeat few models on fixed data, so they are no sample of models, and their rates have no bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.aa_flips.diffs import finds_difference
from benchmarks.aa_flips.rates import Rate, Row
from benchmarks.aa_flips.simulated import FAILING
from harness.diagnosis.diff import diff
from harness.judging.judge_runs import EntryRuns, Outcome
from harness.runs.experiment import prepare
from harness.runs.record_runs import evaluate_and_record
from harness.runs.verify import WantedRuns, verify
from zoo.api.session import Session
from zoo.cli.exit_codes import code_of_outcome
from zoo.recipes.options import RunOptions, SourceOptions

BATCHES = (3, 5, 7, 9, 11, 13, 16, 19, 21, 24, 27, 29, 32, 37, 43, 48, 64)
"""The most rows of a batch. The first run of pair i has `BATCHES[i]` and one thread, the second the next and two."""


@dataclass(frozen=True, kw_only=True)
class RealPairs:
    """Pairs of real runs: the row of the table, and how many pairs differ in anything at all."""

    row: Row
    models: int
    models_that_differ: int
    """The number of models with a pair whose verdicts or exit codes differ, or whose runs `zoo diff` tells apart."""
    logits_differ: int
    predictions_differ: int


def real_pairs(folder: Path, batches: tuple[int, ...] = BATCHES) -> RealPairs:
    """Evaluate the starter suite twice for each batch size, and compare the verdicts and the predictions."""
    pairs = list[tuple[Outcome, Outcome]]()
    for index, rows in enumerate(batches):
        after = batches[(index + 1) % len(batches)]
        first, second = (
            evaluate_suite(folder / f"{index}-{threads}", size, threads) for size, threads in ((rows, 1), (after, 2))
        )
        pairs += zip(first, second, strict=True)
    found = [diff(a.records[0], b.records[0]) for a, b in pairs]
    verdicts = [a.verdict != b.verdict for a, b in pairs]
    jobs = [code_of_outcome(a, (), FAILING) != code_of_outcome(b, (), FAILING) for a, b in pairs]
    reports = [any(map(finds_difference, each.splits)) for each in found]
    differ = [any(each) for each in zip(verdicts, jobs, reports, strict=True)]
    return RealPairs(
        row=Row(
            pairs_of="real runs of the starter suite", pairs=len(pairs), verdicts=_count(verdicts), jobs=_count(jobs),
            diffs=_count(reports),
        ),
        models=len({a.entry.name for a, _ in pairs}),
        models_that_differ=len({a.entry.name for (a, _), differs in zip(pairs, differ, strict=True) if differs}),
        logits_differ=sum(any(split.drift and split.drift.max > 0 for split in each.splits) for each in found),
        predictions_differ=sum(each.flipped > 0 for each in found),
    )  # fmt: skip


def _count(differ: Sequence[bool]) -> Rate:
    return Rate(count=sum(differ), at_most=None)


def evaluate_suite(folder: Path, batch_size: int, threads: int) -> list[Outcome]:
    """Evaluate and judge the starter suite anew, with batches of at most this many rows."""
    torch.set_num_threads(threads)
    session = Session(sources=SourceOptions())
    entries = session.entries.select((), ["starter"], False)
    options = RunOptions(device="cpu", fresh=True, records=folder)
    context = session.context(entries, options)

    def make(wanted: WantedRuns) -> Iterator[EntryRuns]:
        for entry, _ in wanted:
            experiment = prepare(entry, context)
            run = evaluate_and_record(replace(experiment, task=replace(experiment.task, batch_size=batch_size)))
            yield EntryRuns(entry=entry, mode="weights", runs=(run,), published=run[1].published)

    return verify(entries, options, session.sources, make, report=print)
