"""Find the entries that a change can affect, for `verify --changed-since REV`. Runs git; imports nothing heavy."""

import ast
import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.errors import UsageError
from zoo.fetch.fetched import record_name
from zoo.fetch.source_types import EMBEDDED, Embedded, LocalFile, parse_or_none, pinned_source
from zoo.recipes import catalogue
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.schema import Recipe
from zoo.recipes.values import texts
from zoo.recipes.walk import recipe_sources, walk_calls

AFFECT_ALL = ("pyproject.toml", "constraints.txt")
AFFECT_NONE = (
    "zoo/doctor/", "zoo/recipes/changes.py", "zoo/cli/", "zoo/api/", "zoo/text_tables.py", "harness/diagnosis/",
    "zoo/progress.py", "harness/runs/export.py", "harness/runs/cache.py", "harness/runs/glue_submission.py",
    "harness/runs/submission_reader.py",
)  # fmt: skip
"""Code that only reports scores, or examines how they came about."""
REQUIREMENTS = (
    "pyproject.toml", "constraints.txt", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "environment.yml",
)  # fmt: skip
"""Files of other repositories that choose the versions of packages; so do `requirements*.txt`."""
AFFECT_USERS = ("zoo/models", "zoo/tasks", "harness/losses")
"""Folders whose modules affect only the recipes that name something in them."""


@dataclass(frozen=True)
class _Changes:
    """The changes in a repository: its changed files, relative to its root, and the sources whose pins differ."""

    root: Path
    paths: tuple[str, ...]
    pins: frozenset[str]


def changed_since(revision: str, entries: Iterable[Entry], lock: Path | None = None) -> dict[str, str]:
    """Find the entries that are affected by the changes since a revision, committed or not.

    The repository is the one that the working directory is in. An entry is affected by its recipe, fingerprint and
    committed records, by the pins of its sources, by files and Python modules of the repository that it names, by
    changed requirements, and by whatever affects its teachers. In a checkout of this project it is affected by the
    project's other code too. An entry whose recipe cannot be read is affected.

    Args:
        revision: A revision of the repository.
        entries: The entries to examine.
        lock: The lock in use, if it is not the project's.

    Returns:
        The name of each affected entry, with the reason.

    Raises:
        UsageError: The working directory is in no repository, or git does not know the revision.
    """
    root = _repository(Path.cwd())
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", commit, "--").split("\0")
    changed += _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    changes = _Changes(root, tuple(filter(None, changed)), _changed_pins(root, commit, lock or paths.lock()))
    chosen = list(entries)
    known = _with_teachers([*catalogue.entries(), *chosen])
    reasons = {name: why for name, entry in known.items() if (why := _reason(entry, changes))}
    _add_students(reasons, known)
    return {entry.name: reasons[entry.name] for entry in chosen if entry.name in reasons}


def _add_students(reasons: dict[str, str], known: dict[str, Entry]) -> None:
    """Add the entries that learn from an affected one, directly or through other teachers."""
    teachers = {name: [teacher.name for teacher in _teachers(entry)] for name, entry in known.items()}
    while more := [(n, t) for n, of in teachers.items() for t in of if t in reasons and n not in reasons]:
        reasons |= {name: f"its teacher {teacher}: {reasons[teacher]}" for name, teacher in more}


def _reason(entry: Entry, changes: _Changes) -> str | None:
    if not entry.is_readable:
        return "its recipe cannot be read"
    by_path = (why for path in changes.paths if (why := _path_reason(path, entry, changes.root)))
    by_pin = (f"the lock's pin of {source}" for source in sorted(changes.pins) if _names_source(entry.recipe, source))
    return next(by_path, None) or next(by_pin, None)


def _path_reason(path: str, entry: Entry, root: Path) -> str | None:
    """Return how a changed file affects an entry; None if it does not."""
    project, file = paths.checkout(), (root / path).resolve()
    if project is not None and file.is_relative_to(project := project.resolve()):
        return _project_reason(file.relative_to(project).as_posix(), entry, project)
    return _repository_reason(path, entry, root)


