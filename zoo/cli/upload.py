"""The command that uploads a trained model to the Hub: upload."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.completion import complete_runs
from zoo.cli.judged_runs import Recipe, judged_by
from zoo.cli.options import OUTPUT, WHAT, Json, Records, argument, command, option
from zoo.cli.progress import report
from zoo.errors import UsageError
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.publishing.published_recipe import PublishedRecipe


@command
def upload(
    run: Annotated[str, argument("RUN", "The folder of a training, or ENTRY:SEED.", complete_runs)],
    repo: Annotated[str, argument("OWNER/NAME", "The repository on the Hub. It is created if it does not exist.")],
    with_data: Annotated[
        bool | None,
        option(
            "--with-data/--without-data",
            "Whether to upload the data of this machine that the recipe reads. Others need them to verify the scores."
            " Required if there are any.",
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
    from huggingface_hub import get_token

    from harness.publishing.published_recipe import published_recipe
    from harness.publishing.upload import plan_upload, send
    from zoo.fetch.source_types import HF, HUB, HubRepo

    target = HubRepo.parse(f"{HUB}{repo.removeprefix(HF)}")
    if target.kind != "model" or target.revision is not None:
        raise UsageError(f"{repo}: name the repository of a model without a revision: OWNER/NAME")
    judged = judged_by([run], recipe, records, None)
    (path, record), known = judged.runs[0], judged.recipe
    if record.identity.mode != "retrain" or record.failure or known is None:
        problem = record.failure or ("it is an evaluation" if known is not None else "its recipe is not known")
        raise UsageError(f"{run} is no training that can be uploaded: {problem}")
    beside = [recipe.parent] if recipe is not None else []
    published = published_recipe(record, known, [*beside, path.parent, path.parent.parent, Path.cwd()])
    _check_data(published, with_data)
    plan = plan_upload(path, record, published, target, with_data=bool(with_data))
    sizes = plan.sizes
    if not dry_run and not get_token():
        raise UsageError("an upload needs a token that may write to the Hub: set HF_TOKEN, or run: hf auth login")
    address, sent = (None, ()) if dry_run else send(plan, private=private, overwrite=overwrite)
    data = {"repository": target.name, "address": address, "files": sizes, "sent": list(sent)}
    rows = [[name, f"{size:,}"] for name, size in sizes.items()]
    render.emit(data, render.table(["file", "bytes"], rows, flexible=(0,)) if dry_run else "", as_json=as_json)
    if as_json:
        return
    for need in published.training_needs:
        report(f"zoo.yaml has no training, because others do not have {need}; the scores can be verified without it")
    total = f"{counted(len(names := sent or sizes), 'file')}, {sum(sizes[name] for name in names) / 1e6:,.1f} MB"
    if dry_run:
        report(f"{total}; nothing was sent; leave out --dry-run to upload it")
    else:
        report(f"uploaded {total} to {address}" if sent else f"{address} has these files already; nothing was sent")
        report(f"next: zoo verify {target.name}")


def _check_data(recipe: "PublishedRecipe", with_data: bool | None) -> None:
    """Raise UsageError if the user has not said whether data of this machine are uploaded."""
    if with_data is None and recipe.data:
        listed = ", ".join(map(str, recipe.data.values()))
        raise UsageError(
            f"the recipe reads {listed}; pass --with-data to upload it too, so that others can verify the scores, or"
            " --without-data to keep it"
        )
