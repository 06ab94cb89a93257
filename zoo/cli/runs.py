"""Commands that evaluate and train: reproduce, verify, train, evaluate."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from zoo import paths
from zoo.api.select_entries import changed_entries
from zoo.api.session import Session
from zoo.cli import plan, render, verdict_text
from zoo.cli.completion import complete_entries, complete_verdicts
from zoo.cli.exit_codes import code_of_outcome, end, failing_verdicts
from zoo.cli.imported_logs import GroupBy, LogClaims, LogFolder, LogTool, import_log
from zoo.cli.next_steps import next_training
from zoo.cli.options import (
    OUTPUT,
    WHAT,
    All,
    DryRun,
    JsonOrLines,
    OneEntry,
    Patterns,
    Records,
    RequiredPatterns,
    Suites,
    Where,
    argument,
    command,
    option,
)
from zoo.cli.progress import SweepReport, report, report_unreachable, session_of
from zoo.cli.summary_page import write_summary_page
from zoo.cli.training_text import notes, training_text
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import EvaluationOptions, RunOptions, SourceOptions, SweepOptions, TrainingOptions
from zoo.text_tables import number


@command
def reproduce(
    entry: RequiredPatterns,
    options: RunOptions,
    sources: SourceOptions,
    dry_run: DryRun = False,
    as_json: JsonOrLines = False,
) -> None:
    """Evaluate published weights, or train again, and judge each claim in detail.

    Runs that exist already are not repeated.

    Example: zoo reproduce digits-resnet8 --train
    """
    session = session_of(sources)
    entries = session.entries.select(entry, [], False)
    if _only_planned(session, entries, options, dry_run=dry_run, as_json=as_json):
        return
    outcomes = session.verify(entries, options)
    data = render.verification_data(outcomes, options, sources)
    pairs = zip(outcomes, data["entries"], strict=True)
    text = "\n".join(
        line for outcome, entry_data in pairs for line in verdict_text.details(outcome, entry_data["next_step"])
    )
    render.emit(data, text, as_json=as_json)
    failed = [outcome.entry for outcome in outcomes if outcome.error is not None]
    report_unreachable([outcome.error for outcome in outcomes], failed, train=options.train)
    end(code_of_outcome(outcome, entry) for outcome in outcomes)


@command
def verify(
    sweep: SweepOptions,
    options: RunOptions,
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    changed_since: Annotated[
        str | None,
        option(
            "--changed-since",
            "Only entries that differ from this revision of the git repository you are in. Default: all selected"
            " entries.",
            WHAT,
            "REV",
        ),
    ] = None,
    junit: Annotated[
        Path | None, option("--junit", "Also write a JUnit XML report to this file. Default: none.", OUTPUT, "FILE")
    ] = None,
    fail_on: Annotated[
        str | None,
        option(
            "--fail-on",
            "Exit with 0 unless an entry has one of these verdicts (separated by commas, or 'none') or an error."
            " Default: all verdicts but 'reproduced' fail.",
            OUTPUT,
            "VERDICTS",
            autocompletion=complete_verdicts,
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        option(
            "--summary",
            "Also write a Markdown page to this file: how many models are as their cards claim, and the reasons of the"
            " others. Default: none.",
            OUTPUT,
            "FILE",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: JsonOrLines = False,
) -> None:
    """Judge the claims of many entries, one line each, with a summary.

    A model of the Hub without a recipe is judged by the claims in its card. Runs that exist already are not repeated.

    Example: zoo verify --suite starter
    """
    failing, of_sweep = failing_verdicts(fail_on), SweepReport()
    session = session_of(sources, of_sweep) if sweep.is_used else session_of(sources)
    everything = everything or (changed_since is not None and not (patterns or suite))
    try:
        selected = session.entries.select_and_sweep(patterns or [], suite or [], everything, sweep, where=where)
        entries = _changed(selected, changed_since, sources.lock)
        if _only_planned(session, entries, options, dry_run=dry_run, as_json=as_json):
            return
        started = time.perf_counter()
        outcomes = session.verify(entries, options)
    finally:  # the sources are pinned, whatever happens after that
        of_sweep.finish()
    data = render.verification_data(outcomes, options, sources)
    render.emit(data, verdict_text.summary_text(outcomes, data), as_json=as_json)
    failed = [outcome.entry for outcome in outcomes if outcome.error is not None]
    report_unreachable([outcome.error for outcome in outcomes], failed, train=options.train)
    _write_ci_reports(data, entries, junit, time.perf_counter() - started, failing)
    if summary is not None:
        write_summary_page(summary, outcomes, data)
    end(code_of_outcome(outcome, patterns or [], failing) for outcome in outcomes)


@command
def train(
    recipe: OneEntry,
    options: TrainingOptions,
    sources: SourceOptions,
    seed: Annotated[int, option("--seed", "The seed of the training. Default: 0.", WHAT, "N", min=0)] = 0,
    out: Annotated[
        Path | None,
        option(
            "--out", "Write the run to this new folder. Default: a folder in the folder of your runs.", OUTPUT, "DIR"
        ),
    ] = None,
    as_json: JsonOrLines = False,
) -> None:
    """Train a recipe once and evaluate the result.

    Writes weights, training log, predictions, record and model card into one folder. If it is interrupted, the same
    command resumes from the last checkpoint. If the run exists, its scores are printed and nothing is trained.

    Example: zoo train mine.yaml --out mine
    """
    session = session_of(sources)
    chosen = session.entries.select_one(recipe)
    result = session.train(chosen, options, seed=seed, out=out)
    following = next_training(chosen, options, sources, seed=seed, out=out) if result.existed else None
    data = {
        "entry": result.entry, "seed": seed, "results": _by_split(result.scores), "findings": list(result.findings),
        "record": str(result.record), "created": result.created, "existed": result.existed,
        "next_step": following,
    }  # fmt: skip
    render.emit(data, "\n".join(training_text(result, following)), as_json=as_json)


@command
def evaluate(
    path: Annotated[
        Path,
        argument(
            "PATH",
            "Weights (.safetensors, .pt, or a folder of 'zoo train') or predictions (.csv, .tsv, .jsonl, .json, "
            ".parquet, .npz); with --from, a log.",
        ),
    ],
    options: EvaluationOptions,
    sources: SourceOptions,
    entry: Annotated[
        str | None,
        option(
            "--as",
            "Use the task and the model of this entry. Required unless --from is used.",
            WHAT,
            "ENTRY",
            autocompletion=complete_entries,
        ),
    ] = None,
    split: Annotated[
        str | None,
        option(
            "--split", "The split of a predictions file. Default: the first scored split of the task.", WHAT, "SPLIT"
        ),
    ] = None,
    tool: LogTool = None,
    group_by: GroupBy = None,
    claim: LogClaims = None,
    out: LogFolder = None,
    records: Records = None,
    as_json: JsonOrLines = False,
) -> None:
    """Score your own weights or predictions on an entry's task, or import the log of another tool.

    The entry's claims are shown beside your scores; they are not judged. A predictions file has a column
    'prediction' in the order of the split, or in any order with a column 'id' that counts from 0. A prediction is the
    name of a class, or its number if no class is called like a number; for tags of words it is a list of them. Answers
    to questions have the ids of the questions, as in SQuAD's predictions.json. Detections and segmentations cannot be
    read from a file. With --from, the log of another evaluation tool becomes a run, which 'zoo diff' compares.

    Example: zoo evaluate mine --as digits-resnet8
    """
    if tool is not None:
        if entry is not None or split is not None:
            raise UsageError("--from reads a log, which has its own tasks; leave out --as and --split")
        import_log(path, tool, group_by, claim or [], out, paths.runs(records), as_json=as_json)
        return
    if group_by is not None or claim or out is not None or records is not None:
        raise UsageError("--group-by, --claim, --out and --records are for logs; pass --from TOOL")
    if entry is None:
        raise UsageError("pass --as ENTRY, whose task is scored, or --from TOOL for a log of another tool")
    session = session_of(sources)
    result = session.evaluate(session.entries.select_one(entry), options, path, split)
    results = [
        {"split": s.split, "metric": s.metric, "n": s.n, "measured": s.value, "claimed": s.claimed, **_subset(s)}
        for s in result.scores
    ]
    rows = [
        [s.split, s.metric, number(s.value, s.decimals), number(s.claimed, s.decimals), s.examples]
        for s in result.scores
    ]
    table = render.table(["split", "metric", "measured", "claimed", "n"], rows)
    text = "\n".join([table, *notes(result.findings)])
    data = {"entry": result.entry, "path": str(path), "results": results, "findings": list(result.findings)}
    render.emit(data, text, as_json=as_json)


def _only_planned(session: Session, entries: list[Entry], options: RunOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Return whether the command ends here: with --dry-run, after printing the plan.

    Before several trainings the size of the plan is reported.
    """
    if options.on == "hf-jobs":
        commands = session.hf_jobs(entries, options, dry_run=dry_run)
        render.emit({"script": commands}, commands, as_json=as_json)
        return True
    if not (dry_run or options.train):
        return False
    planned = session.plan(entries, options)
    if dry_run:
        downloads = session.download_sizes(entries, train=options.train)
        data, text = plan.plan_data(planned, downloads), plan.plan_table(planned, downloads)
        if options.on == "slurm":
            preview = session.slurm_preview(entries, options)
            data, text = data | asdict(preview), plan.slurm_text(planned, downloads, preview)
        render.emit(data, text, as_json=as_json)
    elif sum(runs.missing for runs in planned) > 1:
        report(f"{plan.total_line(planned)} (--dry-run lists them)")
    return dry_run


