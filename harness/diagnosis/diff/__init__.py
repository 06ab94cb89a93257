"""Compare two records: scores with intervals, flipped examples and drift of the logits. Never imports torch."""

from harness.diagnosis.diff.comparison import diff
from harness.diagnosis.diff.find_record import find_record
from harness.diagnosis.diff.types import Diff

__all__ = ["Diff", "diff", "find_record"]
