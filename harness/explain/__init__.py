"""Why a claim of weights is not reproduced: the known factors are tried, and those named that restore agreement."""

from harness.explain.explanation import Attempt, Compared, Explanation
from harness.explain.trial import explain

__all__ = ["Attempt", "Compared", "Explanation", "explain"]
