"""Finding, making and judging runs."""

from pathlib import Path
from typing import Any

import pytest

from harness.judging.judge_runs import Outcome
from harness.models.environment import accelerator_on
from harness.runs import verify as module
from harness.runs.experiment import RunContext
from harness.runs.verify import run_conditions, seeds_of
from tests.helpers.device import device
from tests.helpers.project import TINY, Write
from zoo.errors import UsageError
from zoo.fetch.sources import Sources
from zoo.progress import Report, ignore_progress
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
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


def verify(*arguments: Any, report: Report = print) -> list[Outcome]:
    return module.verify(*arguments, report=report, show_progress=ignore_progress)


def refuse_context(device: str | None) -> Any:
    raise AssertionError("every run is in the cache")


def test_runs_are_made_once_and_judged_each_time(options: RunOptions) -> None:
    entries = [catalogue.select_one("digits-resnet8"), catalogue.select_one("digits-resnet14")]
    first = verify(entries, options, SOURCES, lambda device: make_context(options))
    again = verify(entries[::-1], options, SOURCES, refuse_context)
    assert again == first[::-1]
    assert [outcome.verdict for outcome in first] == ["reproduced", "reproduced"]
    assert [judgement.claim.of for judgement in module.tested_claims(first[0])] == ["weights"]


def test_only_missing_runs_are_made(options: RunOptions) -> None:
    entries = [catalogue.select_one("digits-resnet8"), catalogue.select_one("digits-resnet14")]
    verify(entries[:1], options, SOURCES, lambda device: make_context(options))
    cached, made = verify(entries, options, SOURCES, lambda device: make_context(options))
    assert (cached.entry, made.entry) == (entries[0], entries[1])
    assert cached.records[0] != made.records[0]


def test_an_error_is_reported_and_does_not_stop_other_entries(options: RunOptions, recipe_file: Write) -> None:
    broken = catalogue.local(recipe_file(TINY + "weights: file:nowhere.safetensors\n"))
    messages: list[str] = []
    failed, good = verify(
        [broken, catalogue.select_one("digits-resnet8")],
        options,
        SOURCES,
        lambda device: make_context(options),
        report=messages.append,
    )
    assert (failed.verdict, good.verdict) == ("not-run", "reproduced")
    assert messages == [str(failed.error)]


def test_the_claims_give_the_number_of_seeds_unless_the_options_do() -> None:
    entry = catalogue.select_one("digits-resnet8")
    assert seeds_of(entry, RunOptions(train=True, seeds=2, first_seed=7)) == [7, 8]
    assert seeds_of(entry, RunOptions()) == list(range(len(seeds_of(entry, RunOptions()))))


def test_jobs_cannot_be_combined_with_torchrun(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--jobs cannot be combined with torchrun"):
        verify([], RunOptions(jobs=2), SOURCES, refuse_context)
