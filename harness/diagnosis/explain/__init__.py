"""Why a claim of weights is not reproduced: the known factors are tried, and those named that restore agreement."""

from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.search import explain

__all__ = ["Attempt", "ClaimResult", "Explanation", "explain"]
