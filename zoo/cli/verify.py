"""Commands that judge claims: reproduce, verify."""

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from zoo.api.fleet_runs import hf_jobs_script, slurm_preview
from zoo.api.select_entries import changed_entries
from zoo.api.session import Session
from zoo.api.verify_entries import download_sizes, planned_runs, verify_entries
from zoo.cli import plan, render, verdict_text
from zoo.cli.command_function import command
from zoo.cli.completion import complete_verdicts
from zoo.cli.exit_codes import code_of_outcome, end, failing_verdicts
from zoo.cli.options import OUTPUT, WHAT, All, JsonOrLines, Patterns, RequiredPatterns, Suites, Where, option
from zoo.cli.progress import SweepReport, report, report_unreachable, session_of
from zoo.cli.run_options import DryRun
from zoo.cli.summary_page import write_summary_page
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions, SweepOptions


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
    outcomes = verify_entries(session, entries, options)
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
        outcomes = verify_entries(session, entries, options)
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


def _only_planned(session: Session, entries: list[Entry], options: RunOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Return whether the command ends here: with --dry-run, after printing the plan.

    Before several trainings the size of the plan is reported.
    """
    if options.on == "hf-jobs":
        commands = hf_jobs_script(session, entries, options, dry_run=dry_run)
        render.emit({"script": commands}, commands, as_json=as_json)
        return True
    if not (dry_run or options.train):
        return False
    planned = planned_runs(session, entries, options)
    if dry_run:
        downloads = download_sizes(session, entries, train=options.train)
        data, text = plan.plan_data(planned, downloads), plan.plan_table(planned, downloads)
        if options.on == "slurm":
            preview = slurm_preview(session, entries, options)
            data, text = data | asdict(preview), plan.slurm_text(planned, downloads, preview)
        render.emit(data, text, as_json=as_json)
    elif sum(runs.missing for runs in planned) > 1:
        report(f"{plan.total_line(planned)} (--dry-run lists them)")
    return dry_run


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
