"""The command that writes recipes of model cards: recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.claims.claim_names import recipes_list, with_claim
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.options import OUTPUT, CardClaim, Json, argument, option
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
    claim: CardClaim = None,
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
    entries = session_of(sources).entries.select([model], [], False)
    chosen = entries if claim is None else with_claim(entries, claim, model)
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
        raise UsageError(
            f"{model} has {len(texts)} recipes; write all with --out PATH, or one with --claim: {recipes_list(chosen)}"
        )
    render.emit(data, "" if out else "".join(texts.values()).rstrip("\n"), as_json=as_json)


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
