"""Commands that read recipes: list, show, check, doctor."""

from collections.abc import Iterable
from typing import Annotated, Any

from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.exit_codes import end
from zoo.cli.options import All, Json, Lock, Patterns, Suites, argument, command
from zoo.cli.progress import report, session_of
from zoo.errors import ZooError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import SourceOptions


@command
def list_entries(patterns: Patterns = None, suite: Suites = None, lock: Lock = None, as_json: Json = False) -> None:
    """List entries with their claims.

    Without arguments, all shipped entries are listed.

    Example: zoo list 'digits*'
    """
    entries, errors = _readable(_session(lock).select(patterns or [], suite or [], not patterns and not suite))
    data = [
        {
            "entry": entry.name,
            "suite": entry.suite,
            "task": entry.recipe.task.use,
            "model": entry.recipe.model.use,
            "claims": [render.claim_data(claim) for claim in entry.recipe.claims],
        }
        for entry in entries
    ]
    rows = [
        [
            entry.name,
            entry.suite,
            entry.recipe.task.use,
            entry.recipe.model.use,
            render.claims_summary(entry.recipe.claims),
        ]
        for entry in entries
    ]
    text = render.table(["entry", "suite", "task", "model", "claims"], rows)
    render.emit({"entries": data}, text, as_json=as_json)
    end(error.exit_code for error in errors)


@command
def show(
    entry: Annotated[str, argument("ENTRY", "An entry, a recipe file, or OWNER/NAME of a recipe on the Hub.")],
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Print the recipe of an entry.

    Copy it to a file to start a recipe of your own.

    Example: zoo show digits-resnet8
    """
    for chosen in _session(lock).select([entry], [], False):
        recipe = chosen.recipe
        data = {
            "entry": chosen.name,
            "suite": chosen.suite,
            "digest": recipe.digest,
            "recipe": recipe.data(),
            "claims": [render.claim_data(claim) for claim in recipe.claims],
        }
        text = f"# {chosen.path}\n# digest {recipe.digest}\n{chosen.path.read_text(encoding='utf-8')}"
        render.emit(data, text, as_json=as_json)


@command
def check(
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    as_json: Json = False,
) -> None:
    """Check recipes for mistakes: unknown keys, wrong types, names that do not exist.

    Prints each problem as FILE:LINE:COLUMN. Nothing is downloaded or trained; layer names and shapes are checked when
    training starts.

    Example: zoo check mine.yaml
    """
    from zoo.recipes.check import check_recipe

    session = session_of(sources)
    entries = session.select(patterns or [], suite or [], everything)
    builder = session.builder(entries)
    data, codes = [], []
    for entry in entries:
        problems: list[str] = []
        try:
            check_recipe(entry.recipe, builder.at(entry.recipe_repo))
        except ZooError as error:
            codes.append(error.exit_code)
            problems = str(error).splitlines()
        digest = None if problems else entry.recipe.digest
        ok = not problems
        data.append({"path": str(entry.path), "entry": entry.name, "ok": ok, "digest": digest, "problems": problems})
        if problems and not as_json:
            report("\n".join(problems))
    text = "\n".join(f"{recipe['path']}: ok" for recipe in data if recipe["ok"])
    render.emit({"recipes": data}, text, as_json=as_json)
    end(codes)


@command
def doctor(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Show what makes recipes hard to reproduce, and how to fix it.

    Exit code 1 means that a recipe has an error.

    Example: zoo doctor bert-base-uncased-mrpc
    """
    from zoo.doctor import examine, lines

    session = _session(lock)
    entries, errors = _readable(session.select(patterns or [], suite or [], everything))
    sources = session.fetcher(report_new_lock=False)
    hazards = {entry: examine(entry, sources) for entry in entries}
    data = [
        {"entry": entry.name, "hazards": [hazard.data() for hazard in of_entry]} for entry, of_entry in hazards.items()
    ]
    text = "\n".join("\n".join(lines(of_entry)) or f"{entry.path}: no hazards" for entry, of_entry in hazards.items())
    render.emit({"entries": data}, text, as_json=as_json)
    has_error = any(hazard.severity == "error" for of_entry in hazards.values() for hazard in of_entry)
    end([*([1] if has_error else []), *(error.exit_code for error in errors)])


def _session(lock: Any) -> Session:
    return session_of(SourceOptions(lock=lock))


def _readable(entries: Iterable[Entry]) -> tuple[list[Entry], list[ZooError]]:
    """Return the entries whose recipes can be read, and the errors of the others, which go to stderr."""
    readable, errors = [], []
    for entry in entries:
        try:
            _ = entry.recipe
            readable.append(entry)
        except ZooError as error:
            errors.append(error)
            report(str(error))
    return readable, errors
