"""The model card of an uploaded training: it says how to verify the scores."""

import re
import shlex
from collections.abc import Collection, Sequence

from harness.runs.model_card import MISSING, REPRODUCTION
from zoo.safe_text import in_code

VERIFICATION = "## How to verify it"


def verifiable_card(card: str, command: Sequence[str], published: Collection[str]) -> str:
    """Return the card of a run for the repository that it is published in: it says how to verify the scores.

    Args:
        card: The text of the card. The author may have changed it.
        command: The command that verifies them.
        published: The paths of files of the recipe that are in the repository too, as the card lists them.
    """
    for name in published:
        card = card.replace(f"\n- `{in_code(name)}`\n", "\n", 1)
    card = re.sub(rf"{re.escape(MISSING)}\n\n+(?!- )", "", card)
    if VERIFICATION in card:
        return card
    note = "\n`PATH` is the place of the file or folder on your machine.\n" if "--data" in command else ""
    section = f"{VERIFICATION}\n\n```sh\n{shlex.join(command)}\n```\n{note}\n"
    before, found, after = card.partition(f"{REPRODUCTION}\n")
    return f"{before}{section}{found}{after}" if found else f"{card.rstrip()}\n\n{section.rstrip()}\n"
