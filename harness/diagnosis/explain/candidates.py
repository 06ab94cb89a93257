"""The variants of a factor, or the reason why there are none."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.diagnosis.explain.variant import Variant
from zoo.errors import ZooError, first_line


@dataclass(frozen=True)
class Untried:
    """A factor with no variant to try, and the reason."""

    factor: str
    reason: str


Candidates = Iterator[Variant | Untried]


def or_reason(factor: str, candidates: Candidates) -> Candidates:
    """Yield the candidates; an error, or that there are none, becomes the reason of an `Untried`."""
    is_empty = True
    try:
        for candidate in candidates:
            is_empty = False
            yield candidate
    except ZooError as error:
        yield Untried(factor, first_line(error))
    else:
        if is_empty:
            yield Untried(factor, "there are no others")
