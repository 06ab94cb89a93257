"""The Python API: functions that mirror the commands. `zoo` exports them.

Only this package and `zoo.cli` import all three packages. They import heavy modules inside functions, so that
`import zoo` and `zoo --help` are quick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from zoo.api.select_entries import changed_entries
from zoo.api.session import Session, configure_libraries
from zoo.errors import UsageError, did_you_mean
from zoo.recipes.claim import Precision
from zoo.recipes.options import (
    Backend,
    DeviceOptions,
    EvaluationOptions,
    RunOptions,
    SourceOptions,
    TrackerName,
    TrainingOptions,
)

if TYPE_CHECKING:
    from harness.pictures.picture import Picture
    from zoo.api.audit_result import AuditResult
    from zoo.api.recorded_run import RunTables
    from zoo.api.results import EntryList, EvaluationResult, TrainingResult, VerificationResult
    from zoo.api.submission import SubmissionResult

Options = TypeVar("Options")


class SourceArguments(TypedDict, total=False):
    """Keyword arguments of every function. They mirror the command line's options and `SourceOptions`."""

    trust: Sequence[str]
    lock: str | Path | None
    mirror: str | Path | None
    cache: str | Path | None
    data: Mapping[str, str | Path]


class DeviceArguments(SourceArguments, total=False):
    """Keyword arguments of functions that run models. See `DeviceOptions`."""

    device: str | None
    precision: Precision


class EvaluationArguments(DeviceArguments, total=False):
    """Keyword arguments of functions that score models. See `EvaluationOptions`."""

    strict: bool


class TrainingArguments(EvaluationArguments, total=False):
    """Keyword arguments of functions that train. See `TrainingOptions`."""

    micro_batch: int | None
    save_every: float
    time_limit: str | None
    score_epochs: bool
    log_to: Sequence[TrackerName]
    fresh: bool
    records: str | Path | None


class RunArguments(TrainingArguments, total=False):
    """Keyword arguments of functions that judge claims. See `RunOptions`."""

    train: bool
    seeds: int | None
    first_seed: int
    jobs: int | None
    on: Backend | None
    ray_address: str | None
    slurm_config: str | Path | None


def audit(
    *targets: str,
    suite: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002 - mirrors --all
    where: str | None = None,
    **options: Unpack[SourceArguments],
) -> "AuditResult":
    """Check published claims by arithmetic, without downloading weights or data.

    Args:
        *targets: Entries, suites, globs, recipe files, OWNER/NAME[@REVISION] of models on the Hub, README.md files, or
            tables of claims.
        suite: A suite, or several.
        all: Whether to audit all shipped entries.
        where: Audit only entries that this expression selects; see `zoo.suites.where`.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Raises:
        UsageError: No target is named, or a name selects nothing.

    Examples:
        >>> import zoo
        >>> result = zoo.audit("bert-base-uncased-mrpc")
        >>> [claim.text for claim in result.claims]
        ['356 of 408: consistent', 'F1 implies 253 true positives: consistent']
    """
    from zoo.api.audit_result import AuditResult

    suites = [suite] if isinstance(suite, str) else list(suite)
    return AuditResult(tuple(_session(options, SourceOptions).audit(targets, suites, all, where)))


def reproduce(*entries: str, **options: Unpack[RunArguments]) -> "VerificationResult":
    """Evaluate the published weights of entries, or train them again, and judge their claims.

    Args:
        *entries: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION] of a recipe on the Hub.
        **options: `train=True` trains again instead of evaluating the published weights, `seeds` times. See
            `RunOptions` and `SourceOptions` in `zoo.recipes.options` for all options.

    Raises:
        ZooError: An entry failed. Other entries have run by then, and their runs are in the cache.

    Examples:
        >>> import zoo
        >>> result = zoo.reproduce("digits-resnet8")
        >>> result.verdict
        'reproduced'
        >>> [(judgement.claim.metric, judgement.verdict) for judgement in result.claims]
        [('accuracy', 'reproduced')]
    """
    result = verify(*entries, **options)
    result.raise_error()
    return result


