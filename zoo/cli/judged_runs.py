"""The runs that a user names to publish or sign them, with the claims about them, and the files that are written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo import paths
from zoo.claims.stored_recipes import card_name
from zoo.cli.options import WHAT, option
from zoo.cli.progress import report, session_of
from zoo.errors import SourceError, UsageError
from zoo.fetch.source_types import HF, HUB_NAME
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.runs.judged_runs import JudgedRuns

RUN_HELP = "The folder of a run, or ENTRY:SEED or ENTRY:weights, where ENTRY can be OWNER/NAME of a model on the Hub"
Recipe = Annotated[
    Path | None,
    option(
        "--recipe",
        "The recipe with the claims about the run. Default: the shipped recipe, the one beside the run, or the one that"
        " zoo has made of a suite or of the model's card, if it is the one that was run.",
        WHAT,
        "FILE",
    ),
]


def judged_by(runs: list[str], recipe: Path | None, records: Path | None, lock: Path | None) -> "JudgedRuns":
    """Return the runs that the user names, with the claims about them. Report if their recipe is not known."""
    from harness.diagnosis.diff.find_record import find_record
    from harness.runs.judged_runs import judged_runs

    folder, evidence = paths.runs(records), paths.evidence()
    session, selected = session_of(SourceOptions(lock=lock)), list[Entry]()

    def name_of(pattern: str) -> str:
        known = name_of_runs(pattern, folder, evidence)
        if known is not None:
            return known
        selected.append(session.entries.select_one(pattern))
        return selected[-1].recipe.name

    files = [find_record(run, folder, evidence, name_of) for run in runs]
    entry = catalogue.local(recipe) if recipe is not None else next(iter(selected), None)
    judged = judged_runs(files, entry, folder=folder, evidence=evidence)
    if not judged.has_recipe:
        report(_unknown_recipe(judged.record))
    return judged


def write_text(path: Path, text: str) -> None:
    """Write a file. Raise SourceError with the next step if it cannot be written."""
    from zoo.files import write_atomically

    try:
        write_atomically(path, text)
    except OSError as error:
        reason = error.strerror or error
        raise SourceError(
            f"{path}: cannot write there: {reason}; the run is unchanged: pass --out with a path in a folder that you"
            " can write to"
        ) from None


def name_of_runs(pattern: str, runs: Path, evidence: Path) -> str | None:
    """Return the name of the runs of a model of the Hub, which is found without the Hub.

    Args:
        pattern: An entry, a recipe file, or a model of the Hub.
        runs: The folder of the user's runs.
        evidence: The folder of committed records.

    Returns:
        The name. None if this is no model of the Hub, or if only its recipe names it.

    Raises:
        UsageError: There are runs of several recipes of its card, or no run can be one of this model.
    """
    from harness.records.find_runs import find_runs

    roots = (runs, evidence)
    plain = pattern.removeprefix(HF)
    is_path = plain == pattern and Path(plain).exists()
    if is_path or HUB_NAME.fullmatch(plain) is None or "@" in plain:  # the runs of a revision are those of its recipe
        return None
    name = card_name(plain)
    folders = {path.name for root in roots if root.is_dir() for path in [root / name, *root.glob(f"{name}--*")]}
    found = sorted(folder for folder in folders if any(find_runs(root, folder) for root in roots))
    if len(found) > 1:
        raise UsageError(f"{plain} has runs of {len(found)} recipes of its card; name one: {' or '.join(found)}")
    if not found and not _has_runs_of_recipes(runs, evidence):
        raise UsageError(
            f"no run of {plain} in {runs} or {evidence}; make one: zoo verify {plain}, with --train for a training"
        )
    return next(iter(found), None)


def _has_runs_of_recipes(runs: Path, evidence: Path) -> bool:
    """Return whether a run may be one of a recipe that is published on the Hub, whose name only the Hub tells."""
    from harness.records.find_runs import find_runs

    names = {runs: set[str](), evidence: {entry.name for entry in catalogue.entries()}}
    return any(
        find_runs(root, path.name)
        for root, excluded in names.items()
        for path in (root.iterdir() if root.is_dir() else ())
        if "--" not in path.name and path.name not in excluded and path.is_dir()
    )


def _unknown_recipe(record: "Record") -> str:
    from harness.records.recorded_entry import model_of

    model = model_of(record)
    at = f"@{model.revision}" if model and model.revision else ""
    hint = f", which `zoo recipe {model.name}{at}` writes" if model else ""
    return (
        f"the recipe that was run for {record.entry} is not found, so its claims are not known and there is no verdict;"
        f" pass --recipe FILE{hint}"
    )
