"""The claims of recipes are claims like those of cards."""

from zoo.claims.recipe_claims import claims_of_entry
from zoo.recipes import catalogue
from zoo.recipes.public_data import find_public_data


def test_claims_on_weights_name_their_data_set_and_keep_their_decimals() -> None:
    accuracy, f1 = claims_of_entry(catalogue.select_one("bert-base-uncased-mrpc")).claims
    assert (accuracy.dataset, accuracy.config, accuracy.split, accuracy.n) == (
        "nyu-mll/glue",
        "mrpc",
        "validation",
        408,
    )
    assert (accuracy.metric, accuracy.text, f1.metric, f1.text) == ("accuracy", "0.8725490", "f1", "0.9068100")
    assert accuracy.mark.line == 26


def test_every_claim_on_weights_of_a_shipped_recipe_names_a_data_set() -> None:
    for entry in catalogue.entries():
        claims = claims_of_entry(entry).claims
        assert len(claims) == sum(claim.of == "weights" and claim.value is not None for claim in entry.recipe.claims)
        assert all(claim.dataset for claim in claims), entry.name
        if find_public_data(entry.recipe.task) is not None:
            assert all(claim.number is not None for claim in claims)
