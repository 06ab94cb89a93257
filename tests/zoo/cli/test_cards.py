"""`zoo recipe`, and the other commands on a model of the Hub that has no recipe."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from zoo.fetch.hub import Hub
from zoo.fetch.lock import read_lock

REVIEWS, TWEETS = "someone/reviews", "someone/tweets"
ROWS = texts(40)


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return text_model(SENTIMENTS)


@pytest.fixture
def hub(model: dict[str, bytes]) -> Iterator[LocalHub]:
    """A Hub with two data sets: the model is right in 33 of the 40 rows of each."""
    right = labels(model, ROWS, right=33)
    with LocalHub() as hub:
        hub.add("datasets", REVIEWS, text_data(["text"], {"validation": (ROWS, right)}, SENTIMENTS))
        hub.add("datasets", TWEETS, text_data(["tweet"], {"test": (ROWS, right)}, SENTIMENTS))
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def claiming(value: float, *, bleu: bool = False) -> bytes:
    further = [("bleu", 0.5)] if bleu else []
    return card(result(REVIEWS, ("accuracy", value), *further, split="validation"))


def test_the_recipe_of_a_card_can_be_edited_checked_and_verified(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    commit = hub.add("models", "someone/tiny", {**model, "README.md": claiming(0.825, bleu=True)})
    done = run("recipe", "hf://someone/tiny")
    assert done.code == 0
    assert f"weights: hub:someone/tiny@{commit}\n" in done.out
    assert "# declared: model tiny, task text-classification, dataset someone/reviews, " in done.out
    assert "# chosen: max_length 64 (max_position_embeddings in config.json)\n" in done.out
    assert "not compared: bleu on reviews validation: unknown-metric: " in done.err
    (tmp_path / "mine.yaml").write_text(done.out)
    assert run("check", "mine.yaml").code == 0
    assert run("verify", "mine.yaml").code == 0
    assert run("recipe", "someone/tiny", "--out", "mine.yaml").code == 2
    assert run("recipe", "someone/tiny", "--out", "other.yaml").code == 0
    assert (tmp_path / "other.yaml").read_text() == done.out


def test_a_model_with_claims_on_two_data_sets_has_two_recipes(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    both = card(result(REVIEWS, ("accuracy", 0.825)), result(TWEETS, ("accuracy", 82.5)))
    hub.add("models", "someone/both", {**model, "README.md": both})
    several = run("recipe", "someone/both").err
    assert "someone/both has 2 recipes; write all with --out PATH, or one with --claim: " in several
    assert "reviews (accuracy on reviews validation); tweets (accuracy on tweets test)\n" in several
    assert run("recipe", "someone/both", "--out", "both").code == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "someone--both--reviews.yaml", "someone--both--tweets.yaml"
    ]  # fmt: skip
    assert "\nname: someone--both--tweets\n" in run("recipe", "someone/both", "--claim", "tweets").out
    assert (
        "someone/both has no such claim; its recipes are reviews ("
        in run("recipe", "someone/both", "--claim", "films").err
    )
    twice = run("verify", "someone/both", "hf://someone/both", "--json")
    assert (twice.code, len(json.loads(twice.out)["entries"])) == (0, 2)
    explained = run("explain", "someone/both")
    assert explained.code == 2
    assert "`zoo recipe someone/both --claim reviews --out PATH` writes: reviews (" in explained.err
    assert run("explain", "someone/both", "--claim", "tweets").code == 0


def test_one_of_two_recipes_of_a_model_with_a_long_name_is_named_by_its_data_set(
    hub: LocalHub, model: dict[str, bytes], run: Zoo
) -> None:
    name, both = (
        f"{'o' * 42}/{'n' * 53}",
        card(result(REVIEWS, ("accuracy", 0.825)), result(TWEETS, ("accuracy", 0.95))),
    )
    hub.add("models", name, {**model, "README.md": both})
    done = run("verify", name, "--device", "cpu")
    assert f"{name} (tweets): not-reproduced\n" in done.out
    assert f"zoo explain {name} --claim tweets --device cpu\n" in done.out


def test_the_next_step_for_one_of_two_recipes_names_the_model_and_works(
    hub: LocalHub, model: dict[str, bytes], run: Zoo
) -> None:
    both = card(result(REVIEWS, ("accuracy", 0.825)), result(TWEETS, ("accuracy", 0.95)))
    hub.add("models", "someone/both", {**model, "README.md": both})
    done = run("verify", "someone/both", "--device", "cpu")
    assert "  next: zoo explain someone/both --claim tweets --device cpu\n" in done.out
    assert "someone/both (tweets): not-reproduced\n" in done.out
    assert run("explain", "someone/both", "--claim", "tweets").code == 1


def test_a_model_without_claims_that_can_be_compared_ends_with_code_3(
    hub: LocalHub, model: dict[str, bytes], run: Zoo
) -> None:
    hub.add("models", "someone/silent", model)
    for command in ("recipe", "verify", "reproduce", "explain", "check", "show", "fetch", "doctor"):
        done = run(command, "someone/silent")
        assert done.code == 3, command
        assert "no-claims: the repository publishes no score" in done.out + done.err


def test_the_recipe_of_a_model_belongs_to_one_commit_until_the_lock_is_updated(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    first = hub.add("models", "someone/moving", {**model, "README.md": claiming(0.825)})
    assert run("verify", "someone/moving").code == 0
    second = hub.add("models", "someone/moving", {**model, "README.md": claiming(0.975)})
    hub.requests.clear()
    assert run("verify", "someone/moving").code == 0
    assert not hub.requests
    assert run("verify", f"someone/moving@{second}").code == 1
    assert run("lock", "--update", "someone/moving").code == 0
    assert read_lock(tmp_path / "zoo.lock").pins["hub:someone/moving"].revision == second != first
    assert run("verify", "someone/moving").code == 1


def test_a_card_is_verified_offline_after_it_was_fetched(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/tiny", {**model, "README.md": claiming(0.825)})
    assert run("fetch", "someone/tiny").code == 0
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    done = run("verify", "someone/tiny", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["entries"][0]["verdict"] == "reproduced"
    assert not hub.requests


def test_a_model_that_does_not_exist_is_an_error_and_stops_no_other(
    hub: LocalHub, model: dict[str, bytes], run: Zoo
) -> None:
    hub.add("models", "someone/tiny", {**model, "README.md": claiming(0.825)})
    done = run("verify", "someone/absent", "someone/tiny", "--json")
    assert done.code == 4
    verdicts = [entry["verdict"] for entry in json.loads(done.out)["entries"]]
    assert verdicts == ["not-run", "reproduced"]


def test_an_old_name_of_a_data_set_is_followed_to_its_owner(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Hub, "canonical_name", lambda _, repo: asked.append(repo.name) or f"someone/{repo.name}")
    claimed = card(result("reviews", ("accuracy", 0.825)))
    hub.add("models", "someone/old", {**model, "README.md": claimed})
    assert f"data: hub:datasets/{REVIEWS}@" in run("recipe", "someone/old").out
    assert asked == ["reviews"]
