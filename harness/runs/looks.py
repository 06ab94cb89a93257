"""Count how often a claim on a training is judged with more and more seeds.

A user who adds seeds until a verdict is settled tests several times, so each look has only a share of the level
(`harness.judging.statistics.look_share`). The folder of an entry's runs has a file with the seeds of every look, and
the claims that it left open. Settled claims need no further look, and the same seeds again are no new look.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.judging.judge_runs import Outcome, claim_name
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import RecordedRun
from zoo.errors import SourceError
from zoo.files import write_atomically
from zoo.recipes.catalogue import Entry

FILE = "looks.json"
LOCK_SECONDS = 5.0
"""How long to wait for another command that writes the same file."""


def look_numbers(folder: Path, entry: Entry, runs: Iterable[RecordedRun]) -> dict[str, int]:
    """Return the number of this look at each claim: 1, and 1 more for each earlier one that left the claim open.

    Earlier looks are those with other seeds, some of which are the same, before the first one with exactly these seeds.

    Args:
        folder: The folder of all runs.
        entry: The entry.
        runs: The runs that are judged now.

    Returns:
        The numbers by the names of the claims; claims that were never open are left out.
    """
    seeds, numbers = _seeds(runs), dict[str, int]()
    for look in _read(folder / entry.name / FILE).get(entry.recipe.digest, []):
        if seeds == look["seeds"]:
            break
        if set(seeds) & set(look["seeds"]):
            for claim in look["open"]:
                numbers[claim] = numbers.get(claim, 1) + 1
    return numbers


def record_look(folder: Path, outcome: Outcome, runs: Iterable[RecordedRun]) -> None:
    """Remember which claims a look left open. A folder that cannot be written is left as it is."""
    open_claims = [j.claim for j in outcome.judgements if j.claim.of == "retrain" and j.verdict == "inconclusive"]
    if not open_claims:
        return
    path = folder / outcome.entry.name / FILE
    look = {"seeds": _seeds(runs), "open": [claim_name(claim) for claim in open_claims]}
    lock = HeartbeatLock(path.with_name(f".{FILE}.lock"), watched=0.0)
    with suppress(OSError, SourceError):
        if lock.acquire(LOCK_SECONDS):
            try:
                _add_look(path, outcome.entry.recipe.digest, look)
            finally:
                lock.release()


def _add_look(path: Path, recipe: str, look: dict[str, Any]) -> None:
    looks = _read(path)
    of_recipe = looks.setdefault(recipe, [])
    if look["seeds"] not in [other["seeds"] for other in of_recipe]:
        of_recipe.append(look)
        write_atomically(path, json.dumps(looks, indent=1, sort_keys=True))


def _seeds(runs: Iterable[RecordedRun]) -> list[int]:
    identities = [record.identity for _, record in runs]
    return sorted({i.seed for i in identities if i.seed is not None and not i.is_reference})


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the looks at each recipe; none if the file is missing or damaged."""
    try:
        looks = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(key): [{"seeds": sorted(map(int, look["seeds"])), "open": [*map(str, look["open"])]} for look in of_key]
            for key, of_key in looks.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}
