"""Judge entries by their records: collect what the runs measured for each claim, and judge it. Never imports torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.judging.measure import measure_claim
from harness.judging.retraining import default_seeds
from harness.judging.types import Judgement, Verdict, not_run, worst_verdict
from harness.judging.verdict import fill_published_value, in_family, judge, judge_all
from harness.records.record import FIRST_REFERENCE_SEED, Mode, RecordedRun
from zoo.errors import ZooError, first_line
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry, NotComparedClaim
from zoo.recipes.claim import Claim

NO_WEIGHTS = "there are no published weights; --train trains it"
"""Why an entry is not evaluated."""


ONLY_REFERENCE = (
    f"All runs have seeds from {FIRST_REFERENCE_SEED} on. Claims are made from such reference runs, and not judged by"
    " them; train with lower seeds."
)


@dataclass(frozen=True, kw_only=True)
class EntryRuns:
    """The runs of one entry in one mode, or the reason why there are none."""

    entry: Entry
    mode: Mode
    runs: tuple[RecordedRun, ...] = ()
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The scores in files beside the published weights: file -> metric -> score as written."""
    looks: Mapping[str, int] = field(default_factory=dict)
    """How many times claims have been judged, with this time, each time with more seeds, by the names of the claims;
    once for claims that are left out."""
    other_mode: "EntryRuns | None" = None
    """Earlier runs of the other mode, if they are known. They are judged and shown, and do not count."""
    skipped: str = ""
    """Why nothing was run."""
    not_comparable: str = ""
    """Why nothing can be compared with the claims, so that nothing was run."""
    error: ZooError | None = None
    """The error that prevented the runs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The verdict of an entry, with the judgements of its claims and the records behind them."""

    entry: Entry
    mode: Mode
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    records: tuple[Path, ...] = ()
    findings: tuple[str, ...] = ()
    """Observations that a reader of the scores should know."""
    error: ZooError | None = None
    """The error that ended the entry."""

    @property
    def counts(self) -> bool:
        """Whether the entry counts for the exit code: not if all its claims of this mode are only reported."""
        claims = [judgement.claim for judgement in self.judgements if judgement.claim.of == self.mode]
        return not claims or any(claim.gates for claim in claims)

    @property
    def failed(self) -> bool:
        """Whether a claim of this mode cannot be compared because outputs are not finite or constant."""
        return any(
            judgement.failed
            for judgement in self.judgements
            if judgement.claim.gates and judgement.claim.of == self.mode
        )


def judge_entries(entry_runs: Iterable[EntryRuns], evidence: Path) -> list[Outcome]:
    """Return the outcome of each entry, in order.

    Retrainings are adjusted over all claims of their family, whether they were run or not. The shipped entries are one
    family, and the other recipes of the command, also those of generated suites, are another. Each entry is judged by
    itself, so the verdict of a shipped entry does not depend on the other entries of the command.

    Args:
        entry_runs: The runs of each entry.
        evidence: The folder of committed records. Predictions are compared with the recorded predictions of the same
            weights; a damaged record becomes the error of the entry.
    """
    of_entries = list(entry_runs)
    others = [runs.entry for runs in of_entries if not runs.entry.is_shipped]
    families = _Families(catalogue.entries(), others)
    return [_judge_entry(of_entry, evidence, families) for of_entry in of_entries]


@dataclass(frozen=True)
class _Families:
    """The shipped entries, and the other recipes of a command. A recipe is read once, and only for a training."""

    shipped: list[Entry]
    others: list[Entry]

    def size_for(self, entry: Entry) -> int:
        """Return the number of claims in the family of an entry."""
        return family_size(self.shipped if entry.is_shipped else self.others)


def _judge_entry(entry_runs: EntryRuns, evidence: Path, families: _Families) -> Outcome:
    try:
        judged = _judge_mode(entry_runs, evidence, families) if entry_runs.runs else {}
    except ZooError as error:
        entry_runs, judged = replace(entry_runs, runs=(), error=error), {}
    earlier = _judge_earlier(entry_runs.other_mode, evidence, families) if entry_runs.other_mode else {}
    known = judged | earlier
    claims = _claims(entry_runs.entry)
    judgements = [known.get(claim) or _not_judged(claim, entry_runs) for claim in claims]
    of_card = [_judge_unmapped(unmapped) for unmapped in entry_runs.entry.unmapped]
    return _outcome(entry_runs, (*judgements, *of_card))


def _judge_earlier(entry_runs: EntryRuns, evidence: Path, families: _Families) -> dict[Claim, Judgement]:
    """Judge the claims of the mode that was not run; an error is shown at them, and is none of the entry."""
    try:
        judged = _judge_mode(entry_runs, evidence, families)
    except ZooError as error:
        claims = [claim for claim in _claims(entry_runs.entry) if claim.of == entry_runs.mode]
        judged = {claim: not_run(claim, first_line(error)) for claim in claims}
    return {claim: replace(judgement, why=f"From earlier runs: {judgement.why}") for claim, judgement in judged.items()}


