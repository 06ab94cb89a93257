"""Commands that publish results: leaderboard, submit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import OUTPUT, WHAT, Json, Patterns, Records, Suites, option
from zoo.cli.progress import report, report_error, session_of
from zoo.errors import SourceError, UsageError
from zoo.recipes.options import DeviceOptions, SourceOptions

if TYPE_CHECKING:
    from zoo.recipes.catalogue import Entry

NO_RECORDS = (
    "this installation of zoo has no committed records; only a checkout of its repository has them. For a leaderboard"
    " of your own runs, name their entries: zoo leaderboard starter"
)


@command
def leaderboard(
    patterns: Patterns = None,
    add: Annotated[
        list[str] | None,
        option(
            "--add",
            "Add a run of yours to the committed records: its folder, or an entry for all its runs. Default: none.",
            WHAT,
            "RUN",
        ),
    ] = None,
    check: Annotated[
        bool, option("--check", "Write nothing; exit with 1 if the pages are out of date. Default: write them.", OUTPUT)
    ] = False,
    html: Annotated[
        Path | None,
        option("--html", "Write a website with CSV and JSON to this folder instead. Default: none.", OUTPUT, "DIR"),
    ] = None,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Write the leaderboard pages from the committed records, or one of your own recipes and runs.

    Without arguments, leaderboard/README.md, leaderboard/methods.md and a page for each suite in leaderboard/suites
    are written. With entries or --records, the claims are judged by your own runs, and the page is printed, or with
    --html written as a website.

    Example: zoo leaderboard recipes --records runs --html site
    """
    if check and (html is not None or patterns):
        raise UsageError("--check compares the committed pages; it cannot be combined with entries or --html")
    if add and patterns:
        raise UsageError("--add takes the runs to add; leave out the entries")
    own = bool(patterns) or (records is not None and not add)
    if not own and not paths.evidence().is_dir():
        raise SourceError(NO_RECORDS)
    if add:
        _add(add, paths.runs(records))
    evidence = paths.runs(records) if own else paths.evidence()
    chosen = session_of(SourceOptions()).entries.select(patterns, [], False) if patterns else None
    if as_json:
        render.emit(_tables(evidence, chosen), "", as_json=True)
    if html is not None:
        from leaderboard import site

        report(f"wrote {html / 'index.html'} and {len(site.write(evidence, html, chosen)) - 1} other files")
    elif not own:
        _pages(evidence, check=check, as_json=as_json)
    elif not as_json:
        from leaderboard import page
        from zoo.recipes.catalogue import entries

        print(page.render(evidence, entries() if chosen is None else chosen))


@command
def submit(
    options: DeviceOptions,
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    out: Annotated[
        Path | None, option("--out", "Write submission.zip to this folder. Required unless --check.", OUTPUT, "DIR")
    ] = None,
    written: Annotated[
        Path | None,
        option("--check", "Only check this zip or folder. Default: predict, write and check.", WHAT, "ZIP"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict GLUE's hidden test labels and write a submission for its test server.

    Name one entry for each task, or the folder of a run of 'zoo train', whose trained weights then predict.

    Example: zoo submit --suite glue --out submission
    """
    from harness.runs import glue_submission
    from zoo.api.submission import predict, select_models

    if (written is None) == (out is None):
        raise UsageError("pass entries and --out DIR, or only --check ZIP")
    if written is None:
        assert out is not None
        session = session_of(sources)
        models = select_models(session.entries, patterns or [], suite or [])
        written = glue_submission.write(predict(session, models, options), out)
    problems = glue_submission.check(written)
    render.emit({"submission": str(written), "problems": problems}, str(written), as_json=as_json)
    if not as_json and problems:
        report_error("\n".join(problems))
    elif not as_json:
        report("no problems found")
    end([1] if problems else [])


def _add(chosen: list[str], runs: Path) -> None:
    """Add runs to the committed records, and report those that are not added."""
    from leaderboard import promotion

    for promoted in promotion.promote(chosen, runs, paths.evidence()):
        if promoted.is_new:
            note = ": a record of version 0.1, which has no digest of itself" if promoted.lacks_digests else ""
            report(f"added {promoted.folder}{note}")
            continue
        equal = "the same results" if promoted.is_equal else "other results"
        compare = "" if promoted.is_equal else f"; compare them: zoo diff {promoted.run} {promoted.folder}"
        report(f"not added: {promoted.run}: {promoted.folder} has the same inputs and {equal}{compare}")


def _tables(evidence: Path, chosen: "list[Entry] | None") -> dict[str, Any]:
    """Return the JSON of the leaderboard."""
    from harness.records.check import verify_all
    from leaderboard import methods, table

    verify_all(evidence)
    tables: dict[str, list[dict[Any, Any]]] = {
        "rows": table.rows(evidence, chosen).to_dict("records"),
        "gains": table.gains(evidence, chosen).to_dict("records"),
        "methods": methods.rows(evidence) if chosen is None else [],
    }
    return {name: render.without_nan(rows) for name, rows in tables.items()}


def _pages(evidence: Path, *, check: bool, as_json: bool) -> None:
    """Write or check the committed pages; without a checkout, print them."""
    from leaderboard import committed_pages

    root, pages = paths.checkout(), committed_pages.render(evidence)
    if root is None:
        if not as_json:
            print(
                "\n\n".join(page.block for page in pages.values())
            )  # each cell is safe to print, and zero-width spaces keep names from being mentions
        return
    if check:
        stale = committed_pages.stale(root / "leaderboard", pages)
        for target in stale:
            report_error(f"{target} is out of date; run: zoo leaderboard")
        end([1] if stale else [])
        return
    for target in committed_pages.write(root / "leaderboard", pages):
        report(f"wrote {target}")
    for target in committed_pages.delete_former(root / "leaderboard", pages):
        report(f"deleted {target}: its suite no longer exists")
