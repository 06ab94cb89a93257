"""Find out why published weights do not give their claimed score: try known causes, one change at a time."""

from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.search import explain

__all__ = ["Attempt", "ClaimResult", "Explanation", "explain"]
