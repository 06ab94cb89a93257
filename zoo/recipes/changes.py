"""Find the entries that a change can affect, for `verify --changed-since REV`. Runs git; imports nothing heavy."""

import ast
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.errors import UsageError
from zoo.fetch.fetched import record_name
from zoo.fetch.source_types import EMBEDDED, Embedded, parse_or_none, pinned_source
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.reader import texts
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import recipe_sources, walk_calls

AFFECT_ALL = ("pyproject.toml", "constraints.txt")
AFFECT_NONE = (
    "zoo/doctor/", "zoo/recipes/changes.py", "zoo/cli/", "zoo/api/", "zoo/text_tables.py", "harness/diagnosis/",
    "zoo/progress.py", "harness/runs/export.py", "harness/runs/cache.py", "harness/runs/glue_submission.py",
    "harness/runs/submission_reader.py",
)  # fmt: skip
"""Code that only reports scores, or examines how they came about."""
AFFECT_USERS = ("zoo/models", "zoo/tasks", "harness/losses")
"""Folders whose modules affect only the recipes that name something in them."""


def changed_since(revision: str, entries: Iterable[Entry]) -> dict[str, str]:
    """Find the entries that are affected by the changes since a revision, committed or not.

    An entry is affected by its recipe, fingerprint and committed records, by the pins of its sources, by shipped files
    that it names, by the modules of models, tasks and losses that it names, by whatever affects its teachers, and by
    any other code of the project. An entry whose recipe cannot be read is affected too.

    Args:
        revision: A revision of the checkout that zoo runs from.
        entries: The entries to examine.

    Returns:
        The name of each affected entry, with the reason.

    Raises:
        UsageError: There is no checkout, or git does not know the revision.
    """
    root = paths.checkout()
    if root is None:
        raise UsageError("--changed-since needs a checkout of the project; an installed zoo has no history")
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    changed = _git(root, "diff", "--name-only", "--relative", "--no-renames", "-z", commit, "--").split("\0")
    changed += _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    pins = _changed_pins(root, commit) if "configs/zoo.lock" in changed else frozenset()
    chosen = list(entries)
    known = {entry.name: entry for entry in [*catalogue.entries(), *chosen]}
    reasons = {name: why for name, entry in known.items() if (why := _reason(entry, changed, pins, root))}
    _add_students(reasons, known)
    return {entry.name: reasons[entry.name] for entry in chosen if entry.name in reasons}


def _add_students(reasons: dict[str, str], known: dict[str, Entry]) -> None:
    """Add the entries that learn from an affected one, directly or through other teachers."""
    teachers = {name: _teachers(entry.recipe) for name, entry in known.items() if entry.is_readable}
    while more := [(n, t) for n, of in teachers.items() for t in of if t in reasons and n not in reasons]:
        reasons |= {name: f"its teacher {teacher}: {reasons[teacher]}" for name, teacher in more}


def _reason(entry: Entry, changed: Iterable[str], pins: Iterable[str], root: Path) -> str | None:
    if not entry.is_readable:
        return "its recipe cannot be read"
    by_path = (why for path in changed if path and (why := _path_reason(path, entry, root)))
    by_pin = (f"the lock's pin of {source}" for source in sorted(pins) if _names_source(entry.recipe, source))
    return next(by_path, None) or next(by_pin, None)


def _path_reason(path: str, entry: Entry, root: Path) -> str | None:
    """Return how a changed file affects an entry; None if it does not."""
    file = Path(path)
    folder = file.parent.as_posix()
    if file in (_relative(entry.path, root), _relative(entry.path.with_suffix(".fingerprint.json"), root)):
        return path
    if file.is_relative_to(f"leaderboard/records/{entry.name}"):
        return f"committed records in {folder}"
    if folder == "zoo/starter":
        return path if _names_source(entry.recipe, str(Embedded(file.name))) else None
    if path in AFFECT_ALL:
        return path
    if file.suffix == ".md" or file.parts[0] not in ("zoo", "harness") or path.startswith(AFFECT_NONE):
        return None
    if folder in AFFECT_USERS and (exported := _exported(root / folder, file.stem)):
        return path if exported & _used_names(entry.recipe) else None
    return path


def _relative(path: Path, root: Path) -> Path:
    full = path.resolve()
    return full.relative_to(root) if full.is_relative_to(root) else full


def _exported(package: Path, module: str) -> set[str]:
    """Return the names that a package imports from one of its modules; empty for a module that others build on."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes if str(node.module).rpartition(".")[2] == module for alias in node.names}


def _used_names(recipe: Recipe) -> set[str]:
    """Return every name that a recipe calls, without its path, and every text among the arguments."""
    calls = [call for _, call in walk_calls(recipe)]
    names = {call.use.rpartition(".")[2] for call in calls}
    arguments = {text for call in calls for text in texts(call.args)}
    return names | {text.rpartition(".")[2] if text.replace(".", "").isidentifier() else text for text in arguments}


def _names_source(recipe: Recipe, source: str) -> bool:
    """Return whether a recipe names a source, at any revision, or a file in an archive that is the source."""
    return any(_pinned_name(named.text) == source for named in recipe_sources(recipe))


def _pinned_name(text: str) -> str:
    source = parse_or_none(text)
    return text if source is None else record_name(str(pinned_source(source)))


def _teachers(recipe: Recipe) -> list[str]:
    teachers = [teacher for stage in recipe.stages for teacher in stage.all_teachers.values()]
    return [name for teacher in teachers if (name := teacher.entry or teacher.run)]


def _changed_pins(root: Path, commit: str) -> frozenset[str]:
    """Return the sources whose pins differ from those at a commit."""
    has_lock = _git(root, "ls-tree", commit, "configs/zoo.lock")
    old = _pins(_git(root, "show", f"{commit}:./configs/zoo.lock") if has_lock else "{}")
    new = _pins(paths.lock().read_text(encoding="utf-8"))
    return frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _pins(text: str) -> dict[str, Any]:
    """Return what a lock says about each source, and about each file of the starter suite."""
    sources: dict[str, Any] = dict(json.loads(text).get("sources", {}))
    shipped = sources.pop(EMBEDDED, {}).get("files", {})
    return sources | {str(Embedded(name)): pin for name, pin in shipped.items()}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except OSError as error:
        raise UsageError(f"--changed-since needs git, which does not start: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or f"no such revision: {arguments[-1].removesuffix('^{commit}')}"
        raise UsageError(f"git {arguments[0]}: {reason}") from None
    return done.stdout
