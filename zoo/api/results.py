"""The results that the Python API returns: frozen dataclasses that turn into pandas tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.judging.chosen_rows import subset_text
from harness.judging.judge_runs import Outcome
from harness.judging.types import VERDICTS_BY_SEVERITY, Judgement, Verdict, decimals_of
from harness.records.record import Record
from harness.runs.verify import tested_claims
from zoo.errors import ZooError
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.text_tables import finite

if TYPE_CHECKING:
    import pandas as pd

    from harness.evaluation.evaluate import Evaluation
    from harness.pictures.picture import Picture


@dataclass(frozen=True)
class VerificationResult:
    """The verdicts on one or more entries.

    Attributes:
        outcomes: One for each entry: its verdict, the judgement of each claim, the paths of the records, its error.
    """

    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all entries."""
        return min((outcome.verdict for outcome in self.outcomes), key=VERDICTS_BY_SEVERITY.index, default="not-run")

    @property
    def claims(self) -> tuple[Judgement, ...]:
        """The judgements of all tested claims: of the published weights, or with `train=True` of retraining."""
        return tuple(judgement for outcome in self.outcomes for judgement in tested_claims(outcome))

    @property
    def records(self) -> tuple[Path, ...]:
        """The record files of all runs that were judged."""
        return tuple(path for outcome in self.outcomes for path in outcome.records)

    def raise_error(self) -> None:
        """Raise the error of the first entry that has one."""
        for outcome in self.outcomes:
            if outcome.error is not None:
                raise outcome.error

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each entry."""
        return _frame(
            ["entry", "suite", "verdict", "runs", "error"],
            ([o.entry.name, o.entry.suite, o.verdict, len(o.records), _text(o.error)] for o in self.outcomes),
        )

    def claims_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each tested claim."""
        measured = ["measured", "sigma", "p_value", "excluded_loss", "verdict", "label", "why", "source"]
        rows = (_claim_row(o.entry.name, judgement) for o in self.outcomes for judgement in tested_claims(o))
        return _frame(["entry", "of", "split", "metric", "claimed", *measured], rows)


