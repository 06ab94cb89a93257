"""Judge given runs of one entry, for commands that publish or sign a result. Never imports torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.judging.judge_runs import family_size, judge_claims
from harness.judging.types import Judgement, Verdict, worst_verdict
from harness.judging.verdict import fill_published_value
from harness.records.check import verify_together
from harness.records.record import FILE, Record, RecordedRun, read_record
from harness.records.recorded_claims import read_claims
from harness.records.recorded_entry import entry_of
from harness.runs.looks import look_numbers
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.recipes.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class JudgedRuns:
    """Runs of one entry in one mode, with the claims that they test."""

    runs: tuple[RecordedRun, ...]
    claims: tuple[Claim, ...]
    """The claims of the runs' mode, with the values of their logs."""
    evidence: Path
    """The folder of the records that predictions of published weights are compared with."""
    looks: Mapping[str, int] = field(default_factory=dict)
    """See `harness.judging.judge_runs.EntryRuns.looks`."""
    family: int = 1
    """The number of claims over which retrainings are adjusted."""
    recipe: Recipe | None = None
    """The recipe that was run, with all its claims; None if it is not known."""
    has_recipe: bool = True
    """Whether the claims are those of the recipe that was run, or of the log that was imported."""

    @property
    def record(self) -> Record:
        """The first record."""
        return self.runs[0][1]

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The judgement of each claim."""
        return judge_claims(self.claims, self.runs, self.evidence, looks=self.looks, family=self.family)

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of the claims that gate; None without such claims."""
        gating = [judgement for judgement in self.judgements if judgement.claim.gates]
        return worst_verdict(gating) if gating else None


def judged_runs(files: Iterable[Path], entry: Entry | None, *, folder: Path, evidence: Path) -> JudgedRuns:
    """Check records against their files, and return them with the claims that they test.

    Args:
        files: The record files.
        entry: The entry with the claims. None for the shipped entry with the same recipe, the recipe or the claims
            beside the first record, or the recipe in the cache that zoo made of a model card; without any of them there
            are no claims.
        folder: The folder of all runs, with the number of looks at each claim.
        evidence: The folder of committed records.

    Raises:
        UsageError: The records are of several entries or modes, or the entry has another recipe.
        IntegrityError: A record or a file beside it was changed.
    """
    runs = [(file, read_record(file)) for file in files]
    _check_same(runs)
    verify_together(runs)
    path, record = runs[0]
    found = entry or _entry(path, record)
    if found is not None and found.recipe.digest != record.identity.digest:
        raise UsageError(f"{path}: the run is of another recipe than {found.argument}; name the recipe that was run")
    claims = found.recipe.claims if found is not None else read_claims(path)
    of_mode = [claim for claim in claims if claim.of == record.identity.mode]
    is_training = record.identity.mode == "retrain"
    return JudgedRuns(
        runs=tuple(runs),
        claims=tuple(fill_published_value(claim, record.published) for claim in of_mode),
        evidence=evidence,
        looks=look_numbers(folder, found, runs) if found is not None else {},
        family=_family(found) if is_training and found is not None else 1,
        recipe=found.recipe if found is not None else None,
        has_recipe=found is not None or bool(record.imported),
    )


def recorded_runs(judged: JudgedRuns) -> tuple[RecordedRun, ...]:
    """Return the committed records of the same published weights, which their predictions are compared with."""
    path, record = judged.runs[0]
    if record.identity.mode != "weights":
        return ()
    files = sorted((judged.evidence / record.entry).glob(f"[!.]*/{FILE}"))
    others = [(file, read_record(file)) for file in files if file.resolve() != path.resolve()]
    found = tuple(run for run in others if run[1].weights == record.weights)
    verify_together(found)
    return found


def _check_same(runs: Sequence[RecordedRun]) -> None:
    """Raise UsageError unless the runs are of one recipe and mode, and of published weights at most one."""
    first = runs[0][1]
    for path, record in runs[1:]:
        if (record.entry, record.identity.digest) != (first.entry, first.identity.digest):
            raise UsageError(f"{path}: a run of {record.entry}, but {runs[0][0]} is one of {first.entry} or its recipe")
        if record.identity.mode != first.identity.mode or record.identity.mode == "weights":
            raise UsageError(f"{path}: several runs are judged together only if they are trainings; name one run")


def _entry(path: Path, record: Record) -> Entry | None:
    try:
        return entry_of(path, record)
    except UsageError:
        return None


def _family(entry: Entry) -> int:
    return family_size([entry] if entry.suite == catalogue.LOCAL else catalogue.entries())
