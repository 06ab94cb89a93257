"""Fingerprints match the shipped entries, and show which level of a computation differs first."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

from harness.diagnosis.fingerprint import check_fingerprint, fingerprint_path, update_fingerprint
from harness.diagnosis.fingerprint_comparison import compare_fingerprints
from harness.diagnosis.fingerprint_file import Fingerprint, read_fingerprint, write_fingerprint
from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance, terms_of
from harness.runs.experiment import RunContext, prepare
from harness.runs.shared_tasks import SharedTasks
from harness.training.training_run import ComputeOptions
from tests.helpers.device import device
from tests.helpers.project import ROOT, Zoo
from zoo.errors import IntegrityError, SourceError
from zoo.fetch import weights_file
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry

STARTER = catalogue.select([], ["starter"])
NAME = "digits-resnet8"
Edit = tuple[str, str]
MATCHING = "recipe, weights, inputs, logits and predictions match"
LEVELS = ["recipe", "weights", "data", "inputs", "logits", "predictions"]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return RunContext(
        builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path_factory.mktemp("runs") / "none"
    )


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Entry]:
    """Copy the recipe and the fingerprint of a starter entry, and replace texts in the recipe."""

    def copied(name: str, *edits: Edit) -> Entry:
        entry, path = catalogue.select_one(name), tmp_path / f"{name}.yaml"
        text = entry.path.read_text(encoding="utf-8")
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)
        path.with_suffix(".fingerprint.json").write_bytes(fingerprint_path(entry).read_bytes())
        return catalogue.local(path)

    return copied


def different_levels(entry: Entry, context: RunContext) -> list[str]:
    outcome = check_fingerprint(entry, context)
    assert outcome.comparison is not None, outcome.why
    assert [level.name for level in outcome.comparison.levels] == LEVELS
    return [level.name for level in outcome.comparison.levels if not level.ok]


@pytest.mark.parametrize("entry", STARTER, ids=lambda entry: entry.name)
def test_every_shipped_entry_matches_its_fingerprint(entry: Entry, context: RunContext) -> None:
    outcome = check_fingerprint(entry, context)
    assert (outcome.verdict, outcome.why) == ("reproduced", "all levels match the fingerprint")
    fingerprint = read_fingerprint(fingerprint_path(entry))
    assert fingerprint.recipe == entry.recipe.digest
    assert (len(fingerprint.logits), fingerprint.precision, fingerprint.split) == (32, "fp32", "test")
    assert not context.runs.exists()


def test_an_update_writes_the_shipped_fingerprint_up_to_rounding(
    context: RunContext, copy: Callable[..., Entry]
) -> None:
    entry = copy(NAME)
    shipped = read_fingerprint(fingerprint_path(entry))
    fingerprint_path(entry).write_text("damaged")
    assert update_fingerprint(entry, context).verdict == "reproduced"
    found = read_fingerprint(fingerprint_path(entry))
    texts = ("recipe", "weights", "data", "inputs", "split", "precision")
    assert all(getattr(found, name) == getattr(shipped, name) for name in texts)
    model = prepare(entry, context).published_model()[0]
    both_rounded, scale = 1.01e-4, float(np.abs(shipped.logits).max())
    allowed = both_rounded + rounding_tolerance(torch.float32, terms_of(model), scale)
    np.testing.assert_allclose(found.logits, shipped.logits, rtol=0, atol=allowed)


@pytest.mark.parametrize("entry", STARTER, ids=lambda entry: entry.name)
def test_a_fingerprint_that_is_read_and_written_has_the_same_bytes(entry: Entry, tmp_path: Path) -> None:
    write_fingerprint(tmp_path / "again.json", read_fingerprint(fingerprint_path(entry)))
    assert (tmp_path / "again.json").read_bytes() == fingerprint_path(entry).read_bytes()


def test_a_recipe_with_another_training_is_only_noted(context: RunContext, copy: Callable[..., Entry]) -> None:
    entry = copy(NAME, ("epochs: 20", "epochs: 21"))
    assert different_levels(entry, context) == ["recipe"]
    outcome = check_fingerprint(entry, context)
    assert outcome.verdict == "reproduced"
    assert outcome.data()["first_mismatch"] is None
    assert outcome.why.startswith("all levels but the recipe match the fingerprint; recipe: SHA-256")


def test_other_weights_differ_in_weights_and_logits(
    context: RunContext, copy: Callable[..., Entry], tmp_path: Path
) -> None:
    state = weights_file.read(ROOT / "zoo" / "starter" / f"{NAME}.safetensors")
    state["fc.bias"] = state["fc.bias"] + 0.25
    (tmp_path / "w.safetensors").write_bytes(to_safetensors(state))
    entry = copy(NAME, (f"embedded:{NAME}.safetensors", f"file:{tmp_path / 'w.safetensors'}"))
    assert different_levels(entry, context) == ["recipe", "weights", "logits"]
    outcome = check_fingerprint(entry, context)
    assert outcome.verdict == "not-reproduced"
    assert outcome.data()["first_mismatch"] == "weights"
    assert "logits: 32 of 32 rows differ, by at most 0.25; data, inputs and predictions match" in outcome.why


def test_another_split_differs_in_the_data() -> None:
    fingerprint = read_fingerprint(fingerprint_path(catalogue.select_one(NAME)))
    comparison = compare_fingerprints(fingerprint, replace(fingerprint, split="train"))
    assert (comparison.first_mismatch, comparison.why) == ("data", f"data: split train instead of test; {MATCHING}")


def test_another_tokenizer_differs_in_the_inputs_but_not_in_the_data(
    context: RunContext, copy: Callable[..., Entry]
) -> None:
    entry = copy("entail-bert-l2h64", ("lowercase: false", "lowercase: true"))
    assert different_levels(entry, context)[:3] == ["recipe", "inputs", "logits"]


def test_changed_data_are_detected_in_the_first_rows_only(
    context: RunContext, copy: Callable[..., Entry], tmp_path: Path
) -> None:
    def another_command() -> RunContext:
        return replace(context, shared=SharedTasks())  # one command reads a file once

    rows = [{"a": "Rose keeps the rose.", "b": "Mark sells the dog.", "label": i % 3} for i in range(40)]
    path = tmp_path / "rows.jsonl"
    task = f"task: {{use: text_classification, data: {{test: file:{path}}}, text: [a, b], scored: [test],"
    entry = copy("entail-bert-l2h64", ("task: entailment", f"{task} classes: [e, n, c]}}"))
    path.write_text("\n".join(map(json.dumps, rows)))
    assert update_fingerprint(entry, context).error is None
    assert different_levels(entry, another_command()) == []
    path.write_text("\n".join(map(json.dumps, [*rows[:35], {**rows[35], "label": 0}])))
    assert different_levels(entry, another_command()) == []
    path.write_text("\n".join(map(json.dumps, [*rows[:31], {**rows[31], "label": 0}])))
    assert different_levels(entry, another_command()) == ["data"]
    assert check_fingerprint(entry, another_command()).why.endswith(MATCHING)


def test_another_precision_differs_in_the_logits_and_is_named(context: RunContext, copy: Callable[..., Entry]) -> None:
    in_bf16 = replace(context, options=ComputeOptions(precision="bf16"))
    outcome = check_fingerprint(copy("entail-bert-l2h32"), in_bf16)
    assert outcome.comparison is not None
    assert (outcome.verdict, outcome.comparison.first_mismatch) == ("not-reproduced", "logits")
    assert "computed in bf16, recorded in fp32" in outcome.why
    assert outcome.why.endswith("match; so the computation changed")


def small_fingerprint(**changed: object) -> Fingerprint:
    known = Fingerprint(
        recipe="a", weights="b", data="c", inputs="d", split="test", precision="fp32",
        logits=np.array([[0.1234, 1.0], [2.0, -3.0]]), predictions=np.array([1, 0]),
    )  # fmt: skip
    return replace(known, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("logit", "holds"), [(0.1235, True), (0.1233, True), (0.1236, False), (0.1232, False), (np.nan, False)]
)
def test_logits_may_differ_by_one_unit_of_the_last_decimal(logit: float, holds: bool) -> None:
    comparison = compare_fingerprints(
        small_fingerprint(), small_fingerprint(logits=np.array([[logit, 1.0], [2.0, -3.0]]))
    )
    assert (comparison.verdict == "reproduced") is holds
    assert comparison.first_mismatch == (None if holds else "logits")


def test_rounding_errors_of_a_large_model_are_no_difference() -> None:
    """2**16 terms move logits of 4 by up to 2 * 2**-23 * 2**8 * 4 = 2.4e-4, besides the rounding to decimals."""
    logits = np.array([[4.0, 1.0], [2.0, -3.0]])
    stored = small_fingerprint(logits=logits)
    computed = small_fingerprint(logits=logits + 3e-4, terms=2**16, layers=12)
    assert compare_fingerprints(stored, computed).verdict == "reproduced"
    assert compare_fingerprints(stored, replace(computed, logits=logits + 4e-4)).first_mismatch == "logits"
    assert compare_fingerprints(stored, replace(computed, terms=2**4)).first_mismatch == "logits"


def test_the_finer_of_two_precisions_decides_what_rounding_explains() -> None:
    """Sixteen layers in bf16 may move logits of 3 by 2 * 2**-7 * 4 * 3 = 0.19."""
    moved = small_fingerprint(logits=np.array([[0.2, 1.1], [2.1, -2.9]]), precision="bf16", layers=16)
    in_bf16 = small_fingerprint(precision="bf16")
    assert compare_fingerprints(in_bf16, moved).verdict == "reproduced"
    assert compare_fingerprints(small_fingerprint(), moved).first_mismatch == "logits"
    assert compare_fingerprints(in_bf16, replace(moved, precision="fp32")).first_mismatch == "logits"


def test_only_classes_that_rounding_can_swap_may_flip() -> None:
    near, tied, far = (np.array([[0.5, lead], [2.0, -3.0]]) for lead in (0.5001, 0.5, 0.6))
    first, second = np.array([1, 0]), np.array([0, 0])
    stored = small_fingerprint(logits=near, predictions=first)
    assert compare_fingerprints(stored, small_fingerprint(logits=tied, predictions=second)).verdict == "reproduced"
    stored = small_fingerprint(logits=far, predictions=first)
    flipped = compare_fingerprints(stored, small_fingerprint(logits=far, predictions=second))
    assert flipped.first_mismatch == "predictions"


def test_all_levels_are_reported_and_the_first_that_differs_is_named() -> None:
    comparison = compare_fingerprints(
        small_fingerprint(),
        small_fingerprint(inputs="e", logits=np.array([[0.1234, 1.0], [2.0, 3.5]]), predictions=np.array([1, 1])),
    )
    assert comparison.first_mismatch == "inputs"
    assert comparison.why == (
        "inputs: SHA-256 e instead of d; logits: 1 of 2 rows differ, by at most 6.5; predictions: 1 of 2 differ;"
        " recipe, weights and data match"
    )
    only = compare_fingerprints(small_fingerprint(), small_fingerprint(predictions=np.array([1, 1])))
    assert (only.first_mismatch, only.verdict) == ("predictions", "not-reproduced")
    shapes = compare_fingerprints(small_fingerprint(), small_fingerprint(logits=np.zeros((2, 3))))
    assert "shape (2, 3) instead of (2, 2)" in shapes.why
    json.dumps([level.detail for level in shapes.levels], allow_nan=False)


def test_the_predictions_of_a_regression_are_compared_as_logits() -> None:
    logits = np.array([[0.5], [0.25]])
    known, near = small_fingerprint(logits=logits, predictions=logits[:, 0]), logits + 5e-5
    assert compare_fingerprints(known, small_fingerprint(logits=near, predictions=near[:, 0])).verdict == "reproduced"
    assert (
        compare_fingerprints(known, small_fingerprint(logits=near + 1, predictions=near[:, 0] + 1)).first_mismatch
        == "logits"
    )


def test_an_entry_without_a_fingerprint_is_not_run_and_the_reason_is_given(
    context: RunContext, copy: Callable[..., Entry]
) -> None:
    entry = copy(NAME)
    fingerprint_path(entry).unlink()
    outcome = check_fingerprint(entry, context)
    assert (outcome.verdict, outcome.why, outcome.error) == (
        "not-run",
        f"no fingerprint; once the claims are reproduced, write one with `zoo fingerprint {entry.path} --update`",
        None,
    )
    unpublished = copy(NAME, (f"weights: embedded:{NAME}.safetensors\n", ""))
    assert check_fingerprint(unpublished, context).why == "there are no published weights"
    segmentation = catalogue.select([], ["coco2017"])[0]
    assert check_fingerprint(segmentation, context).why == "its task has no logits of examples to compare"
    for refused in (unpublished, segmentation):
        assert (update_fingerprint(refused, context).verdict, update_fingerprint(refused, context).comparison) == (
            "not-run",
            None,
        )
    on_the_hub = catalogue.select_one("bert-base-uncased-cola")  # no Hub is reachable in tests
    assert "no fingerprint" in check_fingerprint(on_the_hub, context).why


def test_the_command_that_writes_a_fingerprint_names_the_entry(zoo: Zoo, copy: Callable[..., Entry]) -> None:
    path = copy(NAME).path
    path.with_suffix(".fingerprint.json").unlink()
    (outcome,) = json.loads(zoo("fingerprint", path, "--json").out)["entries"]
    command = outcome["why"].split("`")[1]
    assert zoo(*shlex.split(command)[1:]).code == 0
    assert zoo("fingerprint", path).code == 0


def test_an_error_is_part_of_the_outcome(context: RunContext, copy: Callable[..., Entry]) -> None:
    missing = check_fingerprint(copy(NAME, (f"embedded:{NAME}.safetensors", "file:nowhere.safetensors")), context)
    assert missing.verdict == "not-run"
    assert isinstance(missing.error, SourceError)
    entry = copy(NAME)
    for damage in ("{", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "precision": "fp8"}'):
        fingerprint_path(entry).write_text(damage)
        damaged = check_fingerprint(entry, context)
        assert isinstance(damaged.error, IntegrityError), damage
        assert str(fingerprint_path(entry)) in damaged.why
    json.dumps(damaged.data(), allow_nan=False)
