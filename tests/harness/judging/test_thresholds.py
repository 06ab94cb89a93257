"""Claims and runs of a multilabel task with other thresholds."""

from typing import Any

import pytest

from tests.helpers.claims import WEIGHTS, judged, measurement
from zoo.recipes.claim import Claim
from zoo.recipes.values import InvalidValuesError

ITSELF = "The threshold 0.3 was chosen on 'test' itself, which makes scores on it too good"


@pytest.mark.parametrize(
    ("scoring", "claim", "why"),
    [
        ({"threshold": 0.5}, {}, ""),
        ({"threshold": 0.3}, {"threshold": 0.3}, ""),
        ({"threshold": 0.3, "threshold_from": "dev"}, {"threshold": 0.3}, ""),
        ({"threshold": 0.3, "threshold_from": "dev"}, {"threshold_from": "dev"}, ""),
        ({"threshold": 0.3}, {}, "Measured with the threshold 0.3, but claimed with 0.5 (the claim names none); write"),
        ({"threshold": 0.5}, {"threshold": 0.3}, "Measured with the threshold 0.5, but claimed with 0.3; write"),
        (
            {"threshold": 0.3, "threshold_from": "dev"},
            {},
            "write `threshold: 0.3`, or `threshold_from: dev`, in the claim",
        ),
        ({"threshold": 0.3, "threshold_from": "test"}, {"threshold": 0.3}, ITSELF),
        ({"threshold": 0.3, "threshold_from": "test"}, {"threshold_from": "test"}, ITSELF),
        ({"threshold": 0.3, "threshold_from": "a"}, {"threshold_from": "b"}, "with 0.3, that was chosen on 'a'; write"),
        ({"threshold": 0.5}, {"threshold_from": "test"}, "zoo never chooses a threshold on the split that is scored"),
        (
            {"threshold": 0.5},
            {"threshold_from": "b"},
            "with 0.5, that was not chosen by scores; write `threshold_from: b`",
        ),
        ({}, {"threshold": 0.3}, "'test' was scored without a threshold, which the claim names."),
    ],
)
def test_only_the_same_threshold_is_compared(scoring: dict[str, Any], claim: dict[str, Any], why: str) -> None:
    judgement = judged(WEIGHTS, measurement(0.875, scoring=scoring), **claim)
    assert judgement.verdict == ("not-compared" if why else "reproduced")
    assert why in judgement.why


def test_a_claim_states_a_threshold_or_where_it_was_chosen() -> None:
    with pytest.raises(InvalidValuesError, match="not both"):
        Claim(**WEIGHTS, threshold=0.3, threshold_from="dev")
    with pytest.raises(InvalidValuesError, match="threshold is a probability above 0 and below 1, not 1"):
        Claim(**WEIGHTS, threshold=1.0)
