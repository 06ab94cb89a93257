"""The arithmetic behind the rules: printed values, counts, and confusion matrices, against plain formulas."""

from decimal import Decimal

import numpy as np
import pytest
from sklearn import metrics

from benchmarks.audit.cards import FULL, LOW_PRECISION, Style, print_value
from harness.auditing.confusion import (
    DEFINITIONS,
    JOINT,
    OTHER_CLASS,
    Matrices,
    MatrixFit,
    Score,
    enumerate_matrices,
    fit_matrices,
    value_of,
)
from harness.auditing.other_rows import find_rows
from harness.auditing.relations import recall_limits
from zoo.claims.counts import chance_of_count, find_counts
from zoo.claims.numbers import read_number
from zoo.claims.printed import Printed, printed


def share(text: str, *, percent: bool = False) -> Printed:
    number = read_number(text)
    assert number is not None
    return printed(number, percent=percent)


@pytest.mark.parametrize(
    ("text", "percent", "unit"),
    [
        ("0.8578", False, 1e-4),
        ("85.78", True, 1e-4),
        ("0.8750000", False, 1e-7),
        ("85.78000000000002", True, 1e-4),
        ("85.77999877929688", True, 1e-4),
        ("0.8578431372549019", False, 1e-16),
    ],
)
def test_the_unit_is_that_of_the_last_decimal_that_means_something(text: str, percent: bool, unit: float) -> None:
    assert share(text, percent=percent).unit == pytest.approx(unit)


@pytest.mark.parametrize(("kind", "error"), [(np.float32, 1e-6), (np.float16, 1e-2)])
def test_values_of_lower_precision_are_exact_to_their_mantissa(kind: type[np.floating], error: float) -> None:
    value = repr(float(kind(350 / 408)))
    assert 350 / 408 * error / 100 < share(value).unit < error
    fit = find_counts(share(value), 408)
    assert fit is not None and 350 in fit.counts


@pytest.mark.parametrize("n", [277, 408, 50_000])
@pytest.mark.parametrize("how", [*LOW_PRECISION, "in per cent"])
def test_every_share_in_lower_precision_is_a_count(how: str, n: int) -> None:
    for right in range(n // 50, n, n // 60):
        style = Style(
            decimals=FULL, how=LOW_PRECISION[1] if how == "in per cent" else how, percent=how == "in per cent"
        )
        fit = find_counts(share(print_value(right / n, style), percent=style.percent), n)
        assert fit is not None and right in fit.counts, right


@pytest.mark.parametrize("how", LOW_PRECISION[:3])
@pytest.mark.parametrize("percent", [False, True])
def test_a_share_in_single_precision_is_evidence(how: str, percent: bool) -> None:
    text = print_value(356 / 408, Style(decimals=FULL, how=how, percent=percent))
    fit = find_counts(share(text, percent=percent), 408)
    assert fit is not None and [*fit.counts] == [356] and fit.chance < 1e-3


@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_the_chance_of_a_count_is_the_share_of_values_that_are_one(decimals: int) -> None:
    values = [Decimal(k).scaleb(-decimals) for k in range(10**decimals)]
    fits = [find_counts(share(str(value)), 408) for value in values[:: 10 ** (decimals - 3)]]
    passed = np.mean([fit is not None and not fit.is_loose for fit in fits])
    assert passed == pytest.approx(min(chance_of_count(share(f"0.{5:0<{decimals}}"), 408), 1), abs=0.03)


def test_the_simplest_share_of_a_float_names_its_rows() -> None:
    assert str(find_rows(share("0.8766666666666667"))) == "263/300"
    assert find_rows(share("0.8767")) is None
    assert find_rows(share("0.0")) is None


def test_all_matrices_with_an_accuracy_are_enumerated() -> None:
    found = enumerate_matrices(129, 279, share("0.8578"), loose=False)
    every = enumerate_matrices(129, 279, None, loose=False)
    assert found is not None and every is not None
    assert len(every) == 130 * 280
    right = every.tp + every.tn
    assert {*zip(found.tp, found.tn, strict=True)} == {
        (tp, tn) for tp, tn, k in zip(every.tp, every.tn, right, strict=True) if k == 350
    }
    assert enumerate_matrices(10**4, 10**4, None, loose=False) is None


@pytest.mark.parametrize("name", JOINT)
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_scores_of_a_matrix_are_those_of_scikit_learn(name: str, definition: str) -> None:
    tp, fp, fn, tn = 268, 47, 11, 82
    labels = np.repeat([1, 0, 1, 0], [tp, fp, fn, tn])
    predictions = np.repeat([1, 1, 0, 0], [tp, fp, fn, tn])
    if name == "accuracy":
        expected = metrics.accuracy_score(labels, predictions)
    elif name == "matthews_correlation":
        expected = metrics.matthews_corrcoef(labels, predictions)
    elif name == "balanced_accuracy":
        expected = metrics.balanced_accuracy_score(labels, predictions)
    else:
        score = getattr(metrics, f"{name}_score")
        other = {"average": "binary", "pos_label": 0}
        expected = score(labels, predictions, **(other if definition == OTHER_CLASS else {"average": definition}))
    matrices = Matrices(*(np.array([count]) for count in (tp, fp, fn, tn)))
    assert value_of(name, definition, matrices)[0] == pytest.approx(expected, abs=1e-15)


def test_an_accuracy_limits_the_mean_recall() -> None:
    low, high = recall_limits(Printed(value=0.5, unit=1e-9), (10, 30))
    assert (low, high) == pytest.approx((1 / 3, (1 + 1 / 3) / 2), abs=1e-6)


def test_the_chance_of_a_score_near_one_counts_only_possible_values() -> None:
    scores = {
        value: Score(name="recall", printed=share(value), definition="binary") for value in ("0.50000", "1.00000")
    }
    middle, end = (fit_matrices([score], 40, 60) for score in scores.values())
    assert isinstance(middle, MatrixFit) and isinstance(end, MatrixFit)
    assert end.chance == pytest.approx(middle.chance, rel=0.3)
