"""The 27 GLUE recipes and the lock compared with the recorded facts, number by number."""

import pytest

from tests.helpers.facts import METRICS, assert_prior, facts, needs_facts
from zoo.fetch.lock import read_lock
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim

ENTRIES = catalogue.select(["glue"])
AS_LOGGED = {
    "bert-large-uncased-sst2": 2e-5,
    "bert-base-uncased-wnli_from_bert-large-uncased-wnli": 3e-5,
}
"""Learning rates in the log beside the weights that differ from the configuration. The recipes follow the log."""

pytestmark = needs_facts


def scores(entry: str, split: str) -> dict[tuple[str, str], set[tuple[float, str | None]]]:
    """Return every published score of the weights, as a fraction with its precision, by split and metric."""
    published: dict[tuple[str, str], set[tuple[float, str | None]]] = {}
    for fact in facts("references.json"):
        is_score = fact["id"] == entry and fact["kind"] == "published_weights" and fact["value"] is not None
        if is_score and fact["split"].startswith(split):
            value = fact["value"] / 100 if fact["unit"] == "%" else fact["value"]
            key = (fact["split"].split(" ")[0], METRICS.get(fact["metric"], fact["metric"]))
            published.setdefault(key, set()).add((value, fact["precision"]))
    return published


def claims(entry: Entry, of: str) -> dict[tuple[str, str], Claim]:
    return {(claim.split, claim.metric): claim for claim in entry.recipe.claims if claim.of == of}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_recipe_trains_as_recorded(entry: Entry) -> None:
    (row,) = [row for row in facts("recipes.json")["table"] if row["id"] == f"yoshitomo-matsubara/{entry.name}"]
    (stage,) = entry.recipe.stages
    assert (stage.epochs, stage.batch_size, stage.clip_norm) == (row["epochs"], row["batch_size"], row["max_grad_norm"])
    assert dict(stage.optimizer.args) == {
        "lr": AS_LOGGED.get(entry.name, row["lr"]),
        "weight_decay": row["weight_decay"],
    }
    assert (stage.schedule.use if stage.schedule else None, stage.selection) == ("linear", "best")
    assert entry.recipe.model.args["init"] == f"hub:google-bert/{row['model']}"
    (term,) = stage.criterion.values()
    if row["teacher"] is None:
        assert not stage.all_teachers
    else:
        assert [f"yoshitomo-matsubara/{teacher.entry}" for teacher in stage.all_teachers.values()] == [row["teacher"]]
        loss = (term.loss.use, term.loss.args.get("temperature"))
        assert loss == (("KL", row["temperature"]) if "temperature" in row else ("LogitMSE", None))
        if "temperature" in row:
            intended = f"kd: {{loss: {{use: KD, temperature: {row['temperature']:g}, alpha: {row['alpha']:g}}}}}"
            assert intended in entry.path.read_text()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_claim_is_a_recorded_score_and_the_one_in_fp32_if_there_is_one(entry: Entry) -> None:
    recorded = scores(entry.name, "validation")
    for key, claim in claims(entry, "weights").items():
        if claim.log:
            assert key not in recorded
            continue
        assert claim.value is not None
        assert claim.decimals is not None
        assert any(abs(value - claim.value) <= 10.0**-claim.decimals / 2 for value, _ in recorded[key])
        precisions = {precision for _, precision in recorded[key]}
        assert claim.precision == ("fp32" if "fp32" in precisions else "fp16")
    assert {key: claim.value for key, claim in claims(entry, "test-server").items()} == {
        key: pytest.approx(value) for key, published in scores(entry.name, "test").items() for value, _ in published
    }


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_sigma_is_the_recorded_prior_or_the_sampling_error(entry: Entry) -> None:
    task, priors = entry.recipe.task.args["name"], facts("sigma.json")["glue"]
    known = priors["bert-large"].get(task) if entry.name.startswith("bert-large") else None
    points = {METRICS.get(metric, metric): value for metric, value in (known or priors["bert-base"][task]).items()}
    for (_, metric), claim in claims(entry, "retrain").items():
        if claim.gates:
            assert_prior(claim, points[metric])
        else:  # the score that needs no model
            assert claim.sigma is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_header_holds_the_scores_of_the_paper_and_every_further_score(entry: Entry) -> None:
    header = " ".join(line[2:] for line in entry.path.read_text().splitlines() if line.startswith("#"))
    task = entry.recipe.task.args["name"]
    for family in (
        "bert-large-uncased-{0}",
        "bert-base-uncased-{0}",
        "bert-base-uncased-{0}_from_bert-large-uncased-{0}",
    ):
        published = scores(family.format(task), "test")
        assert "/".join(f"{100 * value:.1f}" for _, ((value, _),) in sorted(published.items())) in header
    claimed = claims(entry, "weights")
    for key, published in scores(entry.name, "validation").items():
        for value, precision in published:
            if (precision, round(value, 7)) != (claimed[key].precision, claimed[key].value):
                assert f"also scored in {precision}: " in header
                assert f"{value:.7f}" in header or f"{value:.4f}" in header


def test_the_lock_pins_what_is_publicly_known() -> None:
    pins = read_lock().pins
    for fact in facts("weights.json"):
        source = f"hub:{fact.get('hub_id')}"
        if source in pins and fact.get("sha256") and "superseded" not in fact["id"]:
            assert pins[source].files["pytorch_model.bin"].sha256 == fact["sha256"]
    revisions = facts("revisions.json")
    for kind, prefix in (("models", "hub:"), ("datasets", "hub:datasets/")):
        for name, fact in revisions[kind].items():
            pin = pins.get(f"{prefix}{name}")
            assert pin is None or pin.revision == fact["revision"]
