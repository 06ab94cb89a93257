"""Claims whose value stands in a log beside the weights."""

from dataclasses import replace

import pytest

from harness.judging.verdict import fill_published_value
from tests.helpers.device import device
from tests.helpers.glue_hub import WriteGlueRecipe, classifier, results
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from zoo.recipes.claim import Claim

WNLI = "bert-base-uncased-wnli"
WEIGHTS = f"weights: hub:yoshitomo-matsubara/{WNLI}"


@pytest.mark.parametrize("log", [{"training.log": b"nothing\n"}, {}], ids=["a log without scores", "no log"])
def test_a_claim_is_not_compared_without_a_logged_score(
    log: dict[str, bytes], glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    glue_hub.add("models", "someone/unlogged", {**classifier("base", 2, seed=1), **log})
    recipe = glue_recipe("unlogged", (WEIGHTS, "weights: hub:someone/unlogged"), entry=WNLI)
    completed = glue("reproduce", recipe, "--device", device())
    assert completed.code == 3, completed.err
    assert "training.log" in completed.out
    assert "holds no such score" in completed.out


@pytest.mark.parametrize("score", ["56.3", "5.7e1", "much", "nan"])
def test_a_logged_score_that_is_not_a_fraction_is_not_compared(
    score: str, glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    log = f"Test: accuracy = {score}\n".encode()
    glue_hub.add("models", "someone/logged", {**classifier("base", 2, seed=1), "training.log": log})
    recipe = glue_recipe("logged", (f"hub:yoshitomo-matsubara/{WNLI}", "hub:someone/logged"), entry=WNLI)
    entry = results(glue("verify", recipe, "--json", "--device", device()))[WNLI]
    assert (entry["verdict"], entry["error"]) == ("not-compared", None)


def test_few_digits_in_a_log_do_not_widen_the_comparison() -> None:
    claim = Claim(of="weights", split="v", metric="accuracy", log="training.log", decimals=7, source="x")
    for text, value in (("0.5", 0.5), ("5.5e-01", 0.55)):
        filled = fill_published_value(claim, {"training.log": {"accuracy": text}})
        assert (filled.value, filled.decimals, filled.log) == (value, 7, None)
    without_decimals = fill_published_value(replace(claim, decimals=None), {"training.log": {"accuracy": "0.5"}})
    assert (without_decimals.decimals, without_decimals.printed_decimals, filled.printed_decimals) == (16, 1, 7)


def test_a_claim_can_name_a_log_only_of_a_repository(zoo: Zoo, recipe_file: Write) -> None:
    claims = "claims: [{of: weights, split: test, metric: accuracy, log: x.log, source: x}]\n"
    completed = zoo("check", recipe_file(recipe_file().read_text() + claims))
    assert completed.code == 2
    assert "a claim's 'log' is a file in the repository of the weights" in completed.err
