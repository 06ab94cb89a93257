"""Scores in the logs of torchdistill."""

import pytest

from harness.records.torchdistill_log import read_test_scores


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "x\tValidation: accuracy = 0.1\nx\tTest: accuracy = 0.8725490196078431, f1 = 0.9\n",
            {"accuracy": "0.8725490196078431", "f1": "0.9"},
        ),
        ("Test: pearson = 0.9, spearmanr = 8.9e-1", {"pearson": "0.9", "spearman": "8.9e-1"}),
        ("Test: accuracy = 0.1\nTest: accuracy = 0.2\nTest: \n", {"accuracy": "0.2"}),
        ("Validation: accuracy = 0.1\n", {}),
        ("", {}),
    ],
)
def test_the_last_test_scores_of_a_log_are_read(text: str, expected: dict[str, str]) -> None:
    assert read_test_scores(text) == expected
