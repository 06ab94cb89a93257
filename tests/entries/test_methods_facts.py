"""The recipes of nine methods on ImageNet compared with the recorded facts, number by number."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.facts import METRICS, SIZES, facts, needs_facts
from zoo.fetch.source_types import parse_source, pinned_source
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.stage import Stage

REVIEW = catalogue.select_one("ilsvrc2012-resnet18_from_resnet34")
ENTRIES = [entry for entry in catalogue.select(["ilsvrc2012-methods"]) if entry.name != f"{REVIEW.name}-kr"]
"""All but Knowledge Review, which is also an entry of the suite `ilsvrc2012` and is compared there."""
HARDWARE = {"1 GPU": (1, 1), "3 GPUs": (3, 1), "3 GPUs, -adjust_lr": (3, 3)}
"""Factors between the configuration and the log, by hardware: rows per step, learning rate."""

pytestmark = needs_facts


def method(entry: Entry) -> str:
    return entry.name.rpartition("-")[2]


def details(name: str) -> Any:
    """Return the official configuration of a method."""
    (recorded,) = [
        detail
        for detail in facts("recipes.json")["details"]
        if detail["task"] == "ilsvrc2012" and detail["config"].rpartition("/")[2].startswith(f"{name}-")
    ]
    return recorded


def wrapper(stage: Any, model: str = "teacher") -> Any:
    return stage[model]["auxiliary_model_wrapper"]["kwargs"]


def module(path: str) -> str:
    return path.rpartition(".")[2]


def sides(path: str) -> dict[str, Any]:
    return {"student": module(path), "teacher": module(path)}


def attention_pairs(kwargs: Any) -> dict[str, Any]:
    pairs = kwargs["at_pairs"].values()
    assert all(pair["weight"] == 1 and pair["student"]["io"] == pair["teacher"]["io"] == "output" for pair in pairs)
    return {side: [pair[side]["path"] for pair in pairs] for side in ("student", "teacher")}


def paraphraser(stage: Any) -> dict[str, Any]:
    kwargs = wrapper(stage)["paraphraser_kwargs"]
    return {"rate": kwargs["k"], "batch_norm": kwargs["uses_bn"]}


def sskd(kwargs: Any, stage: Any) -> dict[str, Any]:
    assert kwargs["tf_temp"] == kwargs["kl_temp"]  # our loss has one argument for both
    return {
        **sides(wrapper(stage)["input_module"]["path"]), "temperature": kwargs["kl_temp"], "ratio": kwargs["tf_ratio"],
        "self_temperature": kwargs["ss_temp"], "self_ratio": kwargs["ss_ratio"], "weights": kwargs["loss_weights"],
    }  # fmt: skip


Expected = Callable[[Any, Any], dict[str, Any]]
"""Turns the recorded arguments of a loss and the recorded stage into the arguments of this project's loss."""
LOSSES: dict[str, tuple[str, Expected]] = {
    "CrossEntropyLoss": ("CrossEntropy", lambda k, s: {}),
    "KDLoss": ("KD", lambda k, s: {"temperature": k["temperature"], "alpha": k["alpha"]}),
    "ATLoss": ("AttentionTransfer", lambda k, s: {**attention_pairs(k), "form": k["mode"]}),
    "FTLoss": ("FactorTransfer", lambda k, s: {
        **sides(wrapper(s)["input_module_path"]), **paraphraser(s), "p": k["p"]}),
    "CRDLoss": ("CRD", lambda k, s: {
        **sides(wrapper(s)["input_module_path"]), "dim": k["input_size"], "negatives": k["num_negative_samples"],
        **{name: k[name] for name in ("temperature", "momentum", "eps")}}),
    "AuxSSKDLoss": ("SelfSupervision", lambda k, s: {"teacher": module(wrapper(s)["input_module"]["path"])}),
    "SSKDLoss": ("SSKD", sskd),
    "PADL2Loss": ("PAD", lambda k, s: {**sides(k["student_embed_module_path"]), "eps": k["eps"]}),
    "SRDLoss": ("SRD", lambda k, s: {
        **sides(wrapper(s)["input_module"]["path"]), "exponent": k["exponent"], "temperature": k["temperature"],
        "eps": wrapper(s)["norm_kwargs"]["eps"]}),
    "MSELoss of ft": ("Paraphrase", lambda k, s: {
        "teacher": module(wrapper(s)["input_module_path"]), **paraphraser(s)}),
    "MSELoss of ce_l2": ("FeatureMSE", lambda k, s: sides(*s["student"]["forward_hook"]["output"])),
}  # fmt: skip


