"""Options and the question of commands that remove something from the disk."""

import re
import sys
from typing import Annotated

from zoo.cli.options import HOW, OUTPUT, WHAT, option
from zoo.errors import UsageError

DAYS = re.compile(r"(\d{1,6})\s*(d|h|w)?")
HOURS = {"h": 1, "d": 24, "w": 7 * 24, None: 24}
OlderThan = Annotated[
    str | None,
    option("--older-than", "Only what is older than this, such as 30d, 12h or 2w. Default: any age.", WHAT, "AGE"),
]
Yes = Annotated[bool, option("--yes", "Do not ask. Default: ask before anything is removed.", HOW)]
RemovalDryRun = Annotated[
    bool, option("--dry-run", "Print what would be removed, and remove nothing. Default: remove it.", OUTPUT)
]


def seconds_of(text: str, name: str) -> float:
    """Return the seconds of an age such as `30d`. Raise UsageError, with the name of the option, for another text."""
    found = DAYS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{name} {text}: write a number of days, hours or weeks, such as 30d, 12h or 2w")
    return int(found[1]) * HOURS[found[2]] * 3600.0


def confirmed(question: str, *, yes: bool, as_json: bool = False) -> bool:
    """Ask on the terminal and return the answer. Raise UsageError if nobody can answer and --yes is not passed."""
    if yes:
        return True
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can answer here; pass --yes, or --dry-run to see what would be removed")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
