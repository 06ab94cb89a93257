"""The commands on what zoo keeps on this machine: cache size, cache prune."""

import os
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo import paths
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import WHAT, Json, Mirror, Records, option
from zoo.cli.plan import amount
from zoo.cli.progress import report
from zoo.cli.removal import OlderThan, RemovalDryRun, Yes, confirmed, seconds_of
from zoo.errors import UsageError, ZooError, did_you_mean
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.runs.stored_caches import CachedItem

LISTED = 20
"""The most items that `zoo cache prune` names."""
BIGGEST = 5
DIGEST = re.compile(r"([0-9a-f]{12})[0-9a-f]{20,}")
"""A digest in the name of an item. The text of a command shows its first 12 digits."""


@command
def size(records: Records = None, as_json: Json = False) -> None:
    """Show how much disk the caches use: kinds and their largest items, the largest first.

    Example: zoo cache size
    """
    from harness.runs.stored_caches import KINDS, find_caches

    found = find_caches(paths.runs(records))
    groups: dict[str, list[CachedItem]] = defaultdict(list)
    for item in found.items:
        groups[item.kind].append(item)
    kinds = sorted(KINDS, key=lambda kind: -_total(groups[kind]))
    data = [
        {
            "kind": kind, "items": len(groups[kind]), "bytes": _total(groups[kind]),
            "unused": sum(item.is_unused for item in groups[kind]),
            "largest": [{"name": item.name, "bytes": item.size} for item in _largest(groups[kind])[:BIGGEST]],
        }
        for kind in kinds
    ]  # fmt: skip
    rows = [[kind, len(groups[kind]), amount(_total(groups[kind])), KINDS[kind]] for kind in kinds]
    lines = [render.table(["kind", "items", "size", "what"], rows), ""]
    lines += [f"{amount(item.size):>9}  {_short(item.name)}" for item in _largest(list(found.items))[:BIGGEST]]
    lines += [f"total: {amount(_total(list(found.items)))}; `zoo cache prune --unused --dry-run` lists what is unused"]
    for problem in found.problems:
        report(problem)
    render.emit({"kinds": data, "problems": list(found.problems)}, "\n".join(lines), as_json=as_json)


@command
def prune(
    unused: Annotated[
        bool,
        option("--unused", "Only what no entry and none of your runs needs. Default: whatever the age and kind.", WHAT),
    ] = False,
    older_than: OlderThan = None,
    kind: Annotated[
        list[str] | None,
        option(
            "--kind",
            "Only this kind: hub, hub-other (repositories of other programs), downloads, tensors or run-cache. Can be"
            " repeated. Default: all but hub-other.",
            WHAT,
            "KIND",
        ),
    ] = None,
    yes: Yes = False,
    dry_run: RemovalDryRun = False,
    mirror: Mirror = None,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Remove downloads and computed files, after a question.

    Everything that is removed is downloaded or computed again when it is needed. Never removed: the mirror,
    repositories that a download has locked, and those of other programs, unless --kind hub-other asks for them. Nothing
    is removed while a run in this folder of runs is in progress; runs in other folders are not looked for.

    Example: zoo cache prune --unused --older-than 30d
    """
    from harness.runs.stored_caches import KINDS, check_nothing_runs, find_caches, remove

    for name in kind or []:
        if name not in KINDS:
            raise UsageError(f"--kind {name}: no such kind{did_you_mean(name, list(KINDS))}")
    if not (unused or older_than or kind):
        raise UsageError("choose what to remove: --unused, --older-than AGE or --kind KIND")
    runs = paths.runs(records)
    check_nothing_runs(runs)
    before = time.time() - seconds_of(older_than, "--older-than") if older_than else float("inf")
    kinds = kind or [name for name in KINDS if name != "hub-other"]
    found = find_caches(runs)
    for problem in found.problems:
        report(problem)
    chosen = [i for i in found.items if i.kind in kinds and i.used <= before and (i.is_unused or not unused)]
    chosen = _largest(chosen)
    if not as_json:
        more = [f"... and {len(chosen) - LISTED} more"] if len(chosen) > LISTED else []
        listed = [f"{amount(item.size):>9}  {item.kind}  {_short(item.name)}" for item in chosen[:LISTED]]
        print("\n".join([*listed, *more]) or "nothing to remove")
    question = f"Remove {counted(len(chosen), 'item')}, {amount(_total(chosen))}?"
    removed: list[CachedItem] = []
    errors: list[ZooError] = []
    if chosen and not dry_run and confirmed(question, yes=yes, as_json=as_json):
        chosen_mirror = mirror or (Path(text) if (text := os.environ.get("ZOO_MIRROR")) else None)
        for item in chosen:
            try:
                remove(item, chosen_mirror)
                removed.append(item)
            except ZooError as error:
                errors.append(error)
                report(str(error))
    data: dict[str, Any] = {
        "dry_run": dry_run, "bytes": _total(removed), "problems": list(found.problems),
        "selected": [{"kind": i.kind, "name": i.name, "bytes": i.size} for i in chosen],
        "removed": [item.name for item in removed],
    }  # fmt: skip
    done = f"removed {counted(len(removed), 'item')}, {amount(_total(removed))}" if removed else ""
    render.emit(data, done, as_json=as_json)
    end(error.exit_code for error in errors)


def _short(name: str) -> str:
    """Return a name with only the first 12 digits of each digest, so that it fits on a line."""
    return DIGEST.sub(r"\1", name)


def _total(items: list["CachedItem"]) -> int:
    return sum(item.size for item in items)


def _largest(items: list["CachedItem"]) -> list["CachedItem"]:
    return sorted(items, key=lambda item: -item.size)
