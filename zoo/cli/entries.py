"""Commands that read recipes: list, show, check, doctor."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import OUTPUT, All, Json, OneEntry, Patterns, Suites, Where, option
from zoo.cli.progress import report_error, session_of
from zoo.errors import SourceError, ZooError
from zoo.fetch.source_types import LocalFile, ParsedSource, Remote, UserFolder, parse_source
from zoo.recipes.catalogue import Entry, selection_of
from zoo.recipes.options import SourceOptions
from zoo.safe_text import one_line
from zoo.text_tables import number

if TYPE_CHECKING:
    from zoo.fetch.sources import Sources

MOST_LINES = 10
"""More recipes without problems are only counted."""
SHORT_METRICS = {"accuracy": "acc.", "top5_accuracy": "top-5", "matthews_correlation": "MCC", "mean_iou": "mIoU",
    "average_precision": "AP", "pearson": "r", "spearman": "rho", "pearson_spearman": "r, rho",
    "entity_f1": "F1"}  # fmt: skip
"""Names of metrics that are short enough for a list."""


@command
def list_entries(
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    here: Annotated[
        bool,
        option(
            "--here",
            "Also show what each entry needs before it can run on this machine. Takes some seconds. Default: do not.",
            OUTPUT,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List entries with their published weights and claims.

    Without arguments, all shipped entries are listed.

    Example: zoo list 'digits*'
    """
    session = session_of(sources)
    everything = not patterns and not suite
    entries, errors = _readable(session.entries.select(patterns or [], suite or [], everything, where=where))
    missing = _missing_inputs(entries, session) if here else {}
    data = [
        {
            "entry": entry.name,
            "suite": entry.suite,
            "task": entry.recipe.task.use,
            "model": entry.recipe.model.use,
            "weights": entry.recipe.weights,
            "claims": [render.claim_data(claim) for claim in entry.recipe.claims],
            **({"needs": missing[entry]} if here else {}),
        }
        for entry in entries
    ]
    render.emit({"entries": data}, _listing(entries, missing), as_json=as_json)
    end(error.exit_code for error in errors)


@command
def show(
    entry: OneEntry,
    sources: SourceOptions,
    as_json: Json = False,
) -> None:
    """Print the recipe of an entry.

    Copy it to a file to start a recipe of your own.

    Example: zoo show digits-resnet8
    """
    for chosen in session_of(sources).entries.select([entry], [], False):
        recipe = chosen.recipe
        data = {
            "entry": chosen.name,
            "suite": chosen.suite,
            "digest": recipe.digest,
            "recipe": recipe.data(),
            "claims": [render.claim_data(claim) for claim in recipe.claims],
        }
        notes = [
            f"# claims[{number}]: decimals is {claim.decimals}, from the value {claim.written['value']}\n"
            for number, claim in enumerate(recipe.claims)
            if claim.has_inferred_decimals
        ]
        head = f"# {chosen.argument}, digest {recipe.digest}\n{''.join(notes)}"
        text = f"{head}{chosen.path.read_text(encoding='utf-8')}"
        render.emit(data, text, as_json=as_json)


@command
def check(
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    as_json: Json = False,
) -> None:
    """Check recipes for mistakes: unknown keys, wrong types, names that do not exist.

    Prints each problem as FILE:LINE:COLUMN, and notes on operations that a GPU cannot repeat to the bit. Nothing is
    downloaded or trained, and no data file is read; layer names and shapes are checked when training starts.

    Example: zoo check mine.yaml
    """
    from zoo.recipes.check import check_entry, missing_files, reads_data
    from zoo.recipes.cuda_kernels import missing_kernels

    session = session_of(sources)
    entries = session.entries.select(patterns or [], suite or [], everything, where=where)
    builder = session.builder(entries)
    data, codes, has_unread = [], [], False
    for entry in entries:
        problems: list[str] = []
        notes: list[str] = []
        at_entry = builder.at(entry.recipe_repo, entry.folder)
        try:
            check_entry(entry, at_entry)
            problems = [str(problem) for problem in missing_files(entry.recipe, at_entry)]
            codes += [SourceError.exit_code] if problems else []
            notes = [f"{found.mark}: note: {found.message}" for found in missing_kernels(entry.recipe)]
        except ZooError as error:
            codes.append(error.exit_code)
            problems = str(error).splitlines()
        has_unread = has_unread or (not problems and reads_data(entry.recipe))
        digest = None if problems else entry.recipe.digest
        ok = not problems
        found = {"problems": problems, "notes": notes}
        data.append({"path": str(entry.path), "entry": entry.name, "ok": ok, "digest": digest, **found})
        if (lines := [*problems, *notes]) and not as_json:
            report_error("\n".join(lines))
    good = [recipe["path"] for recipe in data if recipe["ok"]]
    text = "\n".join(f"{path}: ok" for path in good) if len(good) <= MOST_LINES else f"{len(good)} recipes: ok"
    text += "\nData files were not read." if has_unread else ""
    render.emit({"recipes": data}, text, as_json=as_json)
    end(codes)