def _judge_mode(entry_runs: EntryRuns, evidence: Path, families: _Families) -> dict[Claim, Judgement]:
    """Judge the claims that runs of this mode test."""
    entry, mode = entry_runs.entry, entry_runs.mode
    claims = [claim for claim in entry.recipe.claims if claim.of == mode]
    filled = [fill_published_value(claim, entry_runs.published) for claim in claims]
    family = families.size_for(entry) if mode == "retrain" else 1
    judged = judge_claims(filled, entry_runs.runs, evidence, looks=entry_runs.looks, family=family)
    return dict(zip(claims, judged, strict=True))


def judge_claims(
    claims: Iterable[Claim], runs: Sequence[RecordedRun], evidence: Path, *, looks: Mapping[str, int], family: int
) -> tuple[Judgement, ...]:
    """Return the judgements of claims that have their values, by runs of the mode that they are about.

    Args:
        claims: The claims.
        runs: The runs.
        evidence: The folder of committed records, see `judge_entries`.
        looks: See `EntryRuns.looks`.
        family: The number of claims over which retrainings are adjusted.
    """
    pairs = [(claim, measure_claim(claim, runs, evidence, looks.get(claim_name(claim), 1))) for claim in claims]
    judged = judge_all(pairs, family)
    if not runs or not all(record.identity.is_reference for _, record in runs):
        return judged
    unmeasured = [claim.value is not None and measured is None for claim, measured in pairs]
    return tuple(replace(j, why=ONLY_REFERENCE) if lacks else j for j, lacks in zip(judged, unmeasured, strict=True))


def claim_name(claim: Claim) -> str:
    """Return the name of a claim within its entry and mode, such as `accuracy on validation (last): 0.8725`.

    Two recipes of one name that claim different values have different claims, whose looks are counted apart.
    """
    rows = f", rows {claim.rows}" if claim.rows else ""
    return f"{claim.metric} on {claim.split}{rows} ({claim.selection}): {claim.value}"


def family_size(family: Iterable[Entry]) -> int:
    """Return the number of claims, at least one, over which the retrainings of a family of entries are adjusted."""
    return max(1, sum(in_family(claim) for entry in family for claim in _claims(entry)))


def default_seeds_of(entry: Entry) -> list[int]:
    """Return the default seeds of an entry: 0, 1, 2, ..., the largest number that one of its claims needs."""
    return list(range(max((default_seeds(claim) for claim in _claims(entry) if claim.of == "retrain"), default=3)))


def _outcome(entry_runs: EntryRuns, judgements: tuple[Judgement, ...]) -> Outcome:
    gating = [j for j in judgements if j.claim.gates and j.claim.of == entry_runs.mode]
    findings = [*entry_runs.entry.audit]
    findings += [finding for _, record in entry_runs.runs for finding in record.findings]
    findings += [f"{path.parent.name} failed: {record.failure}" for path, record in entry_runs.runs if record.failure]
    findings += [finding for judgement in judgements for finding in judgement.findings]
    return Outcome(
        entry=entry_runs.entry,
        mode=entry_runs.mode,
        verdict=worst_verdict(gating) if entry_runs.runs or entry_runs.not_comparable else "not-run",
        judgements=judgements,
        records=tuple(path for path, _ in entry_runs.runs),
        findings=tuple(dict.fromkeys(findings)),
        error=entry_runs.error,
    )


def _not_judged(claim: Claim, entry_runs: EntryRuns) -> Judgement:
    """Return the judgement of a claim without runs: its mode was not run, or its entry failed or was skipped."""
    if claim.of == "test-server":
        return judge(claim, None)
    if claim.of == entry_runs.mode and entry_runs.not_comparable:
        return Judgement(claim=claim, verdict="not-compared", why=entry_runs.not_comparable)
    if claim.of == entry_runs.mode or not entry_runs.runs:
        return not_run(claim, first_line(entry_runs.error) if entry_runs.error else entry_runs.skipped)
    option = "with --train" if claim.of == "retrain" else "without --train"
    return not_run(claim, f"Not part of this command; run it {option} to judge this claim.")


def _judge_unmapped(unmapped: NotComparedClaim) -> Judgement:
    """Return the judgement of a claim of a model card that no recipe can check."""
    return Judgement(claim=unmapped.claim, verdict="not-compared", why=unmapped.why)


def _claims(entry: Entry) -> tuple[Claim, ...]:
    return entry.recipe.claims if entry.is_readable else ()
