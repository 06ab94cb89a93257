"""The text of verdicts: in detail for `zoo reproduce`, as a table for `zoo verify`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli import render
from zoo.cli.next_steps import of_training_folder
from zoo.errors import NotComparableError, first_line
from zoo.recipes.catalogue import LOCAL
from zoo.safe_text import one_line
from zoo.text_tables import number

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome
    from harness.judging.types import Judgement

SMALLEST_MARGIN = 5e-5
"""A smaller margin would be rounded to zero."""
UNSETTLED = ("not-reproduced", "inconclusive")
"""The verdicts of claims that the findings of a run may explain."""
MOST_DECIMALS = 6
"""The decimals of scores in a table that is wider than the terminal."""


def details(outcome: "Outcome", next_step: str | None) -> Iterator[str]:
    """Return an entry's verdict, each claim with its reason and source, the records, and what to run next."""
    from harness.runs.verify import tested_claims

    yield f"{one_line(outcome.entry.title)}: {outcome.verdict}"
    yield from _audit(outcome)
    printed = {first_line(outcome.error)} if outcome.error else set[str]()  # stderr has the error
    for name, judgement in render.named_judgements(outcome.entry, outcome.judgements):
        yield f"  {render.claim_line(judgement, name)}"
        if judgement.why not in printed:
            yield render.wrapped(one_line(judgement.why), "    ")
        printed.add(judgement.why)
        yield render.wrapped(one_line(f"source: {judgement.claim.source}"), "    ")
    yield from _notes(outcome)
    if not tested_claims(outcome):
        if outcome.error is None:
            yield render.wrapped(_why_nothing_is_tested(outcome), "  ")
        yield from (f"  {one_line(line)}" for line in _scores_without_claims(outcome))
    yield from _reference_claims(outcome)
    yield from (f"  record: {one_line(path)}" for path in outcome.records)
    if next_step:
        yield f"  next: {one_line(next_step)}"


def _audit(outcome: "Outcome") -> Iterator[str]:
    """Return a line for each claim of a card that arithmetic contradicts."""
    return (render.wrapped(one_line(finding), "  ") for finding in outcome.entry.audit)


def _notes(outcome: "Outcome") -> Iterator[str]:
    """Return a line for each finding but those of `_audit`."""
    notes = [finding for finding in outcome.findings if finding not in outcome.entry.audit]
    return (render.wrapped(one_line(f"note: {finding}"), "  ") for finding in notes)


def _scores_without_claims(outcome: "Outcome") -> list[str]:
    """Return the scores of runs that no claim of the entry is about."""
    from harness.records.record import read_record

    scores: dict[str, list[str]] = {}
    for path in outcome.records:
        for result in read_record(path).results:
            for metric, score in result.metrics.items():
                name = f"{metric} on {result.split} ({result.selection} epoch)"
                scores.setdefault(name, []).append(number(score["value"]))
    return [f"{name}: {', '.join(values)}" for name, values in scores.items()]


def _reference_claims(outcome: "Outcome") -> Iterator[str]:
    """Yield the claims that an entry's reference runs make, as its recipe may have them."""
    from harness.judging.measured_claims import claim_line, reference_claims
    from harness.records.record import read_record

    if outcome.entry.suite != LOCAL or outcome.mode != "retrain":
        return
    known = {
        (claim.split, claim.metric, str(claim.selection))
        for claim in outcome.entry.recipe.claims
        if claim.of == "retrain"
    }
    made = reference_claims([(path, read_record(path)) for path in outcome.records])
    claims = [claim for claim in made if (claim["split"], claim["metric"], claim["selection"]) not in known]
    if claims:
        yield f"  to claim the scores of these {len(outcome.records)} reference runs, add to `claims` of the recipe:"
    for claim in claims:
        yield f"    - {one_line(claim_line(claim))}"
    if any("sigma" not in claim for claim in claims):
        yield "  scores that are equal say nothing of how much they vary; score more rows"


def summary_text(outcomes: list["Outcome"], data: dict[str, Any]) -> str:
    """Return a table of claims, the reason for every verdict but `reproduced` with what to run next, and the counts."""
    headers = ["entry", "claim", "claimed", "measured", "margin", "runs", "verdict"]
    if all(outcome.mode == "retrain" for outcome in outcomes):
        headers[4] = "excluded"
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    if not render.fits_terminal(headers, rows):
        rows = [[*row[:2], *map(_shortened, row[2:4]), *row[4:]] for row in rows]
    pairs = zip(outcomes, data["entries"], strict=True)
    reasons = [line for outcome, entry in pairs for line in _reasons(outcome, entry["next_step"])]
    blocks = [render.table(headers, rows, flexible=(0, 1)), *(["\n".join(reasons)] if reasons else [])]
    blocks += _other_counts(outcomes)
    return "\n\n".join([*blocks, render.counts_line(data["summary"])])


