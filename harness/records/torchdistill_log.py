"""The scores in a `training.log` of torchdistill, as its authors published it beside the weights.

    2021/05/29 18:03:32  INFO  __main__  Validation: accuracy = 0.87, f1 = 0.90     after every epoch
    2021/05/29 18:03:35  INFO  __main__  Test: accuracy = 0.87, f1 = 0.90           of the best epoch, at the end

Both lines are of the validation split.
"""

import re

HEADER = "Test: "
_SCORE = re.compile(r"(\w+) = ([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)")
_NAMES = {"spearmanr": "spearman"}


def read_test_scores(text: str) -> dict[str, str]:
    """Metric -> value, as written, in the last line headed `Test: `; empty where there is none."""
    lines = [line.split(HEADER, 1)[1] for line in text.splitlines() if HEADER in line]
    found = [{_NAMES.get(name, name): value for name, value in _SCORE.findall(line)} for line in lines]
    return next((one for one in reversed(found) if one), {})
