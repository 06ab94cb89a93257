"""The variants of a factor, or the reason why there are none."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.diagnosis.explain.variant import Variant
from zoo.error_translation import translate_errors
from zoo.errors import ZooError, first_line


@dataclass(frozen=True)
class Untried:
    """A factor with no variant to try, and the reason."""

    factor: str
    reason: str


Candidates = Iterator[Variant | Untried]


def until_error(factor: str, candidates: Candidates) -> Candidates:
    """Yield the candidates; any error becomes the reason of an `Untried`, so that other factors are still tried."""
    while True:
        try:
            with translate_errors(factor):
                candidate = next(candidates, None)
        except ZooError as error:
            reason = first_line(error).removeprefix(f"{factor}: ")
            candidate, candidates = Untried(factor, reason), iter(())
        if candidate is None:
            return
        yield candidate


def or_reason(factor: str, candidates: Candidates) -> Candidates:
    """Yield the candidates as `until_error` does; if there are none, the reason says so."""
    is_empty = True
    for candidate in until_error(factor, candidates):
        is_empty = False
        yield candidate
    if is_empty:
        yield Untried(factor, "there are no others")
