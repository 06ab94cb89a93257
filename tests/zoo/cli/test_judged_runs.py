"""Runs of models on the Hub: `zoo publish` and `zoo attest` know the claims of their cards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo

REVIEWS, TWEETS, MODEL = "someone/reviews", "someone/tweets", "someone/tiny"
ROWS = texts(40)
URL = "https://example.org/record"
SHOWN = ("--to", "model-index", "--source", URL)


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return text_model(SENTIMENTS)


@pytest.fixture
def hub(model: dict[str, bytes]) -> Iterator[LocalHub]:
    """A Hub with a model that is right in 33 of 40 rows, and claims 38."""
    with LocalHub() as hub:
        right = labels(model, ROWS, right=33)
        hub.add("datasets", REVIEWS, text_data(["text"], {"validation": (ROWS, right)}, SENTIMENTS))
        hub.add("datasets", TWEETS, text_data(["tweet"], {"test": (ROWS, right)}, SENTIMENTS))
        wrong = card(result(REVIEWS, ("accuracy", 0.95), split="validation"))
        hub.add("models", MODEL, {**model, "README.md": wrong})
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.fixture
def verified(run: Zoo) -> Zoo:
    assert run("verify", MODEL).code == 1
    return run


def test_the_verdict_on_a_card_is_published_and_signed_without_the_hub(verified: Zoo, hub: LocalHub) -> None:
    hub.requests.clear()
    for name in ("someone--tiny:weights", "someone/tiny:weights", "hf://someone/tiny:weights"):
        published = verified("publish", name, *SHOWN)
        assert published.code == 0, published.err
        assert "verdict: not-reproduced" in published.out
        assert published.err == "nothing was written; pass --out PATH to write it\n"
    assert verified("attest", "key", "my.key").code == 0
    signed = verified("attest", "sign", "someone/tiny:weights", "--key", "my.key", "--out", "a.json")
    assert "accuracy on validation: claimed 0.95, measured 0.8250: not-reproduced" in signed.out
    assert verified("attest", "verify", "a.json", "--key", "my.key.pub").code == 1
    assert not hub.requests


def test_a_recipe_that_is_not_found_is_reported_with_the_command_that_writes_it(
    verified: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "home" / "cache" / "cards")
    published = verified("publish", "someone/tiny:weights", *SHOWN)
    assert (published.code, "verdict: measured only" in published.out) == (0, True)
    commit = hub.repos["models", MODEL].main
    command = f"zoo recipe {MODEL}@{commit}"
    assert f"there is no verdict; pass --recipe FILE, which `{command}` writes\n" in published.err
    assert verified(*command.split()[1:], "--out", "mine.yaml").code == 0
    again = verified("publish", "someone/tiny:weights", *SHOWN, "--recipe", "mine.yaml")
    assert "verdict: not-reproduced" in again.out


def test_runs_of_several_recipes_of_a_card_are_listed(hub: LocalHub, model: dict[str, bytes], run: Zoo) -> None:
    both = card(result(REVIEWS, ("accuracy", 0.825)), result(TWEETS, ("accuracy", 82.5)))
    hub.add("models", "someone/both", {**model, "README.md": both})
    assert run("verify", "someone/both").code == 0
    listed = run("publish", "someone/both:weights", *SHOWN)
    assert (listed.code, len(listed.lines)) == (2, 1)
    assert "name one: someone--both--reviews or someone--both--tweets" in listed.err
    assert "verdict: reproduced" in run("publish", "someone--both--tweets:weights", *SHOWN).out
