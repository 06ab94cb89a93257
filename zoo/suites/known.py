"""The generated suites by name: each is made once for a version of its catalogue, and then read from a cache."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.errors import SourceError, UnreachableError
from zoo.fetch.source_types import Url
from zoo.suites.generated import GeneratedSuite
from zoo.suites.store import read_suite, recipe_path, write_suite
from zoo.suites.timm_results import TABLES, timm_suite

if TYPE_CHECKING:
    from zoo.fetch.sources import Sources

GLOB = "*?["
SUITES = "suites"
"""The folder of the generated suites in ZOO_HOME."""
TIMM = "data:timm"
"""The folder with tables of timm's results that a user may name in place of the published ones."""


@dataclass(frozen=True, kw_only=True)
class StoredSuite:
    """A generated suite, and the folder with the files of its recipes."""

    name: str
    folder: Path
    suite: GeneratedSuite


@dataclass(frozen=True, kw_only=True)
class _Catalogue:
    """A catalogue that a suite is made from.

    Attributes:
        version: What distinguishes it from other versions of the same catalogue.
        make: Makes the suite, which may take seconds.
    """

    version: str
    make: Callable[[], GeneratedSuite]


ORIGINS: Mapping[str, str] = {
    "torchvision": "the metadata of the installed torchvision",
    **{name: f"timm's table {table.file}" for name, table in TABLES.items()},
}
"""The generated suites, and what they are made from."""


def wanted_suites(patterns: Sequence[str], suites: Sequence[str]) -> list[str]:
    """Return the generated suites that patterns and names of suites may select entries of."""
    wanted = {suite for suite in suites if suite in ORIGINS}
    for pattern in patterns:
        literal = pattern[: min((pattern.index(sign) for sign in GLOB if sign in pattern), default=None)]
        named = [suite for suite in ORIGINS if literal == suite or literal.startswith(f"{suite}-")]
        if literal == pattern:
            wanted |= {*sorted(named, key=len)[-1:]}  # `timm-sketch-x` is in timm-sketch, not in timm
        elif literal:
            wanted |= {*named, *(suite for suite in ORIGINS if f"{suite}-".startswith(literal))}
    return [suite for suite in ORIGINS if suite in wanted]


def load_suite(name: str, sources: "Sources") -> StoredSuite:
    """Return a generated suite. It is made if it is not in the cache, or if its files in the cache are damaged.

    Raises:
        SourceError: The catalogue is not available.
        UsageError: The catalogue cannot be read.
    """
    catalogue = _catalogue(name, sources)
    stored = _stored(name, catalogue, sources)
    if stored is None:
        stored = StoredSuite(name=name, folder=_folder(name, catalogue), suite=catalogue.make())
        write_suite(stored.folder, stored.suite)
    if sources.cache is not None and sources.cache.is_filled:
        write_suite(sources.cache.suites / stored.folder.name, stored.suite)
    return stored


def cached_suite(name: str, sources: "Sources") -> StoredSuite | None:
    """Return a generated suite if it is in the cache; downloads nothing."""
    is_published = name in TABLES and sources.folder(TIMM) is None
    if is_published and not _has_table(name, sources):
        return None
    try:
        return _stored(name, _catalogue(name, sources), sources)
    except SourceError:  # the user's folder lacks this table
        return None


def _has_table(name: str, sources: "Sources") -> bool:
    """Return whether a table of timm's results is on this machine or in the cache folder."""
    url = Url(TABLES[name].url)
    return sources.urls.cached(url) is not None or bool(sources.lock.cached_pin(str(url)).files)


def _stored(name: str, catalogue: _Catalogue, sources: "Sources") -> StoredSuite | None:
    """Return a suite that was made before: of the cache folder, or on this machine."""
    own = _folder(name, catalogue)
    cached = [] if sources.cache is None or sources.cache.is_filled else [sources.cache.suites / own.name]
    for folder in (*cached, own):
        if (suite := read_suite(folder)) is not None:
            return StoredSuite(name=name, folder=folder, suite=suite)
    return None


def stored_recipes(suite: str, entry: str) -> list[Path]:
    """Return the files of an entry's recipe in all versions of a generated suite in the cache, the newest first."""
    if suite not in ORIGINS:
        return []
    files = (recipe_path(folder, entry) for folder in (paths.home() / SUITES).glob(f"{suite}-*"))
    return sorted(filter(Path.is_file, files), key=lambda file: file.stat().st_mtime, reverse=True)


def _catalogue(name: str, sources: "Sources") -> _Catalogue:
    if name in TABLES:
        return _table(name, sources)
    module = "zoo.suites.torchvision_weights"  # imports torch, which takes seconds
    return _Catalogue(
        version=importlib.metadata.version("torchvision"), make=lambda: import_module(module).torchvision_suite()
    )


def _table(name: str, sources: "Sources") -> _Catalogue:
    """Return a table of timm's results: in the folder that the user names, else at the pinned commit."""
    table, folder = TABLES[name], sources.folder(TIMM)
    where = table.url if folder is None else str(folder / table.file)
    try:
        content = Path(where if folder else sources.fetch(where).path).read_bytes()
    except OSError as error:
        raise SourceError(f"{where}: the suite {name} is made from this file: {error.strerror}") from None
    except UnreachableError as error:
        advice = f"to read a copy of {table.file} in a folder of yours, pass --data timm=DIR, or name it in ZOO_DATA"
        raise type(error)(f"{error}; {advice}", server=error.server, reason=error.reason) from None
    return _Catalogue(version=sha256(content).hexdigest()[:16], make=partial(timm_suite, name, content, where))


def _folder(name: str, catalogue: _Catalogue) -> Path:
    """Return the folder of a suite; another version of the catalogue, or of this code, has another one."""
    return paths.home() / SUITES / f"{name}-{catalogue.version}-{_code_version()}"


def _code_version() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
