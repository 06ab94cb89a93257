"""Collect the pages of the documentation site: `python docs/assemble.py` fills build/docs, which mkdocs.yml names.

In the repository, pages link to each other by path, so that they can be read there. On the site all pages lie in one
folder. This script copies the pages, rewrites their links, copies the files that they link to, and adds the API pages.
"""

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "docs"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "leaderboard/README.md": "leaderboard.md",
    "leaderboard/methods.md": "methods.md",
    **{
        f"leaderboard/suites/{path.name}": f"suites/{path.name}"
        for path in sorted((ROOT / "leaderboard" / "suites").glob("*.md"))
    },
    "harness/losses/README.md": "torchdistill-losses.md",
    **{f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))},
    "docs/README.md": "documentation.md",
}
API = {
    "api/zoo.md": (
        "Python API",
        [
            "zoo.api",
            "zoo.api.arguments",
            "zoo.api.results",
            "zoo.api.audit_result",
            "zoo.api.submission",
            "zoo.api.recorded_run",
            "zoo.recipes.options",
        ],
    ),
    "api/recipes.md": ("Recipes", ["zoo.recipes.schema", "zoo.recipes.stage", "zoo.recipes.claim"]),
    "api/errors.md": ("Errors", ["zoo.errors"]),
    "api/losses.md": ("Losses", ["harness.losses.base", "harness.losses"]),
    "api/tasks.md": ("Tasks", ["zoo.tasks.base", "zoo.tasks.splits"]),
    "api/records.md": ("Records", ["harness.records.record"]),
    "api/judging.md": ("Judging", ["harness.judging.types", "harness.judging.statistics"]),
    "api/auditing.md": ("Auditing", ["harness.auditing.types", "zoo.claims.published"]),
}
WIDE = "---\nhide: [toc]\n---\n\n"
"""The first page has the width of the list of its headings too, which its terminal session needs."""
LINK = re.compile(r"(\]\(|^\[[^\]\n]+\]: )(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\)|$)", re.MULTILINE)
"""A link to a file, or the definition of such a link on a line of its own."""
ROW = re.compile(r"^\|.*$", re.MULTILINE)
"""GitHub needs an escaped `|` in the code of a table; the site would show the backslash."""
SPAN = re.compile(r"(?<![\\`])(?P<ticks>`+)(?!`)(?P<code>(?:[^\n]|\n(?!\n))+?)(?<!`)(?P=ticks)(?!`)")
"""Code in backticks, one or more. It can go on in the next line of its paragraph."""
TOKEN = re.compile(rf"^ *```.*?^ *```$|^#.*?$|{SPAN.pattern}", re.MULTILINE | re.DOTALL)
"""A block of code, a heading, or code in a paragraph, whichever begins first."""
OPTION = re.compile(r"(?=.*-).{1,24}")
"""Short code with a hyphen, such as an option; browsers would break its line after the hyphen."""


def main() -> None:
    """Fill the folder anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    for source, page in PAGES.items():
        write(page, (WIDE if page == "index.md" else "") + rewritten(ROOT / source, page))
    for name in ("extra.css", "extra.js"):
        shutil.copyfile(ROOT / "docs" / name, OUT / name)
    for page, (title, modules) in API.items():
        write(page, f"# {title}\n\n" + "\n".join(f"::: {module}\n" for module in modules))


def write(page: str, text: str) -> None:
    """Write one page."""
    target = OUT / page
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def rewritten(source: Path, page: str) -> str:
    """Return the text of a page with its relative links as they are on the site."""

    def link(match: re.Match[str]) -> str:
        path = (source.parent / match[2]).resolve()
        inside = path.relative_to(ROOT).as_posix()
        target = PAGES.get(inside) or copied(path, inside)
        return match[1] + os.path.relpath(target, Path(page).parent) + (match[3] or "")

    text = LINK.sub(link, source.read_text(encoding="utf-8"))
    text = ROW.sub(lambda row: SPAN.sub(lambda code: code[0].replace("\\|", "|"), row[0]), text)
    return unbroken_options(text)


def unbroken_options(text: str) -> str:
    """Give short code with a hyphen a class, outside of headings and blocks of code."""

    def marked(token: re.Match[str]) -> str:
        is_option = token["code"] and OPTION.fullmatch(token["code"])
        return token[0] + ("{.unbroken}" if is_option and text[token.end() : token.end() + 1] != "{" else "")

    return TOKEN.sub(marked, text)


def copied(path: Path, inside: str) -> str:
    """Copy a linked file to the site; a folder becomes a page that lists its files. Return the path on the site."""
    if path.is_dir():
        names = "\n".join(f"- `{child.name}`" for child in sorted(path.iterdir()) if child.name != "__pycache__")
        page = f"files/{inside}.md"
        write(page, f"# {inside}\n\nThis folder of the repository contains:\n\n{names}\n")
        return page
    target = path.name if path.suffix == ".svg" else f"files/{inside}"
    (OUT / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, OUT / target)
    return target


if __name__ == "__main__":
    main()
