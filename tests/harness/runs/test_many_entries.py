"""Several entries share tasks and tokenizers, and an error in one entry does not stop the others."""

import gc
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from harness.runs.experiment import Experiment, RunContext
from harness.runs.reproduce import make_runs
from harness.runs.shared_tasks import SharedTasks
from tests.helpers.project import ROOT, Zoo
from tests.helpers.small_texts import TEXT_ENTRY
from zoo.recipes import catalogue
from zoo.recipes.values import Call
from zoo.tasks.splits import TextSplit


def test_entries_share_their_data_and_models_are_freed(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one entry is evaluated the next one is prepared, so at most two models are in memory."""
    names = [TEXT_ENTRY, "entail-bert-l2h64", f"{TEXT_ENTRY}_from_entail-bert-l2h64"]
    alive: list[weakref.ref[nn.Module]] = []
    most, loads = [0], []
    load, read = Experiment.model_with, TextSplit.__init__

    def counted(self: Experiment, fetched: Any) -> nn.Module:
        model = load(self, fetched)
        alive.append(weakref.ref(model))
        gc.collect()
        most[0] = max(most[0], sum(reference() is not None for reference in alive))
        return model

    def counted_read(self: TextSplit, *args: Any, **kwargs: Any) -> None:
        loads.append(1)
        read(self, *args, **kwargs)

    monkeypatch.setattr(Experiment, "model_with", counted)
    monkeypatch.setattr(TextSplit, "__init__", counted_read)
    results = list(make_runs([(catalogue.select_one(name), []) for name in names], "weights", context))
    assert [entry_runs.error for entry_runs in results] == [None] * 3
    assert (len(alive), len(loads)) == (3, 1)
    assert most[0] <= 2
    gc.collect()
    assert all(reference() is None for reference in alive)


def test_two_threads_that_need_the_same_tokenizer_build_it_once() -> None:
    shared, call, built = SharedTasks(), Call(use="slow"), []

    def build(*_: object) -> object:
        built.append(object())
        time.sleep(0.05)
        return built[-1]

    builder: Any = SimpleNamespace(sources=SimpleNamespace(recipe_repo=None, recipe_folder=None), build=build)
    with ThreadPoolExecutor(4) as pool:
        tokenizers = list(pool.map(lambda _: shared.tokenizer(call, builder), range(8)))
    assert tokenizers == built * 8
    assert len(built) == 1


def test_two_threads_build_different_tokenizers_at_the_same_time() -> None:
    """Each of the two builds waits until the other one has begun."""
    shared, both_build = SharedTasks(), Barrier(2, timeout=30)

    def build(call: Call, _: str) -> int:
        return both_build.wait()

    builder: Any = SimpleNamespace(sources=SimpleNamespace(recipe_repo=None, recipe_folder=None), build=build)
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda name: shared.tokenizer(Call(use=name), builder), ("first", "second")))
    assert sorted(built) == [0, 1]


def test_an_entry_that_cannot_be_prepared_does_not_stop_another(zoo: Zoo, recipe_file: Callable[..., Path]) -> None:
    """Entries with texts are prepared in a thread; errors there are reported as those of a single entry."""
    text = (ROOT / "configs" / "starter" / f"{TEXT_ENTRY}.yaml").read_text()
    good = recipe_file(text.replace(f"name: {TEXT_ENTRY}", "name: good"), name="good.yaml")
    bad = recipe_file(text.replace(f"embedded:{TEXT_ENTRY}.", "file:nowhere."), name="bad.yaml")
    completed = zoo("verify", good, bad, good, "--json")
    assert "nowhere" in completed.err
    assert [part for part in completed.out.split('"verdict"') if "not-run" in part[:20]]
    assert completed.out.count('"reproduced"') >= 2
