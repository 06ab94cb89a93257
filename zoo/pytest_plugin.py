"""The pytest fixture `zoo_verdict`: judge an entry's claims in a test.

    def test_published_score_holds(zoo_verdict):
        assert zoo_verdict("digits-resnet8") == "reproduced"

Pytest loads this module in every run; torch is loaded only when a test calls the fixture.
"""

from typing import TYPE_CHECKING, Any, Protocol

import pytest

import zoo

if TYPE_CHECKING:
    from zoo.api.results import VerificationResult


class ReportedVerdict(str):
    """A verdict, such as "reproduced", that knows its reasons.

    Attributes:
        result: The result of `zoo.verify`.
        report: One line for each tested claim, with its verdict and the reason.
    """

    __slots__ = ("report", "result")
    result: "VerificationResult"
    report: str

    def __new__(cls, result: "VerificationResult") -> "ReportedVerdict":
        verdict = super().__new__(cls, result.verdict)
        verdict.result, verdict.report = result, _report(result)
        return verdict


class Judge(Protocol):
    """The type of the fixture `zoo_verdict`."""

    def __call__(self, *entries: str, **options: Any) -> ReportedVerdict:
        """Verify entries and return the worst verdict. The options are those of `zoo.verify`."""


@pytest.fixture(scope="session")
def zoo_verdict() -> Judge:
    """Return a function that verifies entries and returns the worst verdict. Runs that exist are not repeated."""

    def judge(*entries: str, **options: Any) -> ReportedVerdict:
        return ReportedVerdict(zoo.verify(*entries, **options))

    return judge


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a comparison of a verdict that fails by the reasons of the verdict."""
    for verdict in (left, right):
        if isinstance(verdict, ReportedVerdict):
            return [f"{str(left)!r} {op} {str(right)!r}", *verdict.report.splitlines()]
    return None


def _report(result: "VerificationResult") -> str:
    """Return a line for each error and each tested claim."""
    errors = [f"{outcome.entry.name}: {outcome.error}" for outcome in result.outcomes if outcome.error]
    rows = result.claims_frame().to_dict("records")
    return "\n".join([*errors, *(", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)])
