"""The fingerprint of an entry: it holds for what is shipped, and tells which level of it broke."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save as to_safetensors

from harness.diagnosis.fingerprint import (
    Fingerprint,
    check_fingerprint,
    compare_fingerprints,
    fingerprint_path,
    read_fingerprint,
    update_fingerprint,
    write_fingerprint,
)
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext
from harness.runs.shared_tasks import SharedTasks
from harness.training.training_run import ComputeOptions
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, SourceError
from zoo.fetch import weights_file
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry

STARTER = catalogue.select([], ["starter"])
NAME = "digits-resnet8"
Edit = tuple[str, str]
HELD = "recipe, weights, inputs, logits and predictions are as recorded"
LEVELS = ["recipe", "weights", "data", "inputs", "logits", "predictions"]


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return RunContext(
        builder=Builder(), accelerator=accelerator_on("cpu"), runs=tmp_path_factory.mktemp("runs") / "none"
    )


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Entry]:
    """A starter entry's recipe, with texts replaced, beside the fingerprint of the shipped one."""

    def copied(name: str, *edits: Edit) -> Entry:
        entry, path = catalogue.one(name), tmp_path / f"{name}.yaml"
        text = entry.path.read_text(encoding="utf-8")
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)
        path.with_suffix(".fingerprint.json").write_bytes(fingerprint_path(entry).read_bytes())
        return catalogue.local(path)

    return copied


def broken(entry: Entry, setup: RunContext) -> list[str]:
    found = check_fingerprint(entry, setup)
    assert found.check is not None, found.why
    assert [level.name for level in found.check.levels] == LEVELS
    return [level.name for level in found.check.levels if not level.ok]


@pytest.mark.parametrize("entry", STARTER, ids=lambda entry: entry.name)
def test_the_fingerprint_of_every_shipped_entry_holds(entry: Entry, setup: RunContext) -> None:
    found = check_fingerprint(entry, setup)
    assert (found.verdict, found.why) == ("reproduced", "every level is as recorded")
    canary = read_fingerprint(fingerprint_path(entry))
    assert canary.recipe == entry.recipe.digest
    assert (len(canary.logits), canary.precision, canary.split) == (32, "fp32", "test")
    assert not setup.runs.exists()


def test_what_is_written_is_what_is_read(setup: RunContext, copy: Callable[..., Entry], tmp_path: Path) -> None:
    entry = copy(NAME)
    shipped = fingerprint_path(entry).read_bytes()
    fingerprint_path(entry).write_text("damaged")
    assert update_fingerprint(entry, setup).verdict == "reproduced"
    assert fingerprint_path(entry).read_bytes() == shipped
    write_fingerprint(tmp_path / "again.json", read_fingerprint(fingerprint_path(entry)))
    assert (tmp_path / "again.json").read_bytes() == shipped


def test_a_recipe_that_is_trained_otherwise_is_a_note(setup: RunContext, copy: Callable[..., Entry]) -> None:
    entry = copy(NAME, ("epochs: 20", "epochs: 21"))
    assert broken(entry, setup) == ["recipe"]
    found = check_fingerprint(entry, setup)
    assert found.verdict == "reproduced"
    assert found.data()["broke"] is None
    assert found.why.startswith("every level but the digest is as recorded; recipe: SHA-256")


def test_other_weights_break_what_follows_from_them(
    setup: RunContext, copy: Callable[..., Entry], tmp_path: Path
) -> None:
    state = weights_file.read(ROOT / "zoo" / "starter" / f"{NAME}.safetensors")
    state["fc.bias"] = state["fc.bias"] + 0.25
    (tmp_path / "w.safetensors").write_bytes(to_safetensors(state))
    entry = copy(NAME, (f"embedded:{NAME}.safetensors", f"file:{tmp_path / 'w.safetensors'}"))
    assert broken(entry, setup) == ["recipe", "weights", "logits"]
    found = check_fingerprint(entry, setup)
    assert found.verdict == "not-reproduced"
    assert found.data()["broke"] == "weights"
    assert "logits: 32 of 32 rows differ, at most 0.25; data, inputs and predictions are as recorded" in found.why


def test_another_split_is_other_data() -> None:
    canary = read_fingerprint(fingerprint_path(catalogue.one(NAME)))
    check = compare_fingerprints(canary, replace(canary, split="train"))
    assert (check.broke, check.why) == ("data", f"data: of the split train instead of test; {HELD}")


def test_another_tokenizer_breaks_the_inputs_and_not_the_data(setup: RunContext, copy: Callable[..., Entry]) -> None:
    entry = copy("entail-bert-l2h64", ("lowercase: false", "lowercase: true"))
    assert broken(entry, setup)[:3] == ["recipe", "inputs", "logits"]


