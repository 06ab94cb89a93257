"""Metrics of entities and words: equal to seqeval and scikit-learn, and their changes by one prediction."""

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from seqeval import scheme as seqeval_schemes
from seqeval.metrics import sequence_labeling as seqeval
from seqeval.metrics import v1
from sklearn import metrics as sklearn_metrics

from harness import entity_metrics
from harness.diagnosis.diff.leave_out import without_each_group
from harness.entity_metrics import entity_f1, one_entity, token_accuracy, token_f1
from harness.judging.baselines import tags_baseline
from harness.metrics import measure, reads
from zoo.tasks.entities import SCHEMES, entities, split_tag
from zoo.tasks.word_tags import entity_counts, entity_types, word_counts

AVERAGES = ("micro", "macro", "weighted")
SCORES = ("precision", "recall", "f1")
METRICS = tuple(getattr(entity_metrics, f"entity_{score}") for score in SCORES)
Rows = list[list[str]]


def classes_of(scheme: str, types: Sequence[str] = ("ORG", "loc-1", "PER")) -> list[str]:
    return ["O", *(f"{prefix}-{name}" for prefix in SCHEMES[scheme].prefixes if prefix != "O" for name in types)]


def random_rows(random: Random, classes: Sequence[str]) -> tuple[Rows, Rows]:
    """Return true and predicted tags: a few sentences of any tags, with few, many or no differences."""
    share = random.choice([0.0, 0.2, 0.6, 1.0])
    true = [random.choices(classes, k=random.randint(1, 8)) for _ in range(random.randint(1, 5))]
    return true, [[random.choice(classes) if random.random() < share else tag for tag in row] for row in true]


def numbers(classes: Sequence[str], *sides: Rows) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    return [tuple(np.array([classes.index(tag) for tag in row]) for row in rows) for rows in zip(*sides, strict=True)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entities_are_scored_as_seqeval_does_on_any_tags(scheme: str) -> None:
    random, classes, rule = Random(scheme), classes_of(scheme), getattr(seqeval_schemes, scheme)  # noqa: S311
    for number in range(200):
        true, predicted = random_rows(random, classes)
        counts, average = entity_counts(numbers(classes, true, predicted), classes, scheme), AVERAGES[number % 3]
        for strict in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = v1.precision_recall_fscore_support if strict else seqeval.precision_recall_fscore_support
                options = {"scheme": rule} if strict else {}
                wanted = score(true, predicted, average=average, zero_division=0, **options)[:3]
            found = [metric(counts, average=average, strict=strict) for metric in METRICS]
            # the mean over no types is NaN
            assert found == pytest.approx(np.nan_to_num(wanted), abs=1e-12), (average, strict, true, predicted)


def test_mixed_prefixes_are_read_as_seqeval_does_by_default() -> None:
    random, classes = Random(0), classes_of("IOBES", ("A", "B"))  # noqa: S311
    classes += ["B", "I", "E", "S"]
    for _ in range(200):
        row = random.choices(classes, k=random.randint(1, 12))
        wanted = {(name, start, end + 1) for name, start, end in seqeval.get_entities([row])}
        assert entities([*map(split_tag, row)]) == wanted, row


def test_the_strict_reading_leaves_out_what_the_scheme_does_not_allow() -> None:
    classes = ["O", "B-PER", "I-PER"]
    counts = entity_counts(numbers(classes, [["I-PER", "O"]], [["I-PER", "O"]]), classes, "IOB2")
    assert entity_f1(counts) == 1.0
    assert entity_f1(counts, strict=True) == 0.0


def test_one_type_is_scored_alone() -> None:
    classes = classes_of("IOB2", ("PER", "LOC"))
    true, predicted = [["B-PER", "O", "B-LOC"]], [["B-PER", "B-LOC", "O"]]
    counts = entity_counts(numbers(classes, true, predicted), classes, "IOB2")
    assert entity_types(classes) == ("LOC", "PER")
    assert [entity_f1(counts, of_type=number) for number in (0, 1)] == [0.0, 1.0]


def test_words_are_scored_as_scikit_learn_does() -> None:
    random, classes = Random(1), classes_of("IOB2")  # noqa: S311
    for number in range(12):
        true, predicted = random_rows(random, classes)
        average = AVERAGES[number % 3]
        counts = word_counts(numbers(classes, true, predicted), classes)
        flat = [[tag for row in rows for tag in row] for rows in (true, predicted)]
        assert token_accuracy(counts) == pytest.approx(sklearn_metrics.accuracy_score(*flat))
        for score in SCORES:
            function = getattr(sklearn_metrics, f"{score}_score")
            labels = classes[1:] if average == "micro" else None
            wanted = function(*flat, labels=labels, average=average, zero_division=0)
            assert getattr(entity_metrics, f"token_{score}")(counts, average=average) == pytest.approx(wanted)


def test_an_unknown_average_is_an_error() -> None:
    with pytest.raises(ValueError, match="average must be micro, macro or weighted, not 'samples'"):
        entity_f1(np.ones((1, 2, 1, 3)), average="samples")


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(AVERAGES), st.sampled_from(["IOB2", "IOBES"]))
def test_no_tag_of_one_word_changes_a_score_by_more_than_one_step(seed: int, average: str, scheme: str) -> None:
    random, classes = Random(seed), classes_of(scheme, ("A", "B", "C"))  # noqa: S311
    metrics = (partial(entity_f1, average=average), partial(entity_f1, of_type=1), token_accuracy, token_f1)
    true = random.choices(classes, k=random.randint(1, 7))
    predicted = true if random.random() < 0.5 else random.choices(classes, k=len(true))
    before = [measure(metric, _arrays([true], [predicted], classes)) for metric in metrics]
    for position, tag in product(range(len(true)), classes):
        others = [*predicted[:position], tag, *predicted[position + 1 :]]
        arrays = _arrays([true], [others], classes)
        for metric, (value, step) in zip(metrics, before, strict=True):
            change = abs(value - metric(arrays[reads(metric)[0]]))
            assert change <= step + 1e-12, (metric, true, predicted, others)


