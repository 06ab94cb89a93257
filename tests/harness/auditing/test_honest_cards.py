"""No confusion matrix and no way of printing makes an honest card inconsistent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.audit.cards import BINARY, FULL, HOW, MANY, Card, Style, value_of
from benchmarks.audit.scores import AVERAGED, SCORES
from harness.auditing.audit import audit
from zoo.claims.known_data import KNOWN_DATA

STYLES = st.builds(
    Style,
    decimals=st.sampled_from([2, 3, 4, 5, 6, 7, 10, FULL]),
    percent=st.booleans(),
    sign=st.just(False),
    how=st.sampled_from(HOW),
    declares_split=st.booleans(),
    declares_average=st.booleans(),
)
SHORT = 14
SMALL = [data for data in (*BINARY, *MANY) if sum(KNOWN_DATA[data[:2]].class_counts[data[2]]) <= 5000]


@st.composite
def cards(draw: st.DrawFn) -> Card:
    """Any confusion matrix of a known split, and some of its scores in any style."""
    data, style = draw(st.sampled_from(SMALL)), draw(STYLES)
    facts = KNOWN_DATA[data[:2]]
    counts = facts.class_counts[data[2]]
    rows = []
    for count in counts:
        ends = sorted(draw(st.lists(st.integers(0, count), min_size=len(counts) - 1, max_size=len(counts) - 1)))
        rows.append(np.diff([0, *ends, count]))
    matrix = np.array(rows)
    averages = ["macro", "micro", "weighted", *(["binary"] if len(counts) == 2 else [])]
    chosen = [draw(st.sampled_from(averages))] if not style.declares_average else averages
    names = [*SCORES, *(f"{name} {average}" for name in AVERAGED for average in chosen)]
    shown = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    values = {name: value_of(name, matrix, facts.positive or 0) for name in shown}
    assume(not style.percent or max(values.values()) >= 0.02)  # else nothing says that they are per cents
    return Card(data=data, values=values, style=style, matrix=matrix)


@given(cards())
def test_no_honest_card_is_inconsistent_or_impossible(card: Card) -> None:
    found = audit(card.claims())
    bad = [(claim.claim.metric, claim.claim.text, claim.text) for claim in found.claims]
    assert found.verdict in ("consistent", "uninformative"), bad


@given(cards(), st.booleans())
def test_no_honest_error_rate_is_inconsistent_or_impossible(card: Card, is_beside_accuracy: bool) -> None:
    error = 1 - value_of("accuracy", card.matrix, 0)
    left = {name: value for name, value in card.values.items() if name != "accuracy" or is_beside_accuracy}
    values = {"error": error, **left}
    assume(not card.style.percent or max(values.values()) >= 0.02)
    found = audit(replace(card, values=values).claims())
    bad = [(claim.claim.metric, claim.claim.text, claim.text) for claim in found.claims]
    assert found.verdict in ("consistent", "uninformative"), bad


@given(st.sampled_from([10_000, 50_000]), st.data(), STYLES)
def test_no_honest_top_1_and_top_5_accuracy_is_inconsistent(n: int, data: st.DataObject, style: Style) -> None:
    top5 = data.draw(st.integers(n // 50, n))
    top1 = data.draw(st.integers(0, top5))
    of = ("uoft-cs/cifar100", "", "test") if n == 10_000 else ("ILSVRC/imagenet-1k", "", "validation")
    card = Card(data=of, values={"accuracy": top1 / n, "top5_accuracy": top5 / n}, style=style)
    assert audit(card.claims()).verdict in ("consistent", "uninformative")


@pytest.mark.parametrize("batch", [8, 16, 32, 64])
def test_averages_over_batches_and_repeated_rows_are_not_inconsistent(batch: int) -> None:
    generator = np.random.default_rng(batch)
    style = Style(decimals=FULL)
    for data, n in ((("nyu-mll/glue", "mrpc", "validation"), 408), (("nyu-mll/glue", "rte", "validation"), 277)):
        right = generator.random(n) < 0.86
        batches = [right[first : first + batch].mean() for first in range(0, n, batch)]
        padded = np.append(right, right[: -n % batch])
        for value in (np.mean(batches), padded.mean(), right[: n // batch * batch].mean()):
            card = Card(data=data, values={"accuracy": float(value)}, style=style)
            if len(repr(float(value))) > SHORT:  # a shorter one may be rounded, and is taken for that
                assert audit(card.claims()).verdict in ("consistent", "uninformative")