@command
def doctor(
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    as_json: Json = False,
) -> None:
    """Show what makes recipes hard to reproduce, and how to fix it.

    Exit code 1 means that a recipe has an error.

    Example: zoo doctor bert-base-uncased-mrpc
    """
    from zoo.doctor import examine, lines

    session = session_of(sources)
    entries, errors = _readable(session.entries.select(patterns or [], suite or [], everything, where=where))
    fetcher = session.fetcher(selection_of(entries) if entries else "ENTRY")
    hazards = {entry: examine(entry, fetcher) for entry in entries}
    data = [
        {"entry": entry.name, "hazards": [hazard.data() for hazard in of_entry]} for entry, of_entry in hazards.items()
    ]
    text = "\n".join("\n".join(lines(of_entry)) or f"{entry.path}: no hazards" for entry, of_entry in hazards.items())
    render.emit({"entries": data}, text, as_json=as_json)
    has_error = any(hazard.severity == "error" for of_entry in hazards.values() for hazard in of_entry)
    end([*([1] if has_error else []), *(error.exit_code for error in errors)])


def _listing(entries: Sequence[Entry], missing: Mapping[Entry, Sequence[str]]) -> str:
    """Return the entries by suite, at most 80 characters wide unless a name is longer."""
    if not entries:
        return ""
    width = max(len(entry.name) for entry in entries)
    lines = []
    for suite in dict.fromkeys(entry.suite for entry in entries):
        of_suite = [entry for entry in entries if entry.suite == suite]
        lines.append(f"{suite} ({len(of_suite)})")
        for entry in of_suite:
            lines.append(f"  {one_line(entry.name):<{width}}  {one_line(_first_claim(entry))}")
            lines += [f"    needs {one_line(need)}" for need in missing.get(entry, ())]
    lines += ["", "*: no published weights; `zoo reproduce ENTRY --train` trains the entry.", "(+1): one more claim."]
    return "\n".join(lines)


def _first_claim(entry: Entry) -> str:
    """Return an entry's first claim, the number of its other claims, and a star if it has no published weights."""
    claims, star = entry.recipe.claims, "" if entry.recipe.weights else " *"
    if not claims:
        return f"-{star}"
    first = next((claim for claim in claims if claim.value is not None), claims[0])
    more = f" (+{len(claims) - 1})" if len(claims) > 1 else ""
    return f"{SHORT_METRICS.get(first.metric, first.metric)} {number(first.value)}{more}{star}"


def _missing_inputs(entries: Sequence[Entry], session: Session) -> dict[Entry, list[str]]:
    """Return for each entry what its evaluation, or without published weights its training, needs besides itself."""
    from zoo.recipes.needs import needs_of_all

    builder = session.builder(entries)
    missing = {}
    for entry in entries:
        wanted, errors = needs_of_all([entry], builder, train=entry.recipe.weights is None)
        sources = [parse_source(need.source) for need in wanted if need.parsed is not None]
        missing[entry] = [*_missing(dict.fromkeys(sources), builder.sources), *map(str, errors)]
    return missing


def _missing(wanted: Iterable[ParsedSource], sources: "Sources") -> Iterator[str]:
    """Yield what has to be got before these sources can be read."""
    downloads = [source for source in wanted if isinstance(source, Remote)]
    if downloads:
        yield f"downloads, unless cached: {', '.join(source.short_name for source in downloads)}"
    for source in wanted:
        if isinstance(source, LocalFile) and not source.expanded.exists():
            yield f"the file {source.expanded}"
        if isinstance(source, UserFolder) and sources.folder(source) is None:
            yield f"the data set {source.name}: --data {source.name}=DIR"


def _readable(entries: Iterable[Entry]) -> tuple[list[Entry], list[ZooError]]:
    """Return the entries whose recipes can be read, and the errors of the others, which go to stderr."""
    readable, errors = [], []
    for entry in entries:
        try:
            _ = entry.recipe
            readable.append(entry)
        except ZooError as error:
            errors.append(error)
            report_error(str(error))
    return readable, errors
