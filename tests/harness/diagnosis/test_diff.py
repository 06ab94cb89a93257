"""`zoo diff`: differences of two records, their flipped examples as texts and pictures, and records by name."""

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import metrics
from harness.diagnosis.diff.comparison import diff
from harness.diagnosis.diff.example_data import with_examples, with_groups
from harness.diagnosis.diff.example_preview import ExamplePreview, preview_example
from harness.diagnosis.diff.find_record import find_record
from harness.diagnosis.diff.groups import Groups
from harness.diagnosis.diff.text_report import lines
from harness.diagnosis.diff.types import Diff, SplitDiff
from harness.judging.paired import Array
from harness.records.digests import json_digest
from harness.records.record import FILE, Record, Result, read_record
from harness.records.recorded_entry import entry_of
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, UnreachableError, UsageError
from zoo.fetch.checksum import sha256
from zoo.recipes import catalogue
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task
from zoo.tasks.digits import digits
from zoo.tasks.entailment import entailment
from zoo.tasks.splits import TensorSplit, TextSplit

EVIDENCE = ROOT / "leaderboard" / "records"
NOWHERE = Path("nowhere")
COMMITTED = read_record(find_record("digits-resnet8:1000", NOWHERE, EVIDENCE, str))
Written = Callable[..., Path]


