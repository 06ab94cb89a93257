"""Short paths of a recipe for some parameters of a model, and for no others."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase


def shortest_paths(chosen: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    """Yield paths at which all of the chosen parameters are, and none of the others, such as `*bn1.weight`.

    Args:
        chosen: Names of parameters.
        others: Names of parameters that no path may match.
    """
    others = [*others]
    paths: list[str] = []
    for name in chosen:
        if not any(fnmatchcase(name, path) for path in paths):
            paths.append(_shortest(name, others))
            yield paths[-1]


def _shortest(name: str, others: Iterable[str]) -> str:
    """Return the shortest end of a name, as a path that none of the other names is at."""
    parts = name.split(".")
    paths = (f"*{'.'.join(parts[-length:])}" for length in range(1, len(parts) + 1) if len(parts) > 1)
    return next((path for path in paths if not any(fnmatchcase(other, path) for other in others)), name)
