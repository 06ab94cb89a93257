"""Fetch the files of a repository for one purpose, each verified against its pin and the Hub's listing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import IntegrityError, MissingError
from zoo.fetch.card_files import CARD
from zoo.fetch.checksum import git_sha1, sha256
from zoo.fetch.fetched import Fetched, digest_of, record_name
from zoo.fetch.hub import Hub, Listed
from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.mirror import Mirror, explain_unpinned
from zoo.fetch.pin_store import PinStore
from zoo.fetch.repository_files import CLAIMS, CONFIG, WEIGHTS, choose_files, weights_among
from zoo.fetch.source_types import HubRepo


@dataclass(frozen=True)
class RepositoryFetcher:
    """Fetch files of repositories from the cache, a mirror or the Hub, and pin those that are new."""

    pins: PinStore
    hub: Hub
    mirror: Mirror | None

    def fetch(self, repo: HubRepo, want: str) -> Fetched:
        """Return the files for a purpose at the pinned commit; pinned files in the cache need no request.

        Raises:
            IntegrityError: A file is not the expected one.
            SourceError: A file cannot be downloaded or does not exist.
        """
        known_pin = self.pins.known_pin(repo)
        commit = known_pin.revision or self.hub.commit(repo)
        names, listing = self._names(repo, want, known_pin, commit)
        if not names:
            self.pins.remember(repo, known_pin, Pin(revision=commit, wants={want: ()}))
            raise MissingError(f"{repo.name} at {commit[:7]} has no {want}")
        paths, seen = {}, {}
        for name in names:
            paths[name], seen[name] = self._verified(repo, commit, name, known_pin.files.get(name), listing.get(name))
        self.hub.remove_partial_downloads(repo)
        is_named = want == CLAIMS and repo.commit is not None  # a commit names the files of a card
        pin = Pin(revision=commit, files=seen, wants={want: names})
        self.pins.remember(repo, known_pin, pin, paths, silent=is_named)
        root = paths[names[0]].parents[names[0].count("/")]
        return self._fetched(repo, want, root, commit, seen)

    def download_size(self, repo: HubRepo, want: str) -> int:
        """Return the size in bytes of the files that `fetch` would download."""
        commit, files = self.listed(repo, want)
        return sum(file.size or 0 for name, file in files.items() if not self.hub.cached(repo, commit, name))

    def listed(self, repo: HubRepo, want: str) -> tuple[str, dict[str, FilePin]]:
        """Return the commit, and the files for a purpose with their sizes; files that are pinned need no request."""
        known_pin = self.pins.known_pin(repo)
        names, commit = self._known_names(repo, want, known_pin), known_pin.revision
        pinned = {name: known_pin.files.get(name, FilePin()) for name in names or ()}
        if commit and names is not None and all(file.size is not None for file in pinned.values()):
            return commit, pinned
        commit = commit or self.hub.commit(repo)
        listing = self.hub.listing(repo, commit)
        chosen = [name for name in names or self._choose(repo, want, commit, listing) if name in listing]
        found = {name: FilePin(sha256=listing[name].sha256, size=listing[name].size) for name in chosen}
        return commit, {name: known_pin.files.get(name, FilePin()).over(file) for name, file in found.items()}

    def _names(
        self, repo: HubRepo, want: str, known_pin: Pin, commit: str
    ) -> tuple[tuple[str, ...], Mapping[str, Listed]]:
        """Return the names of the files, and the repository's listing unless all of them are pinned."""
        names = self._known_names(repo, want, known_pin)
        if names is not None and all(name in known_pin.files for name in names):
            return names, {}
        locked = self.pins.locked(repo).files
        if names is None and self.hub.offline and self.mirror and locked:  # it can serve what the lock pins
            # a lock may pin the weights alone: their configuration is missing in the lock, not in the repository
            assumed = [name for name in (CONFIG,) if want == "weights" and name not in locked]
            return choose_files(want, [*locked, *assumed], locked, f"{repo.name} at {commit[:7]}"), {}
        listing = self.hub.listing(repo, commit)
        try:
            return self._choose(repo, want, commit, listing), listing
        except MissingError:
            # a commit never gets new files, so no request is needed
            if known_pin.revision and not want.startswith("data/"):
                self.pins.remember(repo, known_pin, Pin(revision=commit, wants={want: ()}))
            raise

    def _known_names(self, repo: HubRepo, want: str, known_pin: Pin) -> tuple[str, ...] | None:
        """Return the names that were chosen before; None if none were, or if the lock now names other weights."""
        names = known_pin.wants.get(want)
        locked = [name for name in WEIGHTS if name in self.pins.locked(repo).files]
        if want == "weights" and names is not None and locked and locked[0] not in names:
            return None
        return None if names == () and want.startswith("data/") else names

    def _choose(self, repo: HubRepo, want: str, commit: str, listing: Mapping[str, Listed]) -> tuple[str, ...]:
        def read_card() -> str:
            pin = self.pins.known_pin(repo).files.get(CARD)
            path, _ = self._verified(repo, commit, CARD, pin, listing.get(CARD))
            return path.read_text(encoding="utf-8", errors="replace")

        locked = self.pins.locked(repo).files
        return choose_files(want, list(listing), locked, f"{repo.name} at {commit[:7]}", read_card)

    def _verified(
        self, repo: HubRepo, commit: str, name: str, pin: FilePin | None, listed: Listed | None
    ) -> tuple[Path, FilePin]:
        """Return a file that fits its pin and the listing, and its new pin; a wrong one is downloaded once more."""
        faults = []
        for _ in range(2):
            path = self._file(repo, commit, name, pin)
            digest, size = sha256(path), path.stat().st_size
            expected = (pin.mismatch(digest, size) if pin else None) or (_unlisted(path, digest, listed))
            is_named = _is_named_by_content(path, digest)
            if expected is None:
                if not is_named and self.hub.owns(repo, path):
                    self.hub.detach_blob(path)
                return path, FilePin(sha256=digest, size=size)
            faults.append(f"{repo.name}: {name}: expected {expected}, found sha256 {digest}, {size:,} bytes")
            if self.hub.offline:
                break
            if not self.hub.owns(repo, path):
                linked = f"{path} leads to {path.resolve()}, outside of this cache, where zoo changes nothing"
                raise IntegrityError(f"{faults[-1]}; {linked}: delete the link, and try again")
            self.hub.remove_from_cache(path, with_blob=not is_named)
        raise IntegrityError(f"{faults[-1]}{self.mirror.advice if self.mirror else ''}")

    def _file(self, repo: HubRepo, commit: str, name: str, pin: FilePin | None) -> Path:
        path = self.hub.cached(repo, commit, name)
        if path is None and pin is not None and self.mirror and (copy := self.mirror.find(pin.sha256, pin.size)):
            path = self.hub.add_to_cache(repo, commit, name, copy)
        source = f"{repo.without_revision}@{commit}#{name}"
        with explain_unpinned(self.mirror, source, pin.sha256 if pin else None):
            return path or self.hub.download(repo, commit, name)

    def _fetched(self, repo: HubRepo, want: str, root: Path, commit: str, seen: Mapping[str, FilePin]) -> Fetched:
        digests = {f"{record_name(str(repo))}/{name}": str(pin.sha256) for name, pin in seen.items()}
        weights = weights_among(seen) if want == "weights" else None
        is_locked = self.pins.locked(repo).revision == commit
        return Fetched(str(repo), root, digest_of(digests, weights), digests, weights, commit, is_locked)


def _unlisted(path: Path, digest: str, listed: Listed | None) -> str | None:
    """Return what the Hub's listing expects of a file that is not the listed one; None for one that is."""
    if listed is None:
        return None
    if listed.sha256 is not None:
        return None if digest == listed.sha256 else f"sha256 {listed.sha256}, as the Hub lists it"
    return None if git_sha1(path) == listed.git_sha1 else f"git sha1 {listed.git_sha1}, as the Hub lists it"


def _is_named_by_content(path: Path, digest: str) -> bool:
    """Return whether the cache named the bytes by their own SHA-256, or by git's SHA-1."""
    name = path.resolve().name
    return name == digest or (len(name) == 40 and name == git_sha1(path))
