"""Metrics of token classification, from counts of entities and of words.

A metric of entities reads `entities` `(N, 2, T, 3)`, and one of words reads `words` `(N, 1 + C, 3)`; see
`zoo.tasks.word_tags.WordTags`. The last dimension has the right, the predicted and the true ones. The scores of
entities are those of seqeval (Nakayama, 2018): `precision_score`, `recall_score` and `f1_score`, without a mode or with
`mode="strict"`. Scores are fractions; a quotient with the divisor 0 is 0.
"""

from collections.abc import Callable, Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
MOST_TRIALS = 2_000
"""The most changed predictions that are tried; the largest of their effects is then a lower bound."""
Changes = tuple[tuple[int, int], ...]
"""Pairs of changes: of the number of right entities, and of the number of predicted ones."""
MOST_PAIRED = 5
"""Pairs of changes are tried for this many types, those with the largest effects."""
CHANGES: Changes = tuple(
    (right, after - before)
    for before, after in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1))
    for right in range(-before, after + 1)
)
"""How the tag of one word can change a type: it can, for example, join three right entities to a wrong one."""
_LEFT: Changes = tuple(
    (r, m) for m, fewest, most in ((-1, -1, 0), (0, -1, 1), (1, -1, 2)) for r in range(fewest, most + 1)
)
"""The changes of a type that the word leaves: its entity vanishes, or is shortened, or is cut in two."""
TWO_TYPES = tuple(
    (left, (-joined[0], -joined[1]))  # the type that the word joins changes in the opposite way
    for left in _LEFT
    for joined in _LEFT
    if left[1] + joined[1] <= 0  # both neighbors of the word are of one type if an entity of it is cut or joined
)
"""The changes of both types where the word leaves one for another."""
SUMS: Changes = (*CHANGES, *{(left[0] + joined[0], left[1] + joined[1]) for left, joined in TWO_TYPES})
"""The changes of the sum over all types."""


def entity_precision(
    entities: Array, *, average: str = "micro", strict: bool = False, of_type: int | None = None
) -> float:
    """The share of predicted entities that are right, with the same words and type as a true one.

    Args:
        entities: The counts.
        average: "micro" for all entities together, "macro" for the mean over the types that occur, or "weighted" by the
            number of true entities.
        strict: Whether entities are read by the rules of the scheme of the tags.
        of_type: The position of the only type to score, in the order of the report's note on types; default: all.
    """
    return _averaged(_of_types(entities, strict, of_type), average, 0)


def entity_recall(
    entities: Array, *, average: str = "micro", strict: bool = False, of_type: int | None = None
) -> float:
    """The share of true entities that are predicted; the arguments are those of `entity_precision`."""
    return _averaged(_of_types(entities, strict, of_type), average, 1)


def entity_f1(entities: Array, *, average: str = "micro", strict: bool = False, of_type: int | None = None) -> float:
    """The harmonic mean of precision and recall of entities; the arguments are those of `entity_precision`."""
    return _averaged(_of_types(entities, strict, of_type), average, 2)


def token_accuracy(words: Array) -> float:
    """The share of words, also those outside of entities, with the right tag."""
    counts = words.sum(axis=0).astype(np.float64)
    return float(_ratio(counts[:, 0].sum(), counts[:, 2].sum()))


def token_precision(words: Array, *, average: str = "micro") -> float:
    """The share of words predicted to be in an entity that have the right tag.

    Args:
        words: The counts.
        average: "micro" for all tags but O together; "macro" for the mean over the tags that occur, O among them, or
            "weighted" by the number of true words, as scikit-learn computes both from all tags.
    """
    return _averaged(_of_tags(words, average), average, 0)


def token_recall(words: Array, *, average: str = "micro") -> float:
    """The share of words in an entity that have the right tag; the arguments are those of `token_precision`."""
    return _averaged(_of_tags(words, average), average, 1)


def token_f1(words: Array, *, average: str = "micro") -> float:
    """The harmonic mean of precision and recall of words; the arguments are those of `token_precision`."""
    return _averaged(_of_tags(words, average), average, 2)


def _of_types(entities: Array, strict: bool, of_type: int | None) -> Floats:
    counts = np.asarray(entities.sum(axis=0)[int(strict)], dtype=np.float64)
    return counts if of_type is None else counts[[of_type]]


def _of_tags(words: Array, average: str) -> Floats:
    counts = np.asarray(words.sum(axis=0), dtype=np.float64)
    return counts[1:] if average == "micro" else counts


