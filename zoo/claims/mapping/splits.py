"""Choose the split that a claim is about: the declared one, else the one whose size fits the printed digits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.scores import Score, fits
from zoo.claims.published import PublishedClaim
from zoo.claims.split_names import find_splits, is_declared
from zoo.recipes.claim import SHARES

EVALUATED = ("validation", "test")
"""The splits that a claim without one is about, the likeliest first."""
MISMATCHED = re.compile(r"mis-?matched|(?<![a-z0-9])mm(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ChosenSplit:
    """The split of a claim."""

    name: str
    why: str
    """How it was chosen, for the comments of the recipe: `declared`, or what was assumed."""


def choose_split(
    claim: PublishedClaim,
    score: Score,
    metric: str,
    splits: Sequence[str],
    rows: Mapping[str, int],
    preferred: str = "",
) -> ChosenSplit:
    """Return the split that a claim is about.

    Args:
        claim: The claim.
        score: Its value.
        metric: Its metric, a name in `harness.metrics`.
        splits: The splits of the data set.
        rows: The number of rows of each split whose size is known.
        preferred: The split that the data set itself names for evaluations; may be empty.

    Raises:
        UnmappedError: There is no such split.
    """
    candidates = _candidates(claim, splits, preferred)
    if claim.split and len(candidates) == 1:
        return ChosenSplit(name=candidates[0], why="declared")
    wanted = [name for name in candidates if bool(MISMATCHED.search(_words(claim))) == ("mismatched" in name)]
    name = (wanted or candidates)[0]
    fitting = [each for each in candidates if fits(score, metric, rows.get(each))]
    known = [each for each in candidates if each in rows]
    if metric in SHARES and len(known) > 1 and len(fitting) == 1 and fitting[0] != name:
        name = fitting[0]
        why = f"of {', '.join(known)} only its size, {rows[name]:,}, fits the printed digits"
    else:
        why = f"the data set has {', '.join(splits)}"
        why = why if claim.split else f"the claim names no split; {why}"
    meant = f"{claim.split!r} stands for {name}; " if claim.split else ""
    return ChosenSplit(name=name, why=f"assumed: {meant}{why}")


def _candidates(claim: PublishedClaim, splits: Sequence[str], preferred: str) -> Sequence[str]:
    """Return the splits that a claim may be about, the likeliest first."""
    if found := find_splits(claim.split, splits):
        return found
    if is_declared(claim.split):
        raise UnmappedError(Reason.NO_SPLIT, f"{claim.split!r}; known: {', '.join(splits) or 'none'}")
    likely = [name for name in (preferred, *EVALUATED) if name]
    if by_name := tuple(dict.fromkeys(split for name in likely for split in find_splits(name, splits))):
        return by_name
    others = [name for name in splits if name != "train"] or list(splits)
    if len(others) != 1:
        raise UnmappedError(Reason.NO_SPLIT, f"the claim names none; known: {', '.join(splits) or 'none'}")
    return others


def _words(claim: PublishedClaim) -> str:
    return " ".join((claim.metric, claim.dataset_name, claim.config, claim.split))