def test_other_data_are_found_out(setup: RunContext, copy: Callable[..., Entry], tmp_path: Path) -> None:
    def another_command() -> RunContext:
        return replace(setup, shared=SharedTasks())  # one command reads a file once

    rows = [{"a": "Rose keeps the rose.", "b": "Mark sells the dog.", "label": i % 3} for i in range(40)]
    path = tmp_path / "rows.jsonl"
    task = f"task: {{use: text_classification, data: {{test: file:{path}}}, text: [a, b], scored: [test],"
    entry = copy("entail-bert-l2h64", ("task: entailment", f"{task} classes: [e, n, c]}}"))
    path.write_text("\n".join(map(json.dumps, rows)))
    assert update_fingerprint(entry, setup).error is None
    assert broken(entry, another_command()) == []
    path.write_text("\n".join(map(json.dumps, [*rows[:35], {**rows[35], "label": 0}])))
    assert broken(entry, another_command()) == []
    path.write_text("\n".join(map(json.dumps, [*rows[:31], {**rows[31], "label": 0}])))
    assert broken(entry, another_command()) == ["data"]
    assert check_fingerprint(entry, another_command()).why.endswith(
        "recipe, weights, inputs, logits and predictions are as recorded"
    )


def test_another_precision_breaks_the_logits_and_says_so(setup: RunContext, copy: Callable[..., Entry]) -> None:
    in_bf16 = replace(setup, options=ComputeOptions(precision="bf16"))
    found = check_fingerprint(copy("entail-bert-l2h32"), in_bf16)
    assert found.check is not None
    assert (found.verdict, found.check.broke) == ("not-reproduced", "logits")
    assert "computed in bf16, recorded in fp32" in found.why
    assert found.why.endswith("are as recorded: the computation changed")


def canary(**changed: object) -> Fingerprint:
    known = Fingerprint(
        recipe="a", weights="b", data="c", inputs="d", split="test", precision="fp32",
        logits=np.array([[0.1234, 1.0], [2.0, -3.0]]), predictions=np.array([1, 0]),
    )  # fmt: skip
    return replace(known, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("logit", "holds"), [(0.1235, True), (0.1233, True), (0.1236, False), (0.1232, False), (np.nan, False)]
)
def test_a_rounding_at_the_border_is_no_break(logit: float, holds: bool) -> None:
    check = compare_fingerprints(canary(), canary(logits=np.array([[logit, 1.0], [2.0, -3.0]])))
    assert (check.verdict == "reproduced") is holds
    assert check.broke == (None if holds else "logits")


def test_every_level_is_told_and_the_first_that_broke_is_named() -> None:
    check = compare_fingerprints(
        canary(), canary(inputs="e", logits=np.array([[0.1234, 1.0], [2.0, 3.5]]), predictions=np.array([1, 1]))
    )
    assert check.broke == "inputs"
    assert check.why == (
        "inputs: SHA-256 e instead of d; logits: 1 of 2 rows differ, at most 6.5; predictions: 1 of 2 differ;"
        " recipe, weights and data are as recorded"
    )
    only = compare_fingerprints(canary(), canary(predictions=np.array([1, 1])))
    assert (only.broke, only.verdict) == ("predictions", "not-reproduced")
    shapes = compare_fingerprints(canary(), canary(logits=np.zeros((2, 3))))
    assert "of shape (2, 3), recorded (2, 2)" in shapes.why
    json.dumps([level.detail for level in shapes.levels], allow_nan=False)


def test_of_a_regression_the_predictions_are_the_logits() -> None:
    logits = np.array([[0.5], [0.25]])
    known, near = canary(logits=logits, predictions=logits[:, 0]), logits + 5e-5
    assert compare_fingerprints(known, canary(logits=near, predictions=near[:, 0])).verdict == "reproduced"
    assert compare_fingerprints(known, canary(logits=near + 1, predictions=near[:, 0] + 1)).broke == "logits"


def test_what_has_no_fingerprint_is_not_run_and_why(setup: RunContext, copy: Callable[..., Entry]) -> None:
    entry = copy(NAME)
    fingerprint_path(entry).unlink()
    found = check_fingerprint(entry, setup)
    assert (found.verdict, found.why, found.error) == (
        "not-run", "no canary; once its claims are reproduced, `zoo fingerprint --update` writes one", None,
    )  # fmt: skip
    unpublished = copy(NAME, (f"weights: embedded:{NAME}.safetensors\n", ""))
    assert check_fingerprint(unpublished, setup).why == "there are no published weights"
    segmentation = catalogue.select([], ["coco2017"])[0]
    assert check_fingerprint(segmentation, setup).why == "a segmentation has no canary"
    for refused in (unpublished, segmentation):
        assert (update_fingerprint(refused, setup).verdict, update_fingerprint(refused, setup).check) == (
            "not-run",
            None,
        )
    assert "no canary" in check_fingerprint(catalogue.one("bert-base-uncased-cola"), setup).why  # and no Hub is asked


def test_an_error_is_part_of_the_outcome(setup: RunContext, copy: Callable[..., Entry]) -> None:
    missing = check_fingerprint(copy(NAME, (f"embedded:{NAME}.safetensors", "file:nowhere.safetensors")), setup)
    assert missing.verdict == "not-run"
    assert isinstance(missing.error, SourceError)
    entry = copy(NAME)
    for damage in ("{", "[]", '{"schema": 2}', '{"schema": 1}'):
        fingerprint_path(entry).write_text(damage)
        damaged = check_fingerprint(entry, setup)
        assert isinstance(damaged.error, IntegrityError), damage
        assert str(fingerprint_path(entry)) in damaged.why
    json.dumps(damaged.data(), allow_nan=False)
