"""Other versions of the data and of the weights."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.file_versions import commit_of, versions
from harness.diagnosis.explain.other_weights import other_weights
from harness.diagnosis.explain.variant import Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from zoo.error_translation import translate_errors
from zoo.errors import ZooError, first_line
from zoo.fetch import weights_file
from zoo.fetch.fetched import Fetched
from zoo.fetch.quantized_weights import is_quantized
from zoo.fetch.repository_files import INDEX
from zoo.recipes.values import Call
from zoo.recipes.walk import walk_sources

AVERAGED = re.compile(r"(^|[_.-])ema([_.-]|$)", re.IGNORECASE)
"""The key of averaged weights, such as `model_ema`."""


def data_revisions(runner: VariantRunner, folder: Path) -> Candidates:
    wants = {source.name: want for source, want in runner.task.sources}
    call, sources = runner.experiment.recipe.task, runner.experiment.sources
    for source in dict.fromkeys(named.text for named in walk_sources(call, "task")):
        want = wants.get(source, "weights")
        before = commit_of(sources, source, want)
        for version in versions(sources, source, want, folder):
            task = _with_source(call, source, version.source)
            yield Variant(changes=(Change("data revision", source, before, version.commit),), task=task)


def weights_revisions(runner: VariantRunner, folder: Path) -> Candidates:
    source, sources = str(runner.experiment.recipe.weights), runner.experiment.sources
    before = commit_of(sources, source, "weights")
    for version in versions(sources, source, "weights", folder):
        change = Change("weights revision", "", before, version.commit)
        yield _with_weights(change, lambda version=version: sources.fetch(version.source))  # type: ignore[misc]


def other_files(runner: VariantRunner, folder: Path) -> Candidates:
    """Try other files of weights in the same repository or folder."""
    fetched = runner.experiment.published_weights()
    for name, fetch in other_weights(runner.experiment.sources, fetched, folder):
        yield _with_weights(Change("weights file", "", str(fetched.weights), name), fetch)


def state_dicts(runner: VariantRunner) -> Candidates:
    """Try other state dicts of the same checkpoint, such as averaged weights (EMA)."""
    fetched = runner.experiment.published_weights()
    has_one = fetched.weights == INDEX or is_quantized(runner.model)
    keys = () if has_one else weights_file.state_dict_keys(fetched.weights_path)
    for key in keys[1:]:
        is_average = any(AVERAGED.search(name) for name in (keys[0], key))
        change = Change("EMA" if is_average else "state dict", "state dict", keys[0], key)
        yield Variant(changes=(change,), weights=replace(fetched, state_dict=key))


def _with_weights(change: Change, fetch: Callable[[], Fetched]) -> Variant | Untried:
    try:
        with translate_errors(change.after):
            return Variant(changes=(change,), weights=fetch())
    except ZooError as error:
        reason = first_line(error).removeprefix(f"{change.after}: ")
        return Untried(f"{change.factor} {change.after}", reason)


def _with_source(value: Any, before: str, after: str) -> Any:
    """Return a value in which one source is replaced by another."""
    replaced: Callable[[Any], Any] = partial(_with_source, before=before, after=after)
    if isinstance(value, Call):
        return replace(value, args=replaced(value.args))
    if isinstance(value, Mapping):
        return {key: replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item) for item in value]
    return after if value == before else value
