"""What a published recipe may name: files of its repository, other repositories, and addresses of public hosts."""

from collections.abc import Callable

from zoo.errors import MissingError
from zoo.fetch.fetched import Fetched, digest_of
from zoo.fetch.local_files import fetched_file, fetched_folder
from zoo.fetch.public_hosts import url_problem
from zoo.fetch.repository_files import PATH, weights_among
from zoo.fetch.source_types import LocalFile, ParsedSource, Url, pinned_source


def publishing_problem(source: ParsedSource) -> str | None:
    """Return why a recipe that somebody else has published may not name a source, or None."""
    allowed = "a published recipe may name files of its repository, hub:, data:, and https URLs of public hosts"
    if isinstance(source, LocalFile) and source.repository_path is None:
        return f"{source} is a file of this machine; {allowed}"
    address = pinned_source(source)
    if isinstance(address, Url) and (problem := url_problem(address.url)):
        return f"{source}: {problem}; {allowed}"
    return None


def file_beside_recipe(source: LocalFile, want: str, fetch: Callable[[str], Fetched]) -> Fetched:
    """Return a file in the repository of a published recipe, or of a folder what is read for a purpose.

    The result is that of the same file or folder on this machine, so that a run has the same key.

    Args:
        source: The file or folder, by its path in the repository.
        want: The purpose, see `zoo.fetch.sources.Sources.fetch`.
        fetch: Fetches files of the repository for a purpose.

    Raises:
        MissingError: The repository does not have it.
    """
    path = str(source.repository_path)
    try:
        found = fetch(f"{PATH}{path}:{want}")
    except MissingError as error:
        raise MissingError(
            f"{error}: its recipe reads {path}, which its author has not published; if you have it, pass"
            f" --data {path}=PATH"
        ) from None
    if found.names == [path]:
        return fetched_file(source, found.path / path, *found.files.values(), locked=found.locked)
    if want == "data":
        return fetched_folder(source, found.path / path)
    names = [name.removeprefix(f"{path}/") for name in found.names]
    digests, weights = dict(zip(names, found.files.values(), strict=True)), weights_among(names)
    files = {f"{source}/{name}": digest for name, digest in digests.items()}
    return Fetched(str(source), found.path / path, digest_of(digests, weights), files, weights)