def _project_reason(path: str, entry: Entry, root: Path) -> str | None:
    """Return how a changed file of this project affects an entry; None if it does not."""
    file = Path(path)
    folder = file.parent.as_posix()
    if _belongs_to(file, entry, root):
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


def _repository_reason(path: str, entry: Entry, root: Path) -> str | None:
    """Return how a changed file of another repository affects an entry; None if it does not.

    A module may import any other module of its repository, so a recipe that names one is affected by all.
    """
    file = Path(path)
    if _belongs_to(file, entry, root) or file.name in REQUIREMENTS or fnmatchcase(file.name, "requirements*.txt"):
        return path
    if file.suffix == ".py":
        return path if entry.suite == LOCAL and _names_module_in(entry, root) else None
    named = (parse_or_none(named.text) for named in recipe_sources(entry.recipe))
    files = [source.below(entry.path.parent) for source in named if isinstance(source, LocalFile)]
    local = [_relative(source.expanded, root) for source in files]
    return path if any(file.is_relative_to(source) for source in local) else None


def _belongs_to(file: Path, entry: Entry, root: Path) -> bool:
    """Return whether a file is the recipe or the fingerprint of an entry."""
    return file in (_relative(entry.path, root), _relative(entry.path.with_suffix(".fingerprint.json"), root))


def _names_module_in(entry: Entry, root: Path) -> bool:
    """Return whether a recipe names a module that lies beside it, in the working directory, or in the repository."""
    packages = {call.use.partition(".")[0] for _, call in walk_calls(entry.recipe) if "." in call.use}
    folders = (entry.path.parent, Path.cwd(), root, root / "src")
    return any(
        (folder / name).is_dir() or (folder / f"{name}.py").is_file()
        for name in packages - {"zoo", "harness"}
        for folder in folders
    )


def _relative(path: Path, root: Path) -> Path:
    full = path.resolve()
    return full.relative_to(root) if full.is_relative_to(root) else full


def _exported(package: Path, module: str) -> set[str]:
    """Return the names that a package imports from one of its modules; empty for a module that others build on.

    A lazy package has these imports in a block for type checkers.
    """
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
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


def _with_teachers(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return entries by name, with their teachers that are entries, and the teachers of those."""
    known: dict[str, Entry] = {}
    waiting = list(entries)
    while waiting:
        entry = waiting.pop()
        if entry.name not in known:
            known[entry.name] = entry
            waiting += _teachers(entry)
    return known


def _teachers(entry: Entry) -> list[Entry]:
    """Return the teachers of an entry that are entries; those that do not exist are left out."""
    if not entry.is_readable:
        return []
    teachers = [teacher for stage in entry.recipe.stages for teacher in stage.all_teachers.values()]
    found = []
    for teacher in teachers:
        with suppress(UsageError):
            found += [entry.teacher_entry(teacher)] if teacher.model is None else []
    return found


def _changed_pins(root: Path, commit: str, lock: Path) -> frozenset[str]:
    """Return the sources whose pins differ from those at a commit; none if the lock is no file of the repository."""
    path = _relative(lock, root)
    if path.is_absolute() or not lock.is_file():
        return frozenset()
    has_lock = _git(root, "ls-tree", commit, path.as_posix())
    old = _pins(_git(root, "show", f"{commit}:./{path.as_posix()}") if has_lock else "{}")
    new = _pins(lock.read_text(encoding="utf-8"))
    return frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _pins(text: str) -> dict[str, Any]:
    """Return what a lock says about each source, and about each file of the starter suite."""
    sources: dict[str, Any] = dict(json.loads(text).get("sources", {}))
    shipped = sources.pop(EMBEDDED, {}).get("files", {})
    return sources | {str(Embedded(name)): pin for name, pin in shipped.items()}


def _repository(folder: Path) -> Path:
    """Return the root of the git repository that a folder is in."""
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
    except UsageError as error:
        raise UsageError(f"--changed-since: {folder} is in no git repository ({error})") from None


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except OSError as error:
        raise UsageError(f"--changed-since needs git, which does not start: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or f"no such revision: {arguments[-1].removesuffix('^{commit}')}"
        raise UsageError(f"git {arguments[0]}: {reason}") from None
    return done.stdout
