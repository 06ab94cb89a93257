"""Make text of strangers safe to print: texts of recipes, of repositories, of data, and names of files.

A terminal obeys control characters, GitHub's log obeys lines that begin with `::`, and Markdown and spreadsheets have
links, mentions and formulas. Everything that is printed or written for one of them goes through this module.
"""

import re
from html import escape

_LINE_END = re.compile(r"[ \t]*\r?\n\s*")
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters but for tab and line end, invisible marks, marks that reverse text, and half characters."""
_COLOR = re.compile(r"\\x1b(\[[0-9;]*m)")
_WORKFLOW_COMMAND = re.compile(r"(?m)^(\s*)::|##\[")
_MARKDOWN = re.compile(r"[\\`*~\[\]|]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.")
_MENTION = re.compile(r"([@#])(?=\w)")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that a spreadsheet computes."""


QUOTE = "'"
"""Stands for a backquote in a code span."""


def printable(text: str, *, colors: bool = False) -> str:
    """Return a text of several lines with control characters as escapes such as `\\x1b`, and without commands.

    Args:
        text: The text. Its lines are kept.
        colors: Whether to keep the escape sequences that set colors.
    """
    escaped = escape_unprintable(text)
    escaped = _COLOR.sub("\x1b\\1", escaped) if colors else escaped
    return _WORKFLOW_COMMAND.sub(lambda found: f"{found[1]}\\::" if found[1] is not None else r"#\#[", escaped)


def escape_unprintable(text: str) -> str:
    """Return a text with control characters as escapes such as `\\x1b`."""
    return UNPRINTABLE.sub(_escaped, text)


def one_line(text: object) -> str:
    """Return a text on one line, with control characters as escapes."""
    return printable(_LINE_END.sub(" ", str(text).strip()))


def markdown(text: object) -> str:
    """Return a text as a cell of a Markdown table: as it is, without markup, links, mentions and HTML."""
    marked = _MARKDOWN.sub(lambda found: f"\\{found[0]}", escape(one_line(text), quote=False))
    return _MENTION.sub("\\1\u200b", re.sub(r"^(?=[#>+=-])", r"\\", marked))


def in_code(text: object) -> str:
    """Return a text that can stand in a code span of Markdown, also in a table."""
    return one_line(text).replace("`", QUOTE).replace("|", "\\|")


def csv_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before one that begins like one."""
    safe = one_line(text)
    return f"'{safe}" if safe.startswith(FORMULA) else safe


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