def _other_counts(outcomes: Sequence["Outcome"]) -> list[str]:
    """Return a table of the claims whose number of right predictions differs from the claimed one, if there are any."""
    headers = ["entry", "claim", "claimed", "right", "differ", "near-ties", "of"]
    rows = [
        [outcome.entry.title, name, f"{j.counts.claimed:,}", f"{j.counts.right:,}",
         f"{j.counts.difference:+,}", "-" if j.counts.near_ties is None else f"{j.counts.near_ties:,}",
         f"{j.counts.n:,}"]
        for outcome in outcomes for name, j in _tested(outcome) if j.counts and j.counts.difference
    ]  # fmt: skip
    return [f"Other counts than claimed:\n\n{render.table(headers, rows, flexible=(0, 1))}"] if rows else []


def _rows(outcome: "Outcome") -> list[list[str]]:
    """Return one row for each tested claim, or a single row for an entry without any."""
    title, runs = outcome.entry.title, str(len(outcome.records))
    rows = [
        [title, name, j.claim.printed_value,
         number(j.measured, j.claim.printed_decimals), _margin(j), runs, j.label]
        for name, j in _tested(outcome)
    ]  # fmt: skip
    return rows or [[title, "-", "-", "-", "-", runs, outcome.verdict]]


def _tested(outcome: "Outcome") -> list[tuple[str, "Judgement"]]:
    """Return the judgements of the claims that the runs test, each with the name of its claim for readers."""
    from harness.runs.verify import tested_claims

    return render.named_judgements(outcome.entry, tested_claims(outcome))


def _shortened(score: str) -> str:
    """Return a score with few enough decimals for a narrow table; the JSON and `zoo reproduce` have all of them."""
    return f"{float(score):.{MOST_DECIMALS}f}" if len(score.partition(".")[2]) > MOST_DECIMALS else score


def _why_nothing_is_tested(outcome: "Outcome") -> str:
    """Return why a run without error tests no claim of its entry."""
    if isinstance(outcome.entry.failure, NotComparableError):
        return str(outcome.entry.failure)
    kinds = {judgement.claim.of for judgement in outcome.judgements}
    if outcome.mode == "retrain":
        other = ", only about the published weights" if "weights" in kinds else ""
        return f"the recipe has no claims about retraining{other}"
    missing = "claims about its published weights" if outcome.entry.recipe.weights else "published weights to evaluate"
    why = f"the recipe has no {missing}{'; its claims are about retraining' if 'retrain' in kinds else ''}"
    return "; ".join(filter(None, [why, of_training_folder(outcome.entry)]))


def _margin(judgement: "Judgement") -> str:
    """Return the largest difference that still counts as reproduced, such as `±0.0012`; for a training the losses that
    `reproduced` excludes, such as `>1.4 points`.
    """
    if judgement.claim.of == "retrain":
        return "-" if judgement.excluded_loss is None else f">{100 * judgement.excluded_loss:.2g} points"
    if judgement.equivalent is None:
        return "-"
    low, high = judgement.equivalent
    margin = (high - low) / 2
    return f"±{margin:.4f}" if margin >= SMALLEST_MARGIN else f"±{margin:.0e}"


def _reasons(outcome: "Outcome", next_step: str | None) -> Iterator[str]:
    """Return what an audit of the card found, why an entry is not reproduced, its findings, and what to run next.

    The reason is left out if its error is on stderr. The findings are shown where a claim is not reproduced.
    """
    is_explained = outcome.verdict == "reproduced" or outcome.error is not None
    if outcome.entry.audit or not is_explained:
        yield f"{one_line(outcome.entry.title)}: {outcome.verdict}"
        yield from _audit(outcome)
    if is_explained:
        return
    tested, reasons = _tested(outcome), dict[str, list[str]]()
    if not tested:
        yield render.wrapped(_why_nothing_is_tested(outcome), "  ")
    for name, judgement in tested:
        if judgement.verdict != "reproduced":
            reasons.setdefault(judgement.why, []).append(name)
    for why, claims in reasons.items():
        yield render.wrapped(one_line(f"{', '.join(claims)}: {why}"), "  ")
    if any(judgement.verdict in UNSETTLED for _, judgement in tested):
        yield from _notes(outcome)
    if next_step:
        yield f"  next: {one_line(next_step)}"
