"""The command that writes recipes of model cards: recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.options import OUTPUT, WHAT, Json, argument, command, option
from zoo.cli.progress import report, session_of
from zoo.errors import SourceError, UsageError
from zoo.files import write_atomically
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from zoo.recipes.catalogue import Entry


@command
def recipe(
    model: Annotated[str, argument("MODEL", "OWNER/NAME or hf://OWNER/NAME of a model on the Hub.")],
    sources: SourceOptions,
    claim: Annotated[
        str | None,
        option(
            "--claim",
            "Only the recipe with claims on this data set, such as glue/mrpc, or a part of its name. Default: all.",
            WHAT,
            "DATASET",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            "--out",
            "Write to this new file, or several recipes into this folder. Default: standard output.",
            OUTPUT,
            "PATH",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the recipe by which zoo checks the claims of a model card.

    Its comments say what the card declares, and what zoo assumes or chooses. Claims that cannot be compared are listed
    with the reason.

    Example: zoo recipe textattack/bert-base-uncased-SST-2
    """
    entries = session_of(sources).select([model], [], False)
    chosen = _with_claims_on(claim, entries, model)
    texts = {entry.name: _text(entry) for entry in chosen}
    unmapped = [claim for entry in entries for claim in entry.unmapped]
    for each in unmapped:
        report(f"not compared: {each.claim.metric} on {each.claim.split}: {each.why}")
    data = {
        "recipes": [{"name": name, "text": text} for name, text in texts.items()],
        "not_compared": [
            {"reason": each.reason, "why": each.why, **render.claim_data(each.claim)} for each in unmapped
        ],
    }
    if out is not None:
        _write(texts, out)
    elif len(texts) > 1 and not as_json:
        names = ", ".join(texts)
        raise UsageError(f"{model} has claims on several data sets; write --out DIR, or --claim and one of: {names}")
    render.emit(data, "" if out else "".join(texts.values()).rstrip("\n"), as_json=as_json)


def _with_claims_on(data_set: str | None, entries: "Sequence[Entry]", model: str) -> "list[Entry]":
    """Return the entries whose name has the name of a data set; all without one."""
    wanted = (data_set or "").replace("/", "-").lower()
    found = [entry for entry in entries if wanted in entry.name.lower() or len(entries) == 1]
    if not found:
        names = ", ".join(entry.name for entry in entries)
        raise UsageError(f"--claim {data_set}: {model} has no claims on such a data set; its recipes are {names}")
    return found


def _text(entry: "Entry") -> str:
    """Return the text of a recipe. Raise the error of an entry that has none."""
    if entry.failure is not None:
        raise entry.failure
    return entry.path.read_text(encoding="utf-8")


def _write(texts: dict[str, str], out: Path) -> None:
    is_folder = len(texts) > 1 or out.is_dir()
    for name, text in texts.items():
        path = out / f"{name}.yaml" if is_folder else out
        if path.exists():
            raise UsageError(f"--out {path}: the file exists; name a new one")
        try:
            write_atomically(path, text)
        except OSError as error:
            raise SourceError(f"{path}: cannot write the recipe: {error.strerror or error}") from None
        report(f"written: {path}")