def _averaged(counts: Floats, average: str, which: int) -> float:
    """Return precision (0), recall (1) or F1 (2) of counts `(T, 3)`, averaged over the types that occur."""
    if average == "micro":
        return float(_scores(counts.sum(axis=0))[which])
    if average not in ("macro", "weighted"):
        raise ValueError(f"average must be micro, macro or weighted, not {average!r}")
    occur = counts[(counts[:, 1] + counts[:, 2]) > 0]
    weights = occur[:, 2] if average == "weighted" else np.ones(len(occur))
    return float(_ratio((_scores(occur.T)[which] * weights).sum(), weights.sum()))


def _scores(counts: Floats) -> tuple[Floats, Floats, Floats]:
    right, predicted, true = counts
    return _ratio(right, predicted), _ratio(right, true), _ratio(2 * right, predicted + true)


def _ratio(above: Any, below: Any) -> Floats:
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0))


def one_entity(metric: Callable[..., float], entities: Array) -> float:
    """Return the largest change of a metric that the tag of one word can cause.

    The word may leave one type of entity for another. The micro average then changes by the sum of both changes, other
    averages by the scores of both types. In the strict readings of IOB1 and IOE1 a tag can change further types beside
    it, which is left out.
    """
    total = entities.sum(axis=0, keepdims=True)
    if _is_of_the_sum(metric):
        changes = SUMS if total.shape[2] > 1 else CHANGES
        total = total.sum(axis=2, keepdims=True)
        return max(abs(metric(_changed_entities(total, 0, change)) - metric(total)) for change in changes)
    before, largest = metric(total), dict.fromkeys(range(total.shape[2]), 0.0)
    for kind, change in _some(list(product(largest, CHANGES))):
        changed = abs(metric(_changed_entities(total, kind, change)) - before)
        largest[kind] = max(largest[kind], changed)
    most = sorted(largest, key=lambda kind: -largest[kind])[:MOST_PAIRED]
    pairs = product(permutations(most, 2), TWO_TYPES)
    both = (_changed_entities(_changed_entities(total, a, left), b, joined) for (a, b), (left, joined) in pairs)
    largest_pair = max((abs(metric(changed) - before) for changed in both), default=0.0)
    return max(largest_pair, sum(sorted(largest.values(), reverse=True)[:2]))


def _is_of_the_sum(metric: Callable[..., float]) -> bool:
    """Return whether a metric reads only the sum over all types: one of this module with the micro average."""
    function, arguments = getattr(metric, "func", metric), getattr(metric, "keywords", {})
    is_own = getattr(function, "__module__", "") == __name__
    return is_own and arguments.get("average", "micro") == "micro" and arguments.get("of_type") is None


def _changed_entities(total: Array, kind: int, change: tuple[int, int]) -> Array:
    """Return the counts after a change of one type, in both readings where it is possible there."""
    changed = total.copy()
    for counts in changed[0, :, kind]:
        right, predicted = counts[0] + change[0], counts[1] + change[1]
        if 0 <= right <= min(predicted, counts[2]):
            counts[:2] = right, predicted
    return changed


def one_word(metric: Callable[..., float], words: Array) -> float:
    """Return the largest change of a metric that another tag of one word can cause."""
    total = words.sum(axis=0, keepdims=True)
    before, tags = metric(total), range(total.shape[1])
    changed = (each for old, new in _some(list(product(tags, tags))) for each in _moved(total, old, new))
    return max((abs(metric(each) - before) for each in changed), default=0.0)


def _moved(total: Array, old: int, new: int) -> Iterator[Array]:
    """Yield the counts after the prediction of a word moves to another tag: from right to wrong, and back."""
    right, predicted, true = total[0].T
    if old == new or not predicted[old]:
        return
    for was_right, is_right in ((True, False), (False, True)):
        changed = total.copy()
        changed[0, old, :2] -= (was_right, 1)
        changed[0, new, :2] += (is_right, 1)
        is_possible = right[old] > 0 if was_right else predicted[old] > right[old] and true[new] > right[new]
        if is_possible:
            yield changed


def _some(trials: list[Any]) -> list[Any]:
    """Return all trials, or `MOST_TRIALS` evenly spaced ones."""
    if len(trials) <= MOST_TRIALS:
        return trials
    return [trials[index] for index in np.linspace(0, len(trials) - 1, MOST_TRIALS).astype(int)]
