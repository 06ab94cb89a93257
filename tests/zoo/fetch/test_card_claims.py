"""The claims of a model of the Hub are read without its weights."""

import pytest

from harness.auditing.outcome import audit_targets, text_of
from tests.helpers.hub_client import FILES, MakeSources
from tests.helpers.hub_server import LocalHub
from zoo.claims.hub_card import claims_of_model
from zoo.claims.targets import read_targets
from zoo.errors import SourceError
from zoo.fetch.source_types import HubRepo

CARD = b"""---
model-index:
- name: m
  results: [{dataset: {type: glue, args: rte}, metrics: [{type: accuracy, value: 0.50}]}]
---
"""
RESULTS = b"- {dataset: {id: a/b, task_id: t}, value: 3}\n"


def test_the_card_the_results_and_the_settings_are_read_at_one_commit(hub_sources: MakeSources, hub: LocalHub) -> None:
    files = {**FILES, "README.md": CARD, ".eval_results/a.yaml": RESULTS, ".eval_results/b.yaml": b"\xff"}
    commit = hub.add("models", "someone/carded", files)
    found = claims_of_model(HubRepo.parse("hub:someone/carded"), hub_sources())
    assert [(claim.text, claim.dataset) for claim in found.claims] == [("3", "a/b"), ("0.50", "glue")]
    assert str(found.claims[0].mark) == f"someone/carded@{commit[:7]}/.eval_results/a.yaml:1:43"
    assert (found.settings, found.revision) == ({"model_type": "bert"}, commit)
    assert [problem.mark.path.rpartition("/")[2] for problem in found.problems] == ["b.yaml"]
    assert not any("safetensors" in path for _, path, _ in hub.requests)


@pytest.mark.parametrize("settings", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_settings_that_cannot_be_read_hide_no_claim(hub_sources: MakeSources, hub: LocalHub, settings: bytes) -> None:
    hub.add("models", "someone/carded", {"README.md": CARD, "config.json": settings})
    found = claims_of_model(HubRepo.parse("hub:someone/carded"), hub_sources())
    assert (len(found.claims), len(found.problems), found.settings) == (1, 1, {})


def test_a_model_without_a_card_is_an_error_by_name(hub_sources: MakeSources, hub: LocalHub) -> None:
    hub.add("models", "someone/bare", {"model.safetensors": b""})
    with pytest.raises(SourceError, match=r"someone/bare at \w+ has no card"):
        claims_of_model(HubRepo.parse("hub:someone/bare"), hub_sources())


@pytest.mark.parametrize(("card", "pinned"), [(CARD, True), (b"# A model\n", False)])
def test_an_audit_pins_and_reports_a_model_only_if_it_has_claims(
    card: bytes, pinned: bool, hub_sources: MakeSources, hub: LocalHub, reports: list[str]
) -> None:
    commit = hub.add("models", "someone/carded", {"README.md": card})
    (target,) = read_targets(["hf://someone/carded@main"], [], False, lambda **_: hub_sources())
    assert (target.error, target.published and target.published.revision) == (None, commit)
    (outcome,) = audit_targets([target])
    assert text_of(outcome, None).startswith(f"hf://someone/carded@main ({commit[:7]}): ")
    assert reports == ([f"hub:someone/carded@main at {commit[:12]}: trusted on first use"] if pinned else [])
    assert hub_sources().known_pin("hub:someone/carded@main").revision == (commit if pinned else None)