def compared(a: str, b: str) -> Diff:
    return diff(find_record(a, NOWHERE, EVIDENCE, str), find_record(b, NOWHERE, EVIDENCE, str))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a record of these predictions, of the split `test` and the last epoch by default."""

    def write(
        name: str,
        arrays: Mapping[str, Array],
        scored: Mapping[str, float | None],
        *,
        selection: str = "last",
        split: str = "test",
        scoring: Mapping[str, Any] | None = None,
        **changed: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        (folder / "predictions.npz").write_bytes(buffer.getvalue())
        result = Result(
            split=split, n=len(next(iter(arrays.values()))), selection=selection,
            metrics={metric: {"value": value, "one_prediction": None} for metric, value in scored.items()},
            predictions={"file": "predictions.npz", "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()},
            scoring=scoring or {},
        )  # fmt: skip
        record = replace(COMMITTED, results=(result,), **changed)
        record = replace(record, identity=replace(record.identity, digest=json_digest(record.recipe)))
        (folder / FILE).write_text(record.to_json(), encoding="utf-8")
        return folder / FILE

    return write


def only_split(comparison: Diff) -> SplitDiff:
    (split,) = comparison.splits
    return split


def test_two_seeds_of_an_entry_differ_in_seed_weights_and_predictions() -> None:
    comparison = compared("digits-resnet8:1000", "digits-resnet8:1001")
    assert [difference.field for difference in comparison.differences] == ["seed", "weights"]
    split = only_split(comparison)
    (change,) = split.metrics
    assert change.difference == pytest.approx(-6 / 898)
    assert change.interval is not None and change.interval.low < -6 / 898 < 0 < change.interval.high
    assert split.flips is not None and (split.flips.gained, split.flips.lost, comparison.flipped) == (6, 12, 22)
    data = json.loads(json.dumps(comparison.data(), allow_nan=False))
    (split,) = data["splits"]
    assert sorted(split["flips"]["ids"]) == sorted(example["id"] for example in split["flips"]["examples"])
    assert sum(bar["count"] for bar in split["drift"]["histogram"]) == 898 * 10
    assert data["a"]["seed"] == 1000


def test_different_results_of_the_same_settings_are_reported(tmp_path: Path) -> None:
    source = find_record("digits-resnet8:weights", tmp_path, EVIDENCE, str).parent
    other = shutil.copytree(source, tmp_path / "other")
    with np.load(other / "predictions-test.npz") as stored:
        arrays = dict(stored)
    arrays["predictions"] = (arrays["predictions"] + (np.arange(898) < 5)) % 10
    np.savez(other / "predictions-test.npz", **arrays)
    data = json.loads((other / FILE).read_text())
    data["results"][0]["predictions"]["sha256"] = sha256(other / "predictions-test.npz")
    (other / FILE).write_text(json.dumps(data))
    assert "same recipe, data, weights and environment, with different results" in lines(
        diff(source / FILE, other / FILE)
    )
    assert "same recipe, data, weights and environment, with the same results" in lines(
        diff(source / FILE, source / FILE)
    )


def test_swapping_the_records_changes_the_sign_of_every_difference() -> None:
    forth, back = (only_split(compared(*pair)) for pair in (("ickd:1000", "ickd:1001"), ("ickd:1001", "ickd:1000")))
    (first,), (second,) = forth.metrics, back.metrics
    assert first.difference == -second.difference  # type: ignore[operator]
    assert first.interval is not None and second.interval is not None
    assert (first.interval.low, first.interval.high) == pytest.approx((-second.interval.high, -second.interval.low))
    assert forth.flips is not None and back.flips is not None
    assert (forth.flips.gained, forth.flips.p) == (back.flips.lost, back.flips.p)


@pytest.mark.parametrize("name", ["digits-resnet8:1000", "minilm-l6-mrpc:1000", "minilm-l6-stsb:1000"])
def test_a_record_does_not_differ_from_itself(name: str) -> None:
    comparison = compared(name, name)
    split = only_split(comparison)
    assert (comparison.differences, comparison.flipped, split.examples) == ((), 0, ())
    assert split.drift is not None and split.drift.max == 0
    assert split.flips is None or split.flips.p == 1.0
    for change in split.metrics:
        assert change.difference == 0
        assert change.interval is not None and change.interval.low <= 0 <= change.interval.high
    assert "with the same results" in "\n".join(lines(comparison))


def test_a_regression_has_drift_and_intervals_but_no_flips() -> None:
    split = only_split(compared("minilm-l6-stsb:1000", "minilm-l6-stsb:1001"))
    assert split.flips is None and "regression" in split.note and split.drift is not None
    for change in split.metrics:
        assert change.interval is not None and change.interval.kind == "jackknife"
        assert change.difference is not None and change.interval.low < change.difference < change.interval.high


def test_two_entries_of_a_task_differ_in_fields_of_their_recipes() -> None:
    comparison = compared("digits-resnet8:1000", "digits-resnet8_from_digits-resnet14:1000")
    parts = {difference.field: (difference.a, difference.b) for difference in comparison.differences}
    assert parts["recipe.stages.0.teacher.model.depth"] == (None, 14)
    assert "digest" in parts and any(name.startswith("sources.files.embedded:") for name in parts)


def test_records_without_a_common_split_are_refused() -> None:
    with pytest.raises(
        UsageError, match="no split in common: digits-resnet8 has test and minilm-l6-rte has validation"
    ):
        compared("digits-resnet8:1000", "minilm-l6-rte:1000")


def test_records_of_different_examples_have_scores_but_no_intervals() -> None:
    split = only_split(compared("digits-resnet8:1000", "entail-bert-l2h32:1000"))
    assert split.flips is None and split.drift is None and "not the same" in split.note
    assert split.metrics[0].interval is None and split.metrics[0].why == split.note


ARRAYS = {"labels": np.array([0, 1, 1, 0]), "predictions": np.array([0, 1, 0, 0])}


def test_a_metric_of_other_code_has_no_interval(written: Written) -> None:
    recipe = {**COMMITTED.recipe, "metrics": [{"use": "mine.kappa"}, {"use": "f1", "average": "macro"}]}
    value = metrics.f1(ARRAYS["predictions"], ARRAYS["labels"], average="macro")
    paths = [written(name, ARRAYS, {"kappa": 0.5, "f1": value}, recipe=recipe) for name in "ab"]
    macro, other = only_split(diff(*paths)).metrics
    assert other.interval is None and "not one of this project's metrics" in other.why
    assert macro.interval is not None  # computed with the recipe's own average


def test_a_score_that_cannot_be_computed_again_has_no_interval(written: Written) -> None:
    path = written("a", ARRAYS, {"accuracy": 0.5, "f1": None, "top5_accuracy": 1.0, "matthews_correlation": 0.0})
    whys = {change.metric: change.why for change in only_split(diff(path, path)).metrics}
    assert "0.750000 now, 0.500000 recorded" in whys["accuracy"]
    assert "not defined" in whys["f1"] and "no ranked of each example" in whys["top5_accuracy"]
    json.dumps(diff(path, path).data(), allow_nan=False)


def test_a_segmentation_has_an_interval_but_no_flips(written: Written) -> None:
    counts = np.array([[[5, 1], [2, 4]], [[3, 0], [1, 8]], [[7, 2], [0, 3]]], np.int32)
    better = np.array([[[6, 0], [1, 5]], [[3, 0], [0, 9]], [[9, 0], [0, 3]]], np.int32)
    paths = [
        written(name, {"confusion": confusion}, {"mean_iou": metrics.mean_iou(confusion)})
        for name, confusion in (("a", counts), ("b", better))
    ]
    split = only_split(diff(*paths))
    assert split.flips is None and split.drift is None
    assert split.metrics[0].interval is not None and split.metrics[0].interval.low > 0
    assert split.note == "the runs record the counts or scores of each image, and not one prediction that could flip"


def test_other_thresholds_of_the_same_outputs_are_no_drift_of_logits(written: Written) -> None:
    logits = np.array([[-1.0, 0.25], [0.5, 2.0], [1.5, -3.0]], np.float32)
    labels = np.array([[0, 1], [0, 1], [1, 0]])
    paths = [
        written(
            name,
            {"predictions": (logits > np.log(threshold / (1 - threshold))).astype(np.int64), "labels": labels}
            | {"logits": logits},
            {"f1_micro": 0.5},
            scoring={"threshold": threshold},
        )
        for name, threshold in (("half", 0.5), ("higher", 0.7))
    ]
    split = only_split(diff(*paths))
    assert split.drift is not None and split.drift.max == 0
    assert split.flips is not None and split.flips.rows.tolist() == [0, 1]
    assert np.all(split.flips.margins_a != split.flips.margins_b), "margins are measured from the thresholds"


def test_scores_of_questions_on_different_data_are_not_compared(written: Written) -> None:
    answers = {"answers": np.zeros((4, 9))}
    data = [{"test": {"rows": 4, "sha256": digit * 64}} for digit in "ab"]
    a, b, c = (
        written(name, answers, {"exact_match": 0.0},
                identity=replace(COMMITTED.identity, sources={**COMMITTED.identity.sources, "data": of_run}))
        for name, of_run in (("a", data[0]), ("b", data[1]), ("c", data[0]))
    )  # fmt: skip
    other, same = only_split(diff(a, b)), only_split(diff(a, c))
    assert other.note == other.metrics[0].why
    assert other.note == (
        f"the data of the split differ (4 rows with the digest {'a' * 12} and 4 rows with the digest {'b' * 12});"
        " scores on different data are not comparable"
    )
    assert same.note == "the runs record the counts or scores of each question, and not one prediction that could flip"


def test_results_of_different_epochs_are_compared_if_there_are_no_others(written: Written) -> None:
    a, b = written("a", ARRAYS, {"accuracy": 0.75}), written("b", ARRAYS, {"accuracy": 0.75}, selection="best")
    assert only_split(diff(a, b)).selections == ("last", "best")
    assert "epoch: last and best" in "\n".join(lines(diff(a, b)))


def test_changed_predictions_files_are_refused(written: Written) -> None:
    path = written("a", ARRAYS, {"accuracy": 0.75})
    (path.parent / "predictions.npz").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="expected sha256"):
        diff(path, path)


@dataclass(frozen=True)
class ExperimentStub:
    """The part of an experiment that is needed; importing the real class takes seconds."""

    recipe: Recipe
    task: Task


def experiment_stub(record: Record, task: Task) -> ExperimentStub:
    return ExperimentStub(entry_of(EVIDENCE / "none" / FILE, record).recipe, task)


def test_flipped_digits_are_shown_as_pictures() -> None:
    comparison = compared("digits-resnet8:1000", "digits-resnet8:1001")
    shown = with_examples(comparison, experiment_stub(comparison.a, digits()), limit=2)
    first, second, third = only_split(shown).examples[:3]
    assert first.preview is not None and first.preview.pixels is not None and first.preview.pixels.shape == (8, 8)
    assert second.preview is not None and third.preview is None and shown.why_no_examples == ""
    printed = list(lines(shown, limit=2))
    at = next(number for number, line in enumerate(printed) if line.startswith(f"  {first.id}: label"))
    assert len(printed[at + 1 : at + 9]) == 8 and all(len(line) <= 4 + 16 for line in printed[at + 1 : at + 9])
    assert printed[-1] == "... and 20 more; --limit shows more, --json all"
    assert any("\x1b[38;5;" in line for line in lines(shown, limit=2, colors=True))
    image = shown.data()["splits"][0]["flips"]["examples"][0]["image"]
    png = base64.b64decode(image.removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (8, 8)


def test_flipped_texts_are_shown_with_class_names() -> None:
    comparison = compared("entail-bert-l2h32:1000", "entail-bert-l2h32:1001")
    shown = with_examples(comparison, experiment_stub(comparison.a, entailment(tokenizer=None)), limit=1)
    first = only_split(shown).examples[0]
    assert first.preview is not None and len(first.preview.texts) == 2
    text = "\n".join(lines(shown, limit=1))
    assert f"{first.id}: label neutral: neutral -> contradiction" in text and first.preview.texts[1] in text


def test_intervals_and_tests_of_texts_are_clustered_by_shared_texts() -> None:
    comparison = compared("entail-bert-l2h32:1000", "entail-bert-l2h32:1001")
    split = only_split(with_groups(comparison, experiment_stub(comparison.a, entailment(tokenizer=None))))
    (before,), (after,) = only_split(comparison).metrics, split.metrics
    assert before.interval is not None and after.interval is not None
    assert (before.interval.kind, after.interval.kind) == ("jackknife", "cluster jackknife")
    assert after.interval.standard_error > before.interval.standard_error
    assert split.groups is not None and split.flips is not None and split.p_of_groups is not None
    assert (len(split.groups.sizes), split.better) == (581, "B") and split.p == split.p_of_groups > split.flips.p
    data = split.data()
    assert data["groups"] == {"shared": "a text", "count": 581, "largest": 26, "effective": split.groups.effective}
    assert data["flips"]["decided_by"] == "exact sign test of groups"


def test_examples_of_one_group_do_not_decide_which_run_is_better(written: Written) -> None:
    n = 40
    labels, wrong = np.zeros(n, np.int64), (np.arange(n) < 8).astype(np.int64)
    paths = [
        written(name, {"labels": labels, "predictions": predictions}, {"accuracy": float(np.mean(predictions == 0))})
        for name, predictions in (("a", wrong), ("b", labels))
    ]
    alone = diff(*paths)
    grouped = diff(*paths, {"test": Groups(ids=np.arange(n) // 8)})
    assert (only_split(alone).better, only_split(alone).p) == ("B", pytest.approx(2 / 2**8))
    assert (only_split(grouped).better, only_split(grouped).p) == (None, 1.0)
    text = "\n".join(lines(grouped))
    assert "5 groups of examples that share a text, at most 8 of 40 examples; standard errors are clustered" in text
    assert "exact sign test of groups: p = 1; at the 5 % level no difference is shown" in text


def test_without_the_texts_examples_are_treated_as_independent_and_the_report_says_so() -> None:
    comparison = compared("entail-bert-l2h32:1000", "entail-bert-l2h32:1001")
    missing = with_groups(comparison, None, failure=UnreachableError("nyu-mll/glue: does not answer"))
    assert missing.splits == comparison.splits
    sentence = (
        "examples are treated as independent: the texts of entail-bert-l2h32 are not on this machine;"
        " `zoo fetch entail-bert-l2h32` downloads them"
    )
    assert sentence in lines(missing) and sentence.endswith(str(missing.data()["why_no_groups"]))
    other = with_groups(comparison, experiment_stub(COMMITTED, digits()))
    assert "the recipe of digits-resnet8 is not the one that was run" in other.why_no_groups


def test_images_have_no_groups() -> None:
    comparison = compared("digits-resnet8:1000", "digits-resnet8:1001")
    assert with_groups(comparison, experiment_stub(comparison.a, digits())) == comparison


def test_without_the_recorded_data_no_example_is_shown_and_the_reason_is_given(written: Written) -> None:
    comparison = compared("digits-resnet8:1000", "digits-resnet8:1001")
    unknown = with_examples(comparison, None, why="no entry of that name")
    assert "examples are not shown: no entry of that name" in "\n".join(lines(unknown))
    other = experiment_stub(read_record(find_record("digits-resnet14:1000", NOWHERE, EVIDENCE, str)), digits())
    assert "not the one that was run" in with_examples(comparison, other).why_no_examples
    flipped = {**ARRAYS, "predictions": np.array([0, 1, 1, 0])}
    short = diff(written("a", ARRAYS, {"accuracy": 0.75}), written("b", flipped, {"accuracy": 1.0}))
    assert "not those that were scored" in with_examples(short, experiment_stub(COMMITTED, digits())).why_no_examples


def test_the_entry_of_a_record_has_the_recipe_that_was_run(tmp_path: Path, recipe_file: Callable[..., Path]) -> None:
    assert entry_of(tmp_path / FILE, COMMITTED) == catalogue.select_one("digits-resnet8")
    changed = replace(COMMITTED, identity=replace(COMMITTED.identity, digest="0" * 64))
    with pytest.raises(UsageError, match=r"run for digits-resnet8 is not available: its digest is 000"):
        entry_of(tmp_path / FILE, changed)
    local = recipe_file(name="recipe.yaml")
    assert entry_of(local.parent / FILE, replace(COMMITTED, entry="tiny")).name == "tiny"


def test_the_preview_of_an_example_is_a_text_a_picture_or_none() -> None:
    split = digits().load("test")
    preview = preview_example(split, 3)
    assert isinstance(split, TensorSplit) and preview is not None and preview.pixels is not None
    assert (preview.pixels.min(), preview.pixels.max()) == (0, 255)
    texts = TextSplit([("a", "b")], split.labels[:1], tokenizer=None)
    assert preview_example(texts, 0) == ExamplePreview(texts=("a", "b"))
    assert preview_example(TensorSplit(split.inputs.flatten(1), split.labels), 0) is None
    colored = preview_example(TensorSplit(split.inputs.expand(-1, 3, 8, 8), split.labels), 3)
    assert colored is not None and colored.pixels is not None and colored.pixels.shape == (8, 8, 3)


def test_a_picture_has_at_most_16_columns_and_8_lines() -> None:
    wide = ExamplePreview(pixels=np.tile(np.array([[0, 255]], np.uint8), (9, 20)))
    assert {len(line) for line in wide.lines(colors=False)} == {16} and len(wide.lines(colors=False)) <= 8
    black_above_white = ExamplePreview(pixels=np.repeat(np.array([[0], [255]], np.uint8), 2, axis=1))
    first, last = (black_above_white.lines(colors=True)[at] for at in (0, -1))
    assert first.startswith("\x1b[38;5;232;48;5;232m▀") and last.startswith("\x1b[38;5;255;48;5;255m▀")
    assert black_above_white.lines(colors=False) == [" " * 16] * 4 + ["@" * 16] * 4


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for folder in ("e/weights-aa", "e/retrain-seed0-bb", "e/retrain-seed10-cc", "e/retrain-seed1-dd", "e/.half-seed0"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / FILE).write_text("{}")
    return tmp_path


def test_a_record_is_found_by_its_folder_its_file_and_its_name(runs: Path) -> None:
    folder = runs / "e" / "retrain-seed1-dd"
    for text in (str(folder), str(folder / FILE), "e:1"):
        assert find_record(text, runs, EVIDENCE, str) == folder / FILE
    assert find_record("e:weights", runs, EVIDENCE, str).parent.name == "weights-aa"
    assert find_record("digits-resnet8:1000", runs, EVIDENCE, str).is_relative_to(EVIDENCE)
    assert find_record("e:weights", NOWHERE, runs, str).parent.name == "weights-aa"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e", "'e' matches 4 runs; give the seed or folder of one: e:0, e:1"),
        ("e:7", "no run 'e:7'; existing runs: e:0"),
        ("digit-resnet8", "did you mean digits-resnet8"),
        ("nowhere/at/all", "give the folder of a run"),
        ("e:last", "give the folder of a run"),
    ],
)
def test_the_error_for_an_unknown_or_ambiguous_run_lists_the_runs(text: str, message: str, runs: Path) -> None:
    with pytest.raises(UsageError, match=message):
        find_record(text, runs, EVIDENCE, str)
