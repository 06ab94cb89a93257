"""Apply the count rule to a score: does it fit the rows that the claim declares, and which others does it fit?"""

from harness.auditing.other_rows import find_loader_effect, find_rows
from harness.auditing.results import Score
from harness.auditing.types import EVIDENCE, Finding, evidence
from zoo.claims.counts import Fit, chance_of_count, find_counts, nearest_counts, total_chance
from zoo.claims.data_sets import similar_name
from zoo.claims.metric_names import SHARES, is_of_tags
from zoo.claims.printed import Printed
from zoo.claims.published import PublishedClaim

MEAN = "a value with ± may be a mean of several runs, which is no count of rows"


def check_count(score: Score) -> None:
    """Add what the count rule finds to a score that is a share of the rows."""
    if score.printed is None or not _is_share(score):
        return
    if not score.is_single:
        score.findings.append(Finding(rule="count", verdict="uninformative", text=MEAN))
        return
    fits = {name: fit for name, n in score.sizes.items() if (fit := find_counts(score.printed, n))}
    if fits:
        score.findings.append(_fit(score, fits))
        score.sizes = {name: fit.n for name, fit in fits.items()}
    elif score.sizes:
        score.findings.append(_misfit(score, score.printed))
    else:
        score.findings += _unknown(score, score.printed)


def unknown_rows(claim: PublishedClaim) -> str:
    """Return that zoo does not know the rows of a claim, with the name that its author may have misspelled."""
    similar = similar_name(claim)
    hint = f"; did you mean {similar}?" if similar else ""
    return f"the number of rows is not known{hint}"


def _is_share(score: Score) -> bool:
    metric, data = score.metric, score.data_set
    if metric is None or metric.name not in SHARES or metric.variant or metric.of_class:
        return False
    if is_of_tags(score.claim.task):  # a share of the words
        return False
    return metric.name == "exact_match" or data is None or data.facts.has_labelled_rows


def _fit(score: Score, fits: dict[str, Fit]) -> Finding:
    """Return that a value fits. If several splits may be meant, the chances add up."""
    assert score.printed is not None
    is_loose = any(fit.is_loose for fit in fits.values())
    chances = [chance_of_count(score.printed, n, loose=is_loose) for n in score.sizes.values()]
    chance = min(sum(chances), 1.0)
    names = [f"{fit} ({name})" if len(score.sizes) > 1 else str(fit) for name, fit in fits.items()]
    return Finding(rule="count", verdict=evidence(chance), text=" or ".join(names), chance=chance)


def _misfit(score: Score, printed: Printed) -> Finding:
    """Return why a value fits none of the rows that may be meant: another split, a loader, or another reason."""
    rows = " or ".join(f"{n:,}" for n in score.sizes.values())
    others = _other_splits(score, printed)
    chance = total_chance(others.values())
    if others and chance < EVIDENCE:
        found = " or ".join(f"{fit} ({name})" for name, fit in others.items())
        return Finding(
            rule="count", verdict="inconsistent", text=f"{found}, and no share of {rows} rows", chance=chance
        )
    effects = {n: effect for n in score.sizes.values() if (effect := find_loader_effect(printed, n))}
    for n, (what, chance) in effects.items():
        if chance < EVIDENCE:
            score.has_loader_effect = True
            return Finding(rule="count", verdict="consistent", text=f"{what}, not of {n:,}", chance=chance)
    simplest = find_rows(printed)
    if simplest is not None and simplest.denominator < min(score.sizes.values()):
        found = f"{simplest.numerator:,} of {simplest.denominator:,} rows or a multiple: a part or other data"
        return Finding(rule="count", verdict="inconsistent", text=f"{found}, and no share of {rows} rows")
    sizes = [*score.sizes.values()]
    nearest = f"; the nearest are {nearest_counts(printed, sizes[0])}" if len(sizes) == 1 else ""
    perhaps = next((f"; perhaps {what}, among others" for what, _ in effects.values()), "")  # so few digits cannot tell
    return Finding(rule="count", verdict="inconsistent", text=f"no share of {rows} rows{nearest}{perhaps}")


def _other_splits(score: Score, printed: Printed) -> dict[str, Fit]:
    """Return the other splits of the data set that a value fits."""
    rows = score.data_set.rows if score.data_set else {}
    fits = {name: find_counts(printed, n) for name, n in rows.items() if n not in score.sizes.values()}
    return {name: fit for name, fit in fits.items() if fit and not fit.is_loose}


def _unknown(score: Score, printed: Printed) -> list[Finding]:
    """Return what the digits say where nobody knows the number of rows."""
    text = ""
    if score.data_set is not None:
        splits = ", ".join(score.data_set.rows)
        text = f"the data set has no split {score.claim.split!r}; its splits are {splits}"
    elif simplest := find_rows(printed):
        shown = f"{simplest.numerator:,} of {simplest.denominator:,}, or a multiple"
        text = f"{shown}; {unknown_rows(score.claim)}"
    return [Finding(rule="count", verdict="uninformative", text=text)] if text else []
