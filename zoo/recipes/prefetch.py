"""Download what entries read, several files at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import MissingError, NoFileError, ZooError
from zoo.fetch.fetched import Fetched
from zoo.fetch.source_types import pinned_source
from zoo.fetch.sources import Sources
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.needs import Need, needs_of_all
from zoo.text_tables import counted

WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class DownloadSize:
    """How much has to be downloaded: the bytes that are known, and the number of parts whose size is unknown."""

    known: int
    unknown: int

    def __str__(self) -> str:
        if self.unknown and not self.known:
            return "size unknown"
        others = f" and {counted(self.unknown, 'part')} of unknown size" if self.unknown else ""
        return f"{self.known / 1e6:,.1f} MB{others} to download"


def give_up_downloads(sources: Sources) -> None:
    """End downloads that other threads have started, and start no others."""
    sources.hub.deadline, sources.urls.stopped = 0.0, True


def prefetch(
    wanted: Iterable[Need], sources: Sources, started: Callable[[DownloadSize], None] = lambda size: None
) -> list[tuple[Need, Fetched | ZooError]]:
    """Fetch everything, several files at once.

    Args:
        wanted: What to fetch.
        sources: Fetches.
        started: Called once with the size of what has to be downloaded.

    Returns:
        For each need the files, or the error. Optional needs that are missing are left out.
    """
    distinct = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            return _fetch_all(distinct, sources, started, pool)
        except KeyboardInterrupt:
            give_up_downloads(sources)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_all(
    needs: list[Need], sources: Sources, started: Callable[[DownloadSize], None], pool: Executor
) -> list[tuple[Need, Fetched | ZooError]]:
    def of(recipe_repo: str | None, recipe_folder: Path | None = None) -> Sources:
        return replace(sources, recipe_repo=recipe_repo or sources.recipe_repo, recipe_folder=recipe_folder)

    def fetch(need: Need) -> Any:
        return attempt(partial(of(need.recipe_repo, need.recipe_folder).fetch, need.source, need.want))

    downloads = dict.fromkeys((pinned_source(n.parsed), n.want, n.recipe_repo) for n in needs if n.parsed)
    sizes = list(pool.map(lambda item: attempt(partial(of(item[2]).download_size, *item[:2])), downloads))
    unknown = [size for size in sizes if isinstance(size, ZooError) and not isinstance(size, MissingError)]
    started(DownloadSize(known=sum(size for size in sizes if isinstance(size, int)), unknown=len(unknown)))
    pairs: list[tuple[Need, Any]] = []
    for optional in (False, True):  # that an optional file is missing is remembered only for a commit in use
        same = [need for need in needs if need.optional == optional]
        pairs += zip(same, pool.map(fetch, same), strict=True)
    for need, result in pairs:
        if isinstance(result, NoFileError):
            result.with_mark(need.mark)
    return [(need, result) for need, result in pairs if not (need.optional and isinstance(result, MissingError))]


def prefetch_entries(
    entries: Iterable[Entry],
    builder: Builder,
    *,
    train: bool,
    started: Callable[[DownloadSize], None] = lambda size: None,
) -> dict[Entry, ZooError]:
    """Fetch everything that entries read, and return the error of each entry that lacks something.

    Args:
        entries: The entries.
        builder: Builds their tasks and fetches their files.
        train: See `zoo.recipes.needs.needs`.
        started: See `prefetch`.
    """
    found = {entry: needs_of_all([entry], builder, train=train) for entry in entries}
    fetched = dict(prefetch((need for wanted, _ in found.values() for need in wanted), builder.sources, started))
    failed = {need: result for need, result in fetched.items() if isinstance(result, ZooError)}
    errors = {
        entry: [*unread, *(failed[need] for need in wanted if need in failed)]
        for entry, (wanted, unread) in found.items()
    }
    return {entry: all_errors[0] for entry, all_errors in errors.items() if all_errors}


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the ZooError that it raises."""
    try:
        return call()
    except ZooError as error:
        return error
