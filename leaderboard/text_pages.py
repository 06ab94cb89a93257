"""Convert the Markdown pages of the repository to HTML for the site, with links between the pages of the site."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

LINE_BREAK = "<br>"
SHORT = 24
"""The longest text of a cell that a phone shows beside the name of its column."""
ROLES = {
    "thead_open": "rowgroup",
    "tbody_open": "rowgroup",
    "tr_open": "row",
    "th_open": "columnheader",
    "td_open": "cell",
}
"""Kind of token -> its role, which a row that is shown as lines would lose."""


@dataclass(frozen=True, kw_only=True)
class TextPage:
    """A page of the site that is written in Markdown.

    Attributes:
        file: Its file in the site.
        title: Its name in the navigation.
        source: Its file in the repository, from which its links start.
        text: The Markdown.
    """

    file: str
    title: str
    source: str
    text: str


def to_html(page: TextPage, targets: Mapping[str, str]) -> Markup:
    """Return a page as HTML. Headings have ids, and each table scrolls in a box of its own.

    Args:
        page: The page.
        targets: Path in the repository -> path in the site. A link to another path becomes plain text.
    """
    parser = MarkdownIt("commonmark").enable("table")
    for name, rule in RULES.items():
        parser.add_render_rule(name, rule)
    environment: dict[str, Any] = {}
    tokens = parser.parse(page.text, environment)
    _set_attributes(tokens)
    for token in tokens:
        _resolve_links(token.children or [], posixpath.dirname(page.source), targets)
    return Markup(parser.renderer.render(tokens, parser.options, environment))  # noqa: S704 - the parser escapes texts


def _set_attributes(tokens: Sequence[Token]) -> None:
    """Give each heading an id, each table the id of the heading above it, and each cell its role and column."""
    current, taken, heads, column = "", set[str](), list[str](), 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            slug = re.sub(r"[^\w\- ]", "", following.content.lower()).replace(" ", "-") or "section"
            current = next(name for n in range(len(tokens)) if (name := f"{slug}-{n}" if n else slug) not in taken)
            taken.add(current)
            token.attrSet("id", current)
        elif token.type == "table_open":
            token.meta["heading"] = current
            heads = []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open" and following is not None:
            heads.append(following.content.replace("`", ""))
        if token.type in ROLES:
            is_number = token.attrs.get("style") == "text-align:right"  # a class instead: the pages forbid styles
            token.attrs = {"role": ROLES[token.type]}
            if token.type == "th_open":
                token.attrSet("scope", "col")
            if is_number:
                token.attrSet("class", "number")
            if token.type == "td_open" and following is not None:
                text = "".join(child.content for child in following.children or [])  # without the targets of links
                _name_column(token, text, heads[column], is_first=column == 0)
                column += 1


def _name_column(cell: Token, text: str, head: str, *, is_first: bool) -> None:
    """Add the name of its column to a cell, which a phone shows beside a short text and above a long one."""
    if not is_first or text[:1] in "+-0123456789":  # other first cells name their row
        cell.attrSet("data-label", head)
    if len(text) <= SHORT:
        cell.attrJoin("class", "short")


def _resolve_links(tokens: list[Token], folder: str, targets: Mapping[str, str]) -> None:
    """Replace the targets of links and images, and hide links that lead nowhere in the site."""
    hidden = False
    for token in tokens:
        if token.type in ("link_open", "image"):
            name = "src" if token.type == "image" else "href"
            target = targets.get(posixpath.normpath(posixpath.join(folder, str(token.attrs[name]))))
            hidden = target is None
            token.attrs[name] = target or ""
        if token.type in ("link_open", "link_close", "image") and hidden:
            token.type = "text"  # the alternative text of an image, nothing of a link


def _open_table(renderer: Any, tokens: Sequence[Token], place: int, options: Any, environment: Any) -> str:
    named = f'aria-labelledby="{escape(tokens[place].meta["heading"])}"'
    return f'<div class="scroll stacks" role="region" {named} tabindex="0">\n<table class="stack" role="table">\n'


def _close_table(renderer: Any, tokens: Sequence[Token], place: int, options: Any, environment: Any) -> str:
    return "</table>\n</div>\n"


def _html(renderer: Any, tokens: Sequence[Token], place: int, options: Any, environment: Any) -> str:
    """Return a line break as it is, nothing for a comment, and other HTML as text."""
    content = tokens[place].content
    if content.startswith("<!--"):
        return ""
    return content if content == LINE_BREAK else str(escape(content))


RULES = {"table_open": _open_table, "table_close": _close_table, "html_inline": _html, "html_block": _html}
"""Kind of token -> the function that renders it."""
