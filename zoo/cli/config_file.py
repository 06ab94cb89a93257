"""Find and read the file with a user's defaults of options: zoo.toml, or the table [tool.zoo] of pyproject.toml."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import SourceError, UsageError
from zoo.files import is_of_stranger

NAMES = ("zoo.toml", "pyproject.toml")
PYPROJECT = "pyproject.toml"
OTHER_TABLES = ("slurm",)
"""Tables of zoo.toml that are no defaults of options. `--on slurm` reads this one itself."""
HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?")
KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
PART = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")
TOOL_ZOO = re.compile(
    rb"\btool\b[\"']?\s*\.\s*[\"']?zoo\b|^\s*\[\s*[\"']?tool[\"']?\s*\]|^\s*[\"']?tool[\"']?\s*=", re.MULTILINE
)
"""Matches a pyproject.toml that may have settings: `tool.zoo`, or a table `tool` that may have a key `zoo`."""
WITHOUT = "`zoo --no-config COMMAND` goes without it"


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A file with defaults of options.

    Attributes:
        path: The file.
        settings: Its tables of defaults: options for all commands, and a table for each command.
        lines: The line of each key and table, by its keys from the root of the file.
        prefix: The keys from the root of the file to the settings.
    """

    path: Path
    settings: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(repr=False)
    prefix: tuple[str, ...] = ()

    def where(self, *keys: str) -> str:
        """Return the file and the line of a setting; that of its table if the key is written in another way."""
        names = (*self.prefix, *keys)
        known = (self.lines[names[:count]] for count in range(len(names), 0, -1) if names[:count] in self.lines)
        return f"{self.path}:{next(known, 1)}"


def find_config(folder: Path) -> ConfigFile | None:
    """Return the first file with settings in a folder and its parents, or None.

    Raises:
        SourceError: A zoo.toml cannot be read.
        UsageError: A zoo.toml, or a pyproject.toml that names zoo, is of a stranger, or is no TOML file.
    """
    for parent in (folder, *folder.parents):
        for name in NAMES:
            path = parent / name
            if path.is_file() and (name != PYPROJECT or _names_zoo(path)):
                _check_owner(path, folder)
                config = read_config(path)
                if config.settings:
                    return config
    return None


def read_config(path: Path) -> ConfigFile:
    """Return the settings of a file, perhaps none.

    Raises:
        SourceError: The file does not exist, or cannot be read.
        UsageError: It is no TOML file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}; {WITHOUT}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deeply
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        at = re.search(r" \(at line (\d+), column (\d+)\)", reason)
        where, what = (f"{path}:{at[1]}:{at[2]}", reason.replace(at[0], "")) if at else (path, reason)
        raise UsageError(f"{where}: not a TOML file: {what}; {WITHOUT}") from None
    lines = _lines(text)
    tool = content.get("tool")
    table = tool.get("zoo") if isinstance(tool, dict) else None
    if table is None and path.name != PYPROJECT:
        own = {key: value for key, value in content.items() if key not in (*OTHER_TABLES, "tool")}
        return ConfigFile(path=path, settings=own, lines=lines)
    config = ConfigFile(
        path=path, settings=table if isinstance(table, dict) else {}, lines=lines, prefix=("tool", "zoo")
    )
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{config.where()}: tool.zoo must be a table: write [tool.zoo]")
    return config


def _check_owner(path: Path, folder: Path) -> None:
    """Raise UsageError for the file of a stranger. Without its settings a job could pass that has to fail."""
    if is_of_stranger(path, folder):
        raise UsageError(
            f"{path}: the file, or the link to it, belongs neither to you nor to the owner of the working folder."
            f" Anybody can put a file into a shared folder, so zoo does not read it unasked."
            f" `zoo --config {shlex.quote(str(path))} COMMAND` reads it; {WITHOUT}"
        )


def _names_zoo(path: Path) -> bool:
    """Return whether a pyproject.toml may have settings. One of another project may be unreadable or malformed."""
    try:
        return b"zoo" in (content := path.read_bytes()) and TOOL_ZOO.search(content) is not None
    except OSError:
        return False


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each table and key that is written alone on a line, the first of each."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.fullmatch(line):
            table = _keys(header[1])
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            lines.setdefault((*table, *_keys(key[1])), number)
    return lines


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in PART.findall(text))
