"""The command that uploads a trained model to the Hub: upload."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_runs
from zoo.cli.judged_runs import Recipe, judged_by
from zoo.cli.options import OUTPUT, WHAT, Json, Records, argument, option
from zoo.cli.progress import report
from zoo.cli.verbosity import is_quiet
from zoo.errors import UsageError
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.publishing.published_recipe import PublishedRecipe
    from harness.publishing.upload import Sent
    from harness.records.record import Record
    from zoo.recipes.schema import Recipe as TrainedRecipe

ABSOLUTE = re.compile(r"[/~\\]|[A-Za-z]:[/\\]")
"""Begins a path that names folders of a machine."""


@command
def upload(
    run: Annotated[str, argument("RUN", "The folder of a training, or ENTRY:SEED.", complete_runs)],
    repo: Annotated[str, argument("OWNER/NAME", "The repository on the Hub. It is created if it does not exist.")],
    with_data: Annotated[
        bool | None,
        option(
            "--with-data/--without-data",
            "Whether to upload the data of this machine that the recipe reads. Others need them to verify the scores."
            " Without them, the predictions have the labels of the scored rows. Default: an error if there are any.",
            WHAT,
        ),
    ] = None,
    private: Annotated[
        bool, option("--private", "Create a private repository. Default: a public one.", OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        option(
            "--overwrite",
            "Replace files of the repository that differ; its history keeps them. Default: end with an error.",
            OUTPUT,
        ),
    ] = False,
    dry_run: Annotated[
        bool, option("--dry-run", "Send nothing; print the files and their sizes. Default: upload them.", OUTPUT)
    ] = False,
    recipe: Recipe = None,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Upload a trained model to the Hub, so that others can verify its scores.

    Uploads the weights, the model card, the record and its files, and zoo.yaml: the recipe with the scores as claims.
    Then `zoo verify OWNER/NAME` evaluates the uploaded weights, on any machine.

    Example: zoo upload mine OWNER/NAME --dry-run
    """
    from harness.publishing.hub_change import check_token
    from harness.publishing.local_data import Places
    from harness.publishing.published_recipe import published_recipe
    from harness.publishing.upload import plan_upload, send
    from zoo.fetch.source_types import HF, HUB, REPOSITORY, HubRepo

    name = repo.removeprefix(HF)
    if not REPOSITORY.fullmatch(name):
        raise UsageError(f"{repo}: write OWNER/NAME, the repository of a model, without an address and a revision")
    path, record, trained = _training(run, recipe, records)
    stated = recipe.absolute().parent if recipe is not None else None
    places = Places(record=record, folders=(path.parent, path.parent.parent, Path.cwd()), stated=stated)
    published = published_recipe(record, trained, places)
    _check_data(published, with_data)
    plan = plan_upload(path, record, published, HubRepo.parse(f"{HUB}{name}"), places if with_data else None)
    if not dry_run:
        check_token("an upload")
    with _bars_of_library():
        sent = None if dry_run else send(plan, private=private, overwrite=overwrite)
    sizes = plan.sizes
    words = [f"{word}@{sent.commit}" if word == name and sent else word for word in plan.verify]
    data = {
        "repository": name, "address": sent and sent.address, "commit": sent and sent.commit, "files": sizes,
        "sent": list(sent.files) if sent else [], "verify": words,
        "training_needs": list(published.training_needs), "left_out": list(published.left_out),
    }  # fmt: skip
    rows = [[name, f"{size:,}"] for name, size in sizes.items()]
    render.emit(data, render.table(["file", "bytes"], rows, flexible=(0,)) if dry_run else "", as_json=as_json)
    if not as_json:
        _report(published, record.recipe)
        _report_sent(sent, sizes)
        if sent is not None:
            report(f"next: {shlex.join(words)}")


def _training(run: str, recipe: Path | None, records: Path | None) -> "tuple[Path, Record, TrainedRecipe]":
    """Return the record file of a training, the record, and the recipe that was run with its claims."""
    judged = judged_by([run], recipe, records, None)
    (path, record), trained = judged.runs[0], judged.recipe
    if record.identity.mode != "retrain" or record.failure or trained is None:
        problem = record.failure or ("it is an evaluation" if trained is not None else "its recipe is not known")
        raise UsageError(f"{run} is no training that can be uploaded: {problem}")
    return path, record, trained


@contextmanager
def _bars_of_library() -> Iterator[None]:
    """Let huggingface_hub show the progress of large files, on a terminal only."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled() or (sys.stderr.isatty() and not is_quiet()):
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _report(recipe: "PublishedRecipe", trained: Mapping[str, Any]) -> None:
    """Report what the recipe lacks, and paths of this machine that are in published files."""
    from zoo.recipes.values import texts

    for path in dict.fromkeys(filter(ABSOLUTE.match, (text.removeprefix("file:") for text in texts(trained)))):
        report(f"note: recipe.yaml, record.json and README.md name the path {path} of this machine")
    for need in recipe.training_needs:
        report(
            f"note: zoo.yaml has no training, because others do not have {need}; the scores can be verified without it"
        )
    for score in recipe.left_out:
        report(f"note: {score} is no claim in zoo.yaml, because it is undefined or no fraction")


def _report_sent(sent: "Sent | None", sizes: Mapping[str, int]) -> None:
    names = sent.files if sent is not None and sent.files else tuple(sizes)
    total = f"{counted(len(names), 'file')}, {sum(sizes[name] for name in names) / 1e6:,.1f} MB"
    if sent is None:
        report(f"{total}; nothing was sent; leave out --dry-run to upload it")
    elif sent.files:
        report(f"uploaded {total} to {sent.address}")
    else:
        report(f"{sent.address} has these files already; nothing was sent")


def _check_data(recipe: "PublishedRecipe", with_data: bool | None) -> None:
    """Raise UsageError if the user has not said whether data of this machine are uploaded."""
    if with_data is None and recipe.data:
        listed = ", ".join(source.path for source in recipe.data.values())
        raise UsageError(
            f"the recipe reads {listed}; pass --with-data to upload it too, so that others can verify the scores, or"
            " --without-data to keep it"
        )
