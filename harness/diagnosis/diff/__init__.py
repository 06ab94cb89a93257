"""Two records compared: scores with intervals, flipped examples, how far the logits drifted. Never imports torch."""

from harness.diagnosis.diff.comparison import Diff, diff
from harness.diagnosis.diff.find_record import find_record

__all__ = ["Diff", "diff", "find_record"]
