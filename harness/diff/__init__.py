"""Two records compared: scores with intervals, flipped examples, how far the logits drifted. Never imports torch."""

from harness.diff.comparison import Diff, diff
from harness.diff.find import find_record

__all__ = ["Diff", "diff", "find_record"]