def _by_split(scores: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the JSON of the scores of a training: one object for each split and epoch."""
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for score in scores:
        result = {"split": score.split, "n": score.n, "selection": score.epoch, **_subset(score), "metrics": {}}
        results.setdefault((score.split, score.epoch), result)["metrics"][score.metric] = score.value
    return list(results.values())


def _subset(score: Any) -> dict[str, str]:
    """Return which rows were scored, for the JSON of a score; nothing for a whole split."""
    return {"subset": score.subset} if score.subset else {}


def _changed(entries: list[Entry], revision: str | None, lock: Path | None) -> list[Entry]:
    """Return the entries that differ from a git revision, and report why."""
    changed, reasons = changed_entries(entries, revision, lock)
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name, why in reasons.items() if why == reason]
        report(f"changed: {reason}: {names[0] if len(names) == 1 else f'{len(names)} entries'}")
    if revision is not None and not changed:
        unchanged = "the entry has not" if len(entries) == 1 else f"none of the {len(entries)} entries has"
        report(f"{unchanged} changed since {revision}")
    return changed


def _write_ci_reports(
    data: dict[str, Any], entries: list[Entry], junit: Path | None, seconds: float, failing: frozenset[str] | None
) -> None:
    """Write JUnit XML if it is requested, and in GitHub Actions a summary and annotations."""
    in_github = os.environ.get("GITHUB_ACTIONS") == "true"
    if junit is None and not in_github:
        return
    from zoo.cli import ci_reports

    if junit is not None:
        ci_reports.write_junit(junit, data, seconds, ci_reports.DEFAULT_FAILING if failing is None else failing)
    if in_github:
        root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
        files = {entry.name: entry.path.resolve() for entry in entries}
        recipes = {name: str(path.relative_to(root)) for name, path in files.items() if path.is_relative_to(root)}
        for line in ci_reports.annotations(data, recipes):
            print(line, file=sys.stderr)  # stdout may be JSON; the runner reads both streams
        ci_reports.write_summary(data)