@dataclass(frozen=True, kw_only=True)
class SplitScore:
    """One metric of a model on one split.

    Attributes:
        split: The split.
        metric: The metric.
        value: The score; None if the metric is not defined for these predictions.
        n: The number of examples.
        epoch: `last` or `best`: the epoch whose weights were scored.
        claimed: The score that the entry claims for its published weights, if any.
        decimals: The most decimals of a claim on this split and metric, if any; the score is printed with them.
        subset: Which rows were scored, such as `1,000 of 50,000 rows (0-999)`; empty for the whole split.
    """

    split: str
    metric: str
    value: float | None
    n: int
    epoch: str = "last"
    claimed: float | None = None
    decimals: int | None = None
    subset: str = ""

    @property
    def examples(self) -> str:
        """The number of examples, with that of the whole split if only some of its rows were scored."""
        return self.subset or str(self.n)


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The scores of a user's weights or predictions on an entry's task. The entry's claims are not judged.

    Attributes:
        entry: The entry's name.
        path: The file or folder that was scored.
        scores: One for each split and metric.
        findings: What a reader of the scores should know, such as that they are at chance level.
    """

    entry: str
    path: Path
    scores: tuple[SplitScore, ...]
    findings: tuple[str, ...] = ()

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each score."""
        return _frame(
            ["split", "metric", "value", "claimed", "n"],
            ([s.split, s.metric, s.value, s.claimed, s.n] for s in self.scores),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """One finished training.

    Attributes:
        entry: The recipe's name.
        seed: The seed.
        record: The record file. The weights, the training log and the predictions are beside it.
        scores: One for each split, metric and scored epoch.
        findings: What a reader of the scores should know, such as that they are at chance level.
        created: The time of the record in UTC, such as `2026-11-25T12:00:00Z`.
        existed: Whether the run was made before; then nothing was trained.
    """

    entry: str
    seed: int
    record: Path
    scores: tuple[SplitScore, ...]
    findings: tuple[str, ...] = ()
    created: str = ""
    existed: bool = False

    def plot(self, only: str | Sequence[str] = ()) -> "Picture":
        """Return the training curves as a figure of matplotlib, which notebooks show. See `zoo.plot`."""
        from zoo.api import plot

        return plot(self.record.parent, only=only)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each score."""
        return _frame(
            ["split", "metric", "value", "n", "epoch"],
            ([s.split, s.metric, s.value, s.n, s.epoch] for s in self.scores),
        )


@dataclass(frozen=True)
class EntryList:
    """Entries with their recorded claims.

    Attributes:
        entries: The entries, each with its `name`, `suite`, `path` and `recipe`.
    """

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each entry."""
        return _frame(
            ["entry", "suite", "task", "model", "claims"],
            ([e.name, e.suite, e.recipe.task.use, e.recipe.model.use, len(e.recipe.claims)] for e in self.entries),
        )

    def claims_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each claim."""
        columns = ["entry", "of", "split", "metric", "claimed", "source"]
        return _frame(columns, (_claimed(e.name, claim) for e in self.entries for claim in e.recipe.claims))


def training_result(path: Path, record: Record, claims: Sequence[Claim], *, existed: bool) -> TrainingResult:
    """Return the result of a training from its record, and the claims of its recipe."""
    return TrainingResult(
        entry=record.entry, seed=record.identity.seed or 0, record=path, scores=_scores_of_record(record, claims),
        findings=record.findings, created=record.created, existed=existed,
    )  # fmt: skip


def scores_of_evaluations(evaluations: "Iterable[Evaluation]", claims: Sequence[Claim]) -> tuple[SplitScore, ...]:
    """Return the scores of evaluations, beside what is claimed for the published weights."""
    claimed: dict[tuple[str, str], Claim] = {}
    for claim in claims:
        if claim.of == "weights":
            claimed.setdefault((claim.split, claim.metric), claim)

    def score_of(evaluation: "Evaluation", metric: str) -> SplitScore:
        claim, value = claimed.get((evaluation.split, metric)), finite(evaluation.scores[metric].value)
        return SplitScore(
            split=evaluation.split, metric=metric, n=evaluation.n, value=value,
            claimed=claim.value if claim else None, decimals=decimals_of(claims, evaluation.split, metric),
            subset=subset_text(evaluation.scoring, evaluation.n),
        )  # fmt: skip

    return tuple(score_of(evaluation, metric) for evaluation in evaluations for metric in evaluation.scores)


def _scores_of_record(record: Record, claims: Sequence[Claim]) -> tuple[SplitScore, ...]:
    """Return the scores in a record."""
    return tuple(
        SplitScore(
            split=result.split,
            metric=name,
            n=result.n,
            value=score["value"],
            epoch=result.selection,
            decimals=decimals_of(claims, result.split, name),
            subset=subset_text(result.scoring, result.n),
        )
        for result in record.results
        for name, score in result.metrics.items()
    )


def _claim_row(entry: str, judgement: Judgement) -> list[Any]:
    *named, source = _claimed(entry, judgement.claim)
    verdict = [judgement.excluded_loss, judgement.verdict, judgement.label, judgement.why]
    return [*named, judgement.measured, judgement.sigma, judgement.p, *verdict, source]


def _claimed(entry: str, claim: Claim) -> list[Any]:
    return [entry, claim.of, claim.split, claim.metric, claim.value, claim.source]


def _text(error: ZooError | None) -> str | None:
    return None if error is None else str(error)


def _frame(columns: list[str], rows: Iterable[list[Any]]) -> "pd.DataFrame":
    import pandas as pd  # takes longer to import than the commands that need no table

    return pd.DataFrame([dict(zip(columns, row, strict=True)) for row in rows], columns=columns)