def schedule(stage: Stage) -> Any:
    return stage.schedule and (stage.schedule.use.rpartition(".")[2], dict(stage.schedule.args), stage.schedule_per)


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_a_recipe_trains_as_recorded(entry: Entry) -> None:
    fact, recipe = details(method(entry)), entry.recipe
    processes, rate_factor = HARDWARE[fact["log_hardware"]]
    for stage, recorded in zip(recipe.stages, fact["stages"], strict=True):
        assert (stage.epochs, stage.batch_size) == (recorded["epochs"], processes * recorded["batch_size"])
        rate = {"lr": pytest.approx(rate_factor * recorded["lr"])}
        assert (stage.optimizer.use, stage.optimizer.args) == (
            recorded["optimizer"], rate | {name: recorded[name] for name in ("momentum", "weight_decay")},
        )  # fmt: skip
        assert schedule(stage) == (
            recorded["scheduler"] and (recorded["scheduler"], recorded["scheduler_kwargs"], "epoch")
        )
        assert stage.trainable == (None if recorded["student"]["requires_grad"] else ())
        (teacher,) = stage.all_teachers.values()
        assert teacher.model is not None
        assert (teacher.model.use, teacher.model.args) == (fact["teacher"]["key"], {"num_classes": 1000})
        assert str(teacher.weights).rpartition("/")[2].startswith(f"{teacher.model.use}-")
    last = recipe.stages[-1]
    assert (last.selection, last.selected_on, last.selected_by) == ("best", "val", ("accuracy",))


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_a_loss_has_the_recorded_arguments(entry: Entry) -> None:
    for stage, recorded in zip(entry.recipe.stages, details(method(entry))["stages"], strict=True):
        for term, term_recorded in zip(stage.criterion.values(), recorded["losses"].values(), strict=True):
            key = term_recorded["key"]
            use, expected = LOSSES[key if key != "MSELoss" else f"{key} of {method(entry)}"]
            assert (term.loss.use, dict(term.loss.args)) == (use, expected(term_recorded["kwargs"], recorded))
            assert term.weight == term_recorded["weight"]


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_images_are_prepared_as_for_knowledge_review(entry: Entry) -> None:
    assert entry.recipe.task == REVIEW.recipe.task
    assert details(method(entry))["augmentations"] == details("kr")["augmentations"]


@pytest.mark.parametrize("entry", ENTRIES, ids=method)
def test_all_recorded_scores_are_claimed_and_no_others(entry: Entry) -> None:
    recorded: dict[str, list[float]] = {}
    for fact in facts("references.json"):
        if (fact["id"], fact["kind"]) == (f"ilsvrc2012-resnet18-{method(entry)}", "published_weights"):
            recorded.setdefault(METRICS.get(fact["metric"], fact["metric"]), []).append(fact["value"] / 100)
            assert str(pinned_source(parse_source(str(entry.recipe.weights)))) == fact["weight_url"]
    claimed: dict[str, list[float]] = {}
    for claim in entry.recipe.claims:
        assert claim.value is not None
        assert claim.n == SIZES["ilsvrc2012"]
        assert any(abs(value - claim.value) <= 5e-5 + 1e-12 for value in recorded[claim.metric]), claim
        if claim.of == "weights":
            claimed.setdefault(claim.metric, []).append(claim.value)
    assert claimed.keys() == recorded.keys()
    for metric, values in recorded.items():  # two scores are truncated to four decimals
        assert all(any(abs(value - claim) <= 1e-4 + 1e-12 for claim in claimed[metric]) for value in values)