def verify(
    *patterns: str,
    suite: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002 - mirrors --all
    where: str | None = None,
    changed_since: str | None = None,
    **options: Unpack[RunArguments],
) -> "VerificationResult":
    """Judge the claims of many entries. An entry that fails does not stop the others; its outcome has the error.

    Args:
        *patterns: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION] of a recipe on the Hub, or of a
            model whose card has claims.
        suite: A suite, or several.
        all: Whether to judge all shipped entries.
        where: Judge only entries that this expression selects, such as `"params<30"`; see `zoo.suites.where`.
        changed_since: Judge only entries that differ from this revision of the repository that you are in.
        **options: See `reproduce`.

    Raises:
        UsageError: No entry matches, or an option cannot be used.

    Examples:
        >>> import zoo
        >>> zoo.verify(suite="starter").to_frame()["verdict"].unique().tolist()
        ['reproduced']
    """
    from zoo.api.results import VerificationResult

    session = _session(options, RunOptions)
    suites = [suite] if isinstance(suite, str) else list(suite)
    everything = all or (changed_since is not None and not (patterns or suites))
    chosen, _ = changed_entries(
        session.entries.select(patterns, suites, everything, where=where), changed_since, session.sources.lock
    )
    return VerificationResult(tuple(session.verify(chosen, _pick(RunOptions, options))))


def train(
    recipe: str, *, seed: int = 0, out: str | Path | None = None, **options: Unpack[TrainingArguments]
) -> "TrainingResult":
    """Train a recipe once and evaluate the result. An interrupted training resumes from its checkpoint.

    Args:
        recipe: The path of a recipe, or an entry.
        seed: The seed.
        out: A new folder for the weights, the log, the predictions and the record. Default: a folder in `records`.
        **options: See `TrainingOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: The training failed.

    Examples:
        >>> import zoo
        >>> result = zoo.train("digits-resnet8", seed=1)  # doctest: +SKIP
        >>> result.to_frame()  # doctest: +SKIP
          split    metric     value    n epoch
        0  test  accuracy  0.974388  898  last
    """
    session = _session(options, TrainingOptions)
    folder = None if out is None else Path(out)
    return session.train(session.entries.select_one(recipe), _pick(TrainingOptions, options), seed=seed, out=folder)


def evaluate(
    path: str | Path, *, as_entry: str, split: str | None = None, **options: Unpack[EvaluationArguments]
) -> "EvaluationResult":
    """Score weights or predictions of your own on an entry's task. The entry's claims are shown, not judged.

    Args:
        path: Weights (a `.safetensors` or `.pt` file, or a folder of `train`), or predictions (`.npz`, `.csv`, `.tsv`
            or `.jsonl`).
        as_entry: The entry whose task and model are used.
        split: The split of a predictions file. Default: the first scored split of the task.
        **options: See `EvaluationOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: The file cannot be read, or does not fit the entry.

    Examples:
        >>> from zoo.paths import PACKAGE
        >>> import zoo
        >>> result = zoo.evaluate(PACKAGE / "starter/digits-resnet8.safetensors", as_entry="digits-resnet8")
        >>> result.scores[0].metric, round(result.scores[0].value, 3)
        ('accuracy', 0.979)
    """
    session = _session(options, EvaluationOptions)
    return session.evaluate(session.entries.select_one(as_entry), _pick(EvaluationOptions, options), Path(path), split)


def plot(
    *runs: str | Path,
    only: str | Sequence[str] = (),
    out: str | Path | None = None,
    records: str | Path | None = None,
    **options: Unpack[SourceArguments],
) -> "Picture":
    """Draw training curves of one or more runs, and the seeds of an entry against its claimed score.

    Args:
        *runs: Folders of runs, also of trainings that were stopped, records, ENTRY:SEED, or entries with all their
            trainings.
        only: What to draw: `loss`, a loss term, `lr`, a metric, a split, or `seeds`. Default: everything.
        out: Also write the picture to this `.svg`, `.png` or `.pdf` file.
        records: The folder of your runs. Default: that of the other functions.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Returns:
        A figure of matplotlib, which notebooks show.

    Raises:
        UsageError: No run is named, a name is not known, or there is nothing to draw.

    Examples:
        >>> import zoo
        >>> figure = zoo.plot("digits-resnet8_from_digits-resnet14", only="seeds")
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['accuracy on test']
    """
    names = [only] if isinstance(only, str) else list(only)
    session = _session(options, SourceOptions)
    if not runs:
        raise UsageError("name a run, such as the folder that a training has written")
    picture = session.plot([str(run) for run in runs], names, None if records is None else Path(records)).picture
    if out is not None:
        picture.write(Path(out))
    return picture


