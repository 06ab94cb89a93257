"""The committed Markdown pages: leaderboard/README.md, methods.md, and a page for each suite."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.records.check import verify_all
from leaderboard import methods, page, table
from leaderboard.suite_page import FOLDER


@dataclass(frozen=True, kw_only=True)
class CommittedPage:
    """The generated block of a page, and the text of the page if it does not exist yet."""

    block: str
    introduction: str


def render(evidence: Path) -> dict[str, CommittedPage]:
    """Return the pages: file in the folder of the leaderboard -> page.

    Raises:
        IntegrityError: A prediction file differs from the recorded one.
    """
    verify_all(evidence)
    rows = table.rows(evidence)
    return {
        "README.md": CommittedPage(block=page.front(evidence, rows), introduction=page.INTRODUCTION),
        "methods.md": CommittedPage(block=methods.render(evidence), introduction=methods.INTRODUCTION),
        **{
            f"{FOLDER}/{suite}.md": CommittedPage(
                block=page.suite_block(suite, of_suite), introduction=page.SUITE_INTRODUCTION.format(suite=suite)
            )
            for suite, of_suite in page.by_suite(rows).items()
        },
    }


def stale(folder: Path, pages: Mapping[str, CommittedPage]) -> list[Path]:
    """Return the pages that differ from these, are missing, or belong to a suite that no longer exists."""
    changed = [folder / name for name, new in pages.items() if not page.is_current(folder / name, new.block)]
    return [*changed, *_former(folder, pages)]


def write(folder: Path, pages: Mapping[str, CommittedPage]) -> list[Path]:
    """Write the pages, and return the files that were written."""
    for name, new in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        page.write(folder / name, new.block, new.introduction)
    return [folder / name for name in pages]


def delete_former(folder: Path, pages: Mapping[str, CommittedPage]) -> list[Path]:
    """Delete the pages of suites that no longer exist, and return them. A file that was not generated stays."""
    former = _former(folder, pages)
    for path in former:
        path.unlink()
    return former


def _former(folder: Path, pages: Mapping[str, CommittedPage]) -> list[Path]:
    """Return the generated pages that are not among these; a file without the marker is not ours."""
    others = (path for path in sorted((folder / FOLDER).glob("*.md")) if f"{FOLDER}/{path.name}" not in pages)
    return [path for path in others if page.BEGIN in path.read_text(encoding="utf-8", errors="replace")]
