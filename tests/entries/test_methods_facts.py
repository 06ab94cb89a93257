"""The recipes of methods on ImageNet against the recorded facts; skipped where the facts are not at hand."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.facts import FACTS, METRICS, SIZES, facts
from zoo.fetch.source_types import parse_source, pinned_source
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import Stage

REVIEW = catalogue.one("ilsvrc2012-resnet18_from_resnet34")
ENTRIES = [one for one in catalogue.select(["ilsvrc2012-methods"]) if one.name != f"{REVIEW.name}-kr"]
"""All but Knowledge Review, which is compared with the facts as the entry that it is in the suite `ilsvrc2012`."""
HARDWARE = {"1 GPU": (1, 1), "3 GPUs": (3, 1), "3 GPUs, -adjust_lr": (3, 3)}
"""How many times as many rows a step, and by what the rate, is more than configured."""

pytestmark = pytest.mark.skipif(not FACTS.is_dir(), reason="the facts are not here")


def method(entry: Entry) -> str:
    return entry.name.rpartition("-")[2]


def details(name: str) -> Any:
    """The official configuration of a method."""
    known = [one for one in facts("recipes.json")["details"] if one["task"] == "ilsvrc2012"]
    (found,) = [one for one in known if one["config"].rpartition("/")[2].startswith(f"{name}-")]
    return found


def wrapper(stage: Any, model: str = "teacher") -> Any:
    return stage[model]["auxiliary_model_wrapper"]["kwargs"]


def tap(path: str) -> str:
    return path.rpartition(".")[2]


def both(path: str) -> dict[str, Any]:
    return {"student": tap(path), "teacher": tap(path)}


def of_pairs(kwargs: Any) -> dict[str, Any]:
    pairs = kwargs["at_pairs"].values()
    assert all(pair["weight"] == 1 and pair["student"]["io"] == pair["teacher"]["io"] == "output" for pair in pairs)
    return {side: [pair[side]["path"] for pair in pairs] for side in ("student", "teacher")}


def paraphraser(stage: Any) -> dict[str, Any]:
    told = wrapper(stage)["paraphraser_kwargs"]
    return {"rate": told["k"], "batch_norm": told["uses_bn"]}


def of_sskd(kwargs: Any, stage: Any) -> dict[str, Any]:
    assert kwargs["tf_temp"] == kwargs["kl_temp"]  # ours has one for both
    return {
        **both(wrapper(stage)["input_module"]["path"]), "temperature": kwargs["kl_temp"], "ratio": kwargs["tf_ratio"],
        "self_temperature": kwargs["ss_temp"], "self_ratio": kwargs["ss_ratio"], "weights": kwargs["loss_weights"],
    }  # fmt: skip


Expected = Callable[[Any, Any], dict[str, Any]]
"""The arguments of ours, of those of theirs and of their stage."""
LOSSES: dict[str, tuple[str, Expected]] = {
    "CrossEntropyLoss": ("CrossEntropy", lambda k, s: {}),
    "KDLoss": ("KD", lambda k, s: {"temperature": k["temperature"], "alpha": k["alpha"]}),
    "ATLoss": ("AttentionTransfer", lambda k, s: {**of_pairs(k), "form": k["mode"]}),
    "FTLoss": ("FactorTransfer", lambda k, s: {
        **both(wrapper(s)["input_module_path"]), **paraphraser(s), "p": k["p"]}),
    "CRDLoss": ("CRD", lambda k, s: {
        **both(wrapper(s)["input_module_path"]), "dim": k["input_size"], "negatives": k["num_negative_samples"],
        **{name: k[name] for name in ("temperature", "momentum", "eps")}}),
    "AuxSSKDLoss": ("SelfSupervision", lambda k, s: {"teacher": tap(wrapper(s)["input_module"]["path"])}),
    "SSKDLoss": ("SSKD", of_sskd),
    "PADL2Loss": ("PAD", lambda k, s: {**both(k["student_embed_module_path"]), "eps": k["eps"]}),
    "SRDLoss": ("SRD", lambda k, s: {
        **both(wrapper(s)["input_module"]["path"]), "exponent": k["exponent"], "temperature": k["temperature"],
        "eps": wrapper(s)["norm_kwargs"]["eps"]}),
    "MSELoss of ft": ("Paraphrase", lambda k, s: {"teacher": tap(wrapper(s)["input_module_path"]), **paraphraser(s)}),
    "MSELoss of ce_l2": ("FeatureMSE", lambda k, s: both(*s["student"]["forward_hook"]["output"])),
}  # fmt: skip


def schedule(stage: Stage) -> Any:
    return stage.schedule and (stage.schedule.use.rpartition(".")[2], dict(stage.schedule.args), stage.schedule_per)


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_a_recipe_trains_as_was_recorded(entry: Entry) -> None:
    fact, recipe = details(method(entry)), entry.recipe
    processes, faster = HARDWARE[fact["log_hardware"]]
    for stage, told in zip(recipe.stages, fact["stages"], strict=True):
        assert (stage.epochs, stage.batch_size) == (told["epochs"], processes * told["batch_size"])
        rate = {"lr": pytest.approx(faster * told["lr"])}
        assert (stage.optimizer.use, stage.optimizer.args) == (
            told["optimizer"], rate | {name: told[name] for name in ("momentum", "weight_decay")},
        )  # fmt: skip
        assert schedule(stage) == (told["scheduler"] and (told["scheduler"], told["scheduler_kwargs"], "epoch"))
        assert stage.trainable == (None if told["student"]["requires_grad"] else ())
        (teacher,) = stage.all_teachers.values()
        assert teacher.model is not None
        assert (teacher.model.use, teacher.model.args) == (fact["teacher"]["key"], {"num_classes": 1000})
        assert str(teacher.weights).rpartition("/")[2].startswith(f"{teacher.model.use}-")
    last = recipe.stages[-1]
    assert (last.selection, last.selected_on, last.selected_by) == ("best", "val", ("accuracy",))


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_a_loss_is_the_recorded_one(entry: Entry) -> None:
    for stage, told in zip(entry.recipe.stages, details(method(entry))["stages"], strict=True):
        for term, theirs in zip(stage.criterion.values(), told["losses"].values(), strict=True):
            key = theirs["key"]
            use, expected = LOSSES[key if key != "MSELoss" else f"{key} of {method(entry)}"]
            assert (term.loss.use, dict(term.loss.args)) == (use, expected(theirs["kwargs"], told))
            assert term.weight == theirs["weight"]


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_images_are_prepared_as_for_knowledge_review(entry: Entry) -> None:
    """Whose recipe is compared with what was recorded of it."""
    assert entry.recipe.task == REVIEW.recipe.task
    assert details(method(entry))["augmentations"] == details("kr")["augmentations"]


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_every_recorded_score_is_claimed_and_no_other(entry: Entry) -> None:
    known: dict[str, list[float]] = {}
    for fact in facts("references.json"):
        if (fact["id"], fact["kind"]) == (f"ilsvrc2012-resnet18-{method(entry)}", "published_weights"):
            known.setdefault(METRICS.get(fact["metric"], fact["metric"]), []).append(fact["value"] / 100)
            assert str(pinned_source(parse_source(str(entry.recipe.weights)))) == fact["weight_url"]
    claimed: dict[str, list[float]] = {}
    for claim in entry.recipe.claims:
        assert claim.value is not None
        assert claim.n == SIZES["ilsvrc2012"]
        assert any(abs(value - claim.value) <= 5e-5 + 1e-12 for value in known[claim.metric]), claim
        if claim.of == "weights":
            claimed.setdefault(claim.metric, []).append(claim.value)
    assert claimed.keys() == known.keys()
    for metric, values in known.items():  # two of them are cut to four decimals, not rounded
        assert all(any(abs(value - one) <= 1e-4 + 1e-12 for one in claimed[metric]) for value in values)