def test_one_word_can_join_entities_of_two_types_to_a_wrong_one() -> None:
    classes = classes_of("IOB2", ("A", "B"))
    true = [["B-A", "I-B", "I-A"]]
    counts = [_arrays(true, predicted, classes)["entities"] for predicted in (true, [["B-A", "I-A", "I-A"]])]
    assert [entity_f1(each) for each in counts] == [1.0, 0.0]
    assert one_entity(entity_f1, counts[0]) == 1.0


def _arrays(true: Rows, predicted: Rows, classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    pairs = numbers(classes, true, predicted)
    return {"entities": entity_counts(pairs, classes, "IOB2"), "words": word_counts(pairs, classes)}


def test_scores_without_each_sentence_are_those_of_the_other_sentences() -> None:
    random, classes = Random(2), classes_of("IOB2")  # noqa: S311
    sides: tuple[Rows, Rows] = ([], [])
    for _ in range(4):
        for side, rows in zip(sides, random_rows(random, classes), strict=True):
            side.extend(rows)
    arrays, groups = _arrays(*sides, classes), np.arange(len(sides[0]))
    for metric, name in ((partial(entity_f1, average="macro", strict=True), "entities"), (token_accuracy, "words")):
        found = without_each_group(metric, arrays, groups)
        wanted = [metric(np.delete(arrays[name], group, axis=0)) for group in groups]
        np.testing.assert_allclose(found, wanted)


def test_the_most_frequent_tag_for_every_word_is_the_baseline() -> None:
    classes = classes_of("IOB2", ("A",))
    true = [["O", "O", "B-A"], ["O", "B-A", "I-A"]]
    arrays = _arrays(true, [["O"] * 3] * 2, classes)
    assert tags_baseline("token_accuracy", arrays["words"]) == token_accuracy(arrays["words"]) == 0.5
    assert tags_baseline("entity_f1", arrays["words"]) == entity_f1(arrays["entities"]) == 0.0
    mostly_names = _arrays([["B-A", "I-A"]], [["O", "O"]], classes)["words"]
    assert tags_baseline("entity_f1", mostly_names) is None
