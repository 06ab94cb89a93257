"""The files that fetching entries into a cache folder would take."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from zoo.errors import MissingError, ZooError
from zoo.fetch.lock import FilePin
from zoo.fetch.source_types import parse_source, pinned_source
from zoo.fetch.sources import Sources
from zoo.recipes.needs import Need
from zoo.recipes.prefetch import WORKERS, attempt

Files = Mapping[tuple[str, str], FilePin]
"""Files by their source and name."""


@dataclass(frozen=True, kw_only=True)
class EntryPlan:
    """The files that fetching an entry into a cache would take."""

    entry: str
    files: Files
    errors: Sequence[ZooError]
    """Why the size of some files is unknown."""
    unknown: Sequence[Need]
    """What these files are needed for."""


def plan_entries(entries: Sequence[tuple[str, Sequence[Need]]], sources: Sources) -> list[EntryPlan]:
    """Return the files that entries read, with their sizes. Sizes that are not pinned are asked of the servers."""

    def listed(need: Need) -> Mapping[str, FilePin] | ZooError:
        at = replace(sources, recipe_repo=need.recipe_repo, recipe_folder=need.recipe_folder)
        files: Mapping[str, FilePin] | ZooError = attempt(partial(at.listed, need.source, need.want))
        return {} if need.optional and isinstance(files, MissingError) else files

    distinct = list(dict.fromkeys(need for _, needs in entries for need in needs))
    with ThreadPoolExecutor(WORKERS) as pool:
        found = dict(zip(distinct, pool.map(listed, distinct), strict=True))
    return [_plan_of(name, {need: found[need] for need in needs}) for name, needs in entries]


def _plan_of(name: str, found: Mapping[Need, Mapping[str, FilePin] | ZooError]) -> EntryPlan:
    files: dict[tuple[str, str], FilePin] = {}
    for need, listed in found.items():
        source = str(pinned_source(parse_source(need.source)))
        files |= {} if isinstance(listed, ZooError) else {(source, name): file for name, file in listed.items()}
    errors = {need: listed for need, listed in found.items() if isinstance(listed, ZooError)}
    return EntryPlan(entry=name, files=files, errors=list(errors.values()), unknown=list(errors))
