"""Finding, making and judging runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.judging.judge_runs import EntryRuns, Outcome
from harness.models.environment import accelerator_on
from harness.runs import verify as module
from harness.runs.experiment import RunContext
from harness.runs.reproduce import make_runs
from harness.runs.verify import WantedRuns, run_conditions, seeds_of
from tests.helpers.device import device
from tests.helpers.project import TINY, Write
from zoo.fetch.sources import Sources
from zoo.progress import Report
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

SOURCES = SourceOptions()


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(records=tmp_path / "runs", device=device())


def make_context(options: RunOptions) -> RunContext:
    assert options.records is not None
    builder = Builder(frozenset(), Sources())
    conditions = run_conditions(options, SOURCES)
    return RunContext(
        builder=builder, accelerator=accelerator_on(device()), runs=options.records, conditions=conditions
    )


def verify(entries: list[Entry], options: RunOptions, *, report: Report = print, makes: bool = True) -> list[Outcome]:
    def make(wanted: WantedRuns) -> Iterator[EntryRuns]:
        assert makes, "every run is in the cache"
        return make_runs(wanted, module.mode_of(options), make_context(options))

    return module.verify(entries, options, SOURCES, make, report=report)


def test_runs_are_made_once_and_judged_each_time(options: RunOptions) -> None:
    entries = [catalogue.select_one("digits-resnet8"), catalogue.select_one("digits-resnet14")]
    first = verify(entries, options)
    again = verify(entries[::-1], options, makes=False)
    assert again == first[::-1]
    assert [outcome.verdict for outcome in first] == ["reproduced", "reproduced"]
    assert [judgement.claim.of for judgement in module.tested_claims(first[0])] == ["weights"]


def test_only_missing_runs_are_made(options: RunOptions) -> None:
    entries = [catalogue.select_one("digits-resnet8"), catalogue.select_one("digits-resnet14")]
    verify(entries[:1], options)
    cached, made = verify(entries, options)
    assert (cached.entry, made.entry) == (entries[0], entries[1])
    assert cached.records[0] != made.records[0]


def test_an_error_is_reported_and_does_not_stop_other_entries(options: RunOptions, recipe_file: Write) -> None:
    broken = catalogue.local(recipe_file(TINY + "weights: file:nowhere.safetensors\n"))
    messages: list[str] = []
    failed, good = verify(
        [broken, catalogue.select_one("digits-resnet8")],
        options,
        report=messages.append,
    )
    assert (failed.verdict, good.verdict) == ("not-run", "reproduced")
    assert messages == [str(failed.error)]


def test_the_claims_give_the_number_of_seeds_unless_the_options_do() -> None:
    entry = catalogue.select_one("digits-resnet8")
    assert seeds_of(entry, RunOptions(train=True, seeds=2, first_seed=7)) == [7, 8]
    assert seeds_of(entry, RunOptions()) == list(range(len(seeds_of(entry, RunOptions()))))