def submit(
    *models: str | Path, out: str | Path, suite: str | Sequence[str] = (), **options: Unpack[DeviceArguments]
) -> "SubmissionResult":
    """Predict GLUE's hidden test labels, and write a submission for its test server.

    Args:
        *models: For each task an entry, whose published weights predict, or the folder of a run of `train`.
        out: The folder for `submission.zip` and the files in it.
        suite: A suite, or several.
        **options: See `DeviceOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: A model has no weights or another task than GLUE's, or the files cannot be written.

    Examples:
        >>> import zoo
        >>> result = zoo.submit(suite="glue", out="submission")  # doctest: +SKIP
        >>> result.path, result.problems  # doctest: +SKIP
        (PosixPath('submission/submission.zip'), ())
    """
    from harness.runs import glue_submission
    from zoo.api.submission import SubmissionResult, predict, select_models

    session, suites = _session(options, DeviceOptions), [suite] if isinstance(suite, str) else list(suite)
    chosen = select_models(session.entries, [str(model) for model in models], suites)
    path = glue_submission.write(predict(session, chosen, _pick(DeviceOptions, options)), Path(out))
    return SubmissionResult(path=path, problems=tuple(glue_submission.check(path)))


def read_record(run: str | Path, *, records: str | Path | None = None) -> "RunTables":
    """Return a recorded run as tables: its scores, its predictions and its training log.

    Args:
        run: The folder of a run, its record file, or ENTRY, `ENTRY:SEED` or `ENTRY:weights`.
        records: The folder of runs to search first. Default: that of your runs. The committed records come after it.

    Raises:
        UsageError: There is no such run, or there are several.
        IntegrityError: The record, or a file beside it, was changed.

    Examples:
        >>> import zoo
        >>> run = zoo.read_record(zoo.reproduce("digits-resnet8").records[0])
        >>> run.predictions_frame()["right"].sum()
        np.int64(879)
    """
    from harness.diagnosis.diff.find_record import find_record
    from zoo import paths
    from zoo.api.recorded_run import tables_of

    folder = paths.runs(None if records is None else Path(records))
    name_of = _session({}, SourceOptions).entries.name_of
    return tables_of(find_record(str(run), folder, paths.evidence(), name_of))


def list_entries(
    *patterns: str, suite: str | Sequence[str] = (), where: str | None = None, **options: Unpack[SourceArguments]
) -> "EntryList":
    """Return entries with their recorded claims. The package exports this function as `zoo.list`.

    Args:
        *patterns: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION]. Default: all shipped entries.
        suite: A suite, or several.
        where: Only entries that this expression selects; see `zoo.suites.where`.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Examples:
        >>> import zoo
        >>> [entry.name for entry in zoo.list("digits*")]
        ['digits-resnet14', 'digits-resnet8', 'digits-resnet8_from_digits-resnet14']
    """
    from zoo.api.results import EntryList

    suites = [suite] if isinstance(suite, str) else list(suite)
    session, everything = _session(options, SourceOptions), not patterns and not suites
    return EntryList(tuple(session.entries.select(patterns, suites, everything, where=where)))


def _session(options: Mapping[str, Any], kind: type[Any]) -> Session:
    """Return a session with the sources in `options`; raise UsageError for a name that `kind` does not have either."""
    known = [field.name for options_type in (SourceOptions, kind) for field in fields(options_type)]
    for name in options:
        if name not in known:
            raise UsageError(f"there is no option {name!r}{did_you_mean(name, known)}")
    configure_libraries()
    return Session(sources=_pick(SourceOptions, options))


def _pick(kind: type[Options], options: Mapping[str, Any]) -> Options:
    """Return the dataclass with those of the options that are its fields."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in options.items() if name in names})
