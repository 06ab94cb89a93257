"""Read scores from the `training.log` that torchdistill writes and its authors published beside the weights.

    2021/05/29 18:03:32  INFO  __main__  Validation: accuracy = 0.87, f1 = 0.90     after every epoch
    2021/05/29 18:03:35  INFO  __main__  Test: accuracy = 0.87, f1 = 0.90           of the best epoch, at the end

Both lines report scores on the validation split.
"""

import re

HEADER = "Test: "
_SCORE = re.compile(r"(\w+) = ([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)")
_NAMES = {"spearmanr": "spearman"}


def read_test_scores(text: str) -> dict[str, str]:
    """Return the scores in the last `Test: ` line of a log that has any, as metric -> value as written.

    The result is empty if there is no such line.
    """
    lines = [line.split(HEADER, 1)[1] for line in text.splitlines() if HEADER in line]
    scores = [{_NAMES.get(name, name): value for name, value in _SCORE.findall(line)} for line in lines]
    return next((line for line in reversed(scores) if line), {})
