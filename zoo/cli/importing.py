"""The commands of `zoo import`, which turn the configurations of other tools into recipes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import end
from zoo.cli.options import HOW, OUTPUT, Json, argument, option
from zoo.cli.progress import report, session_of
from zoo.errors import RecipeError, SourceError, UsageError
from zoo.files import write_atomically
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from harness.import_proof.stage_proof import StageProof
    from zoo.importers.outcome import ImportedRecipe

Config = Annotated[Path, argument("CONFIG", "The configuration, a YAML file.")]
Out = Annotated[
    Path | None,
    option("--out", "Write the recipe to this new file, and name it like the file. Default: standard output.", OUTPUT,
           "FILE"),
]  # fmt: skip
Prove = Annotated[
    bool,
    option(
        "--prove",
        "Build torchdistill's own box from the configuration, and compare its loss with that of the recipe on one made"
        " batch with equal random weights. This runs torchdistill, with names of torchdistill, torch, torchvision and"
        " transformers alone. Exit code 1 if a loss differs for no stated reason. Default: off.",
        HOW,
    ),
]


Arguments = Annotated[
    str,
    argument("ARGS", "The file args.yaml that timm's train.py writes, or OWNER/NAME or OWNER/NAME@REVISION of a model"
             " on the Hub with such a file or train_hparams.yaml."),
]  # fmt: skip
Card = Annotated[
    str,
    argument("CARD", "The README.md that the Trainer of transformers writes, beside its config.json, or OWNER/NAME or"
             " OWNER/NAME@REVISION of a model on the Hub."),
]  # fmt: skip


@command
def torchdistill(
    config: Config,
    processes: Annotated[
        int,
        option("--processes", "How many processes torchdistill ran: its batch sizes are per process. Default: 1.", HOW,
               "N", min=1),
    ] = 1,
    adjust_lr: Annotated[
        bool,
        option("--adjust-lr", "torchdistill ran with -adjust_lr: multiply learning rates by --processes. Default: off.",
               HOW),
    ] = False,
    prove: Prove = False,
    out: Out = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Turn a configuration of torchdistill into a recipe, without running any of it.

    Both formats are read: that of version 1 and the older one. The comments of the recipe say what is assumed, and
    where the training differs. Every part that zoo cannot convert is reported as FILE:LINE:COLUMN; then no
    recipe is written, and the exit code is 2.

    Example: zoo import torchdistill resnet20.yaml --out resnet20-recipe.yaml
    """
    from zoo.importers.torchdistill.convert import import_config
    from zoo.importers.torchdistill.optimization import Invocation

    _check_target(out)
    name = out.stem if out is not None else None
    imported = import_config(config, Invocation(processes=processes, adjust_lr=adjust_lr), name)
    _finish(imported, out, _proofs(config) if prove else [], as_json=as_json)


def _proofs(config: Path) -> list["StageProof"]:
    """Return the losses of both tools for every stage, and report them."""
    from harness.import_proof.torchdistill_proof import prove

    proofs = prove(config)
    for proof in proofs:
        numbers = "; ".join(f"{name} {ours:.12g} and {theirs:.12g}" for name, (ours, theirs) in proof.losses.items())
        why = f" ({proof.differs_by_design})" if proof.differs_by_design else ""
        losses = f"; losses of zoo and torchdistill: {numbers}" if numbers else ""
        report(f"stage {proof.stage}: {proof.verdict}{why}{losses}")
    return proofs


def _check_target(out: Path | None) -> None:
    if out is not None and out.exists():
        raise UsageError(f"--out {out}: the file exists; name a new one")


def _finish(imported: "ImportedRecipe", out: Path | None, proofs: list["StageProof"], *, as_json: bool) -> None:
    """Check the recipe, then write or print it, and report what was assumed and what differs."""
    from zoo.importers.check import check_imported
    from zoo.importers.recipe_text import text_of

    try:
        check_imported(imported)
    except RecipeError as error:
        problems = "\n".join(problem.message for problem in error.problems)
        raise UsageError(f"{imported.source}: the recipe that it becomes has problems:\n{problems}") from None
    text = text_of(imported)
    if out is not None:
        _write(text, out)
    for note in (*imported.assumptions, *imported.differences) if out is not None else ():
        report(f"note: {note}")
    render.emit(
        {**_data(imported, text, out), "proof": _proof_data(proofs)},
        "" if out is not None else text.rstrip("\n"),
        as_json=as_json,
    )
    end([1] if any(proof.verdict == "differs" for proof in proofs) else [])


def _proof_data(proofs: list["StageProof"]) -> list[dict[str, Any]]:
    return [
        {"stage": proof.stage, "verdict": proof.verdict, "why": proof.differs_by_design,
         "losses": {name: {"zoo": ours, "torchdistill": theirs} for name, (ours, theirs) in proof.losses.items()}}
        for proof in proofs
    ]  # fmt: skip


def _write(text: str, out: Path) -> None:
    try:
        write_atomically(out, text)
    except OSError as error:
        raise SourceError(f"{out}: cannot write the recipe: {error.strerror or error}") from None
    report(f"written: {out}; check it with: zoo check {out}")


def _data(imported: "ImportedRecipe", text: str, out: Path | None) -> dict[str, Any]:
    return {
        "tool": imported.tool, "config": imported.source, "name": imported.name, "recipe": imported.recipe,
        "assumptions": list(imported.assumptions), "differences": list(imported.differences), "text": text,
        "path": None if out is None else str(out),
    }  # fmt: skip


@command
def timm(
    arguments: Arguments,
    sources: SourceOptions,
    processes: Annotated[
        int | None,
        option("--processes", "How many processes timm ran: its batch size is per process. Default: 1.", HOW, "N",
               min=1),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Turn the options of a training by timm into a recipe.

    The comments of the recipe say what is assumed, and where the training differs. Options that zoo cannot convert,
    such as mixup, are reported as FILE:LINE:COLUMN; then no recipe is written, and the exit code is 2.

    Example: zoo import timm args.yaml --out resnet18.yaml
    """
    from zoo.importers.timm.convert import import_timm

    _check_target(out)
    imported = import_timm(arguments, session_of(sources).fetcher(arguments), processes, _stem(out))
    _finish(imported, out, [], as_json=as_json)


@command
def trainer(card: Card, sources: SourceOptions, out: Out = None, as_json: Json = False) -> None:
    """Turn a model card of the Trainer of transformers into a recipe that trains the model again and judges it.

    Read are the list of hyperparameters, the base model, and the data set and scores of the model-index. The Trainer's
    defaults stand for what the card does not say; the comments of the recipe name them. Every part that zoo cannot
    convert is reported as FILE:LINE:COLUMN; then no recipe is written, and the exit code is 2.

    Example: zoo import trainer README.md --out mrpc.yaml
    """
    from zoo.importers.trainer.convert import import_card

    _check_target(out)
    imported = import_card(card, session_of(sources).fetcher(card), _stem(out))
    _finish(imported, out, [], as_json=as_json)


def _stem(out: Path | None) -> str | None:
    """Return the name of a recipe by the file that it is written to."""
    return None if out is None else out.stem
