"""Keep the disk and the cache of a night small: weights are deleted after use, data sets stay below a limit."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import CachedRepoInfo, HFCacheInfo, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from zoo import paths


def delete_weights(cache: Path) -> None:
    """Delete all models in a cache of the Hub, and all downloads from other servers: no entry needs another's."""
    found = _scan(cache)
    _delete(found, [repo for repo in found.repos if repo.repo_type == "model"] if found else [])
    shutil.rmtree(paths.home() / "downloads", ignore_errors=True)


def keep_below(cache: Path, limit: int) -> None:
    """Delete the least recently used repositories of a cache of the Hub until it has at most `limit` bytes."""
    found = _scan(cache)
    if found is None:
        return
    size, chosen = found.size_on_disk, []
    for repo in sorted(found.repos, key=lambda repo: repo.last_accessed):
        if size > limit:
            chosen.append(repo)
            size -= repo.size_on_disk
    _delete(found, chosen)


def _scan(cache: Path) -> HFCacheInfo | None:
    try:
        return scan_cache_dir(cache)
    except CacheNotFound:
        return None


def _delete(found: HFCacheInfo | None, repos: Iterable[CachedRepoInfo]) -> None:
    revisions = [revision.commit_hash for repo in repos for revision in repo.revisions]
    if found is not None and revisions:
        found.delete_revisions(*revisions).execute()
