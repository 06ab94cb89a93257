"""The command that publishes a run's scores: publish."""

import difflib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_runs
from zoo.cli.judged_runs import RUN_HELP, Recipe, judged_by, write_text
from zoo.cli.options import OUTPUT, WHAT, Json, Lock, Records, argument, option
from zoo.cli.progress import report
from zoo.errors import SourceError, UsageError
from zoo.text_tables import counted

if TYPE_CHECKING:
    from harness.publishing.scores import PublishedScore
    from harness.records.record import Record
    from zoo.fetch.source_types import HubRepo


class Target(StrEnum):
    """Where results can be published."""

    MODEL_INDEX = "model-index"
    EVAL_RESULTS = "eval-results"
    EVERY_EVAL_EVER = "every-eval-ever"
    HUB_PR = "hub-pr"


Texts = Mapping[str, tuple[str, str]]
"""Path of a file -> its present text and the new one."""


@command
def publish(
    run: Annotated[str, argument("RECORD", f"{RUN_HELP}.", complete_runs)],
    to: Annotated[
        Target,
        option(
            "--to",
            "model-index: results in a model card. eval-results: a file of .eval_results. every-eval-ever: a record and"
            " a line for each example. hub-pr: the card on the Hub, by a pull request. To upload a whole model:"
            " `zoo upload`.",
            WHAT,
            "FORMAT",
        ),
    ],
    source: Annotated[
        str | None,
        option(
            "--source",
            "The address where readers find the record or its attestation. Required unless --to is every-eval-ever.",
            WHAT,
            "URL",
        ),
    ] = None,
    split: Annotated[
        str | None, option("--split", "Only the scores on this split. Default: all splits.", WHAT, "SPLIT")
    ] = None,
    metric: Annotated[str | None, option("--metric", "Only this metric. Default: all metrics.", WHAT, "METRIC")] = None,
    recipe: Recipe = None,
    repo: Annotated[
        str | None,
        option("--repo", "For hub-pr, the model's repository. Default: that of the weights.", WHAT, "OWNER/NAME"),
    ] = None,
    card: Annotated[
        Path | None,
        option(
            "--card",
            "For model-index, write the results into this model card. Default: print the difference only.",
            OUTPUT,
            "FILE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            "--out",
            "Write to this file; for every-eval-ever, to this folder. Default: only print the difference.",
            OUTPUT,
            "PATH",
        ),
    ] = None,
    create_pr: Annotated[
        bool,
        option("--create-pr", "For hub-pr, create the pull request. Default: only print the difference.", OUTPUT),
    ] = False,
    dry_run: Annotated[
        bool, option("--dry-run", "Write nothing; print the difference. Default: write with --card or --out.", OUTPUT)
    ] = False,
    records: Records = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Publish the scores of a run where others read them, with their verdict.

    Prints what would change. Results of other sources are never changed; publishing again replaces only what zoo wrote
    for the same rows.

    Example: zoo publish digits-resnet8:weights --to every-eval-ever
    """
    from harness.publishing.scores import only, published_scores

    _check(to, source, card, repo, create_pr=create_pr)
    judged = judged_by([run], recipe, records, lock)
    scores = only(published_scores(judged), split, metric)
    path, record = judged.runs[0]
    if to is Target.HUB_PR:
        _propose(scores, record, source or "", repo, create_pr=create_pr, dry_run=dry_run, as_json=as_json)
        return
    texts = _texts(to, path, scores, source or "", card, out)
    changed = [name for name, (before, after) in texts.items() if before != after]
    writes = (card is not None or out is not None) and not dry_run and bool(changed)
    for name in changed if writes else ():
        write_text(Path(name), texts[name][1])
    data = {"to": to.value, "written": writes, "files": {name: new for name, (_, new) in texts.items()}}
    render.emit(data, _difference(texts), as_json=as_json)
    if not as_json:
        step = "leave out --dry-run" if dry_run and (card or out) else "pass --out PATH"
        done = [f"wrote {name}" if name in changed else f"unchanged: {name}" for name in texts]
        report("\n".join(done) if writes or not changed else f"nothing was written; {step} to write it")


def _check(to: Target, source: str | None, card: Path | None, repo: str | None, *, create_pr: bool) -> None:
    if to is not Target.EVERY_EVAL_EVER and source is None:
        raise UsageError(f"--to {to} requires --source URL: where readers find the record or its attestation")
    if source is not None and not source.startswith(("https://", "http://")):
        raise UsageError(f"--source {source}: not the address of a web page")
    if card is not None and to is not Target.MODEL_INDEX:
        raise UsageError(f"--card is for --to {Target.MODEL_INDEX}")
    if (repo is not None or create_pr) and to is not Target.HUB_PR:
        raise UsageError(f"--repo and --create-pr are for --to {Target.HUB_PR}")


def _texts(
    to: Target, path: Path, scores: "Sequence[PublishedScore]", source: str, card: Path | None, out: Path | None
) -> Texts:
    """Return the files to write."""
    from harness.publishing import eval_results, every_eval_ever, model_index
    from harness.records.recorded_entry import model_of

    if to is Target.EVERY_EVAL_EVER:
        folder = out or Path()
        files = every_eval_ever.files_of(path, scores)
        return {str(folder / name): (_read(folder / name), text) for name, text in files.items()}
    if to is Target.EVAL_RESULTS:
        file = out or Path(eval_results.file_name(scores))
        before = _read(file)
        return {
            str(file): (before, eval_results.with_entries(before, eval_results.entries_of(scores, source), str(file)))
        }
    blocks, name = model_index.result_blocks(scores, source), _model_name(scores[0].record, None)
    if card is not None and not card.is_file():
        raise SourceError(f"{card}: no such file; --out {card} writes one")
    before = _read(card) if card is not None else ""
    is_own_card = model_of(scores[0].record) is not None
    after = model_index.with_results(before, name, blocks, str(card or "the card"), is_own_card=is_own_card)
    target = out or card or Path("README.md")
    return {str(target): (before if target == card else _read(target) if out else "", after)}


def _propose(
    scores: "Sequence[PublishedScore]",
    record: "Record",
    source: str,
    repo: str | None,
    *,
    create_pr: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show how the card on the Hub would change, and create the pull request if it is requested."""
    from harness.publishing import hub_card, model_index
    from zoo.fetch.card_files import CARD

    repository = _repository(record, repo)
    card = hub_card.read_card(repository)
    blocks = model_index.result_blocks(scores, source)
    where = f"{repository.name}/{CARD}"
    model = _model_name(record, str(repository.name))
    after = model_index.with_results(card.text, model, blocks, where, is_own_card=True)
    sends = create_pr and not dry_run and after != card.text
    address = hub_card.create_pull_request(card, after) if sends else None
    texts = {where: (card.text, after)}
    data = {"to": Target.HUB_PR.value, "repository": repository.name, "commit": card.commit, "pull_request": address}
    render.emit({**data, "files": {where: after}}, _difference(texts), as_json=as_json)
    if as_json:
        return
    if after == card.text:
        report("the card has these results already")
    else:
        step = "leave out --dry-run" if create_pr else "pass --create-pr"
        report(f"created {address}" if address else f"nothing was sent; {step} to create the pull request")


def _repository(record: "Record", repo: str | None) -> "HubRepo":
    from harness.records.recorded_entry import model_of
    from zoo.fetch.source_types import HUB, HubRepo

    found = HubRepo.parse(f"{HUB}{repo}") if repo is not None else model_of(record)
    if found is None:
        raise UsageError(f"the weights of {record.entry} are in no repository of the Hub; pass --repo OWNER/NAME")
    return found


def _model_name(record: "Record", repository: str | None) -> str:
    from harness.publishing.model_index import model_name
    from harness.records.recorded_entry import model_of

    found = model_of(record)
    return model_name(record.entry, repository or (str(found.name) if found else None))


def _read(path: Path) -> str:
    """Return the text of a file; an empty text if there is none."""
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else ""
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text in UTF-8") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _difference(texts: Texts) -> str:
    """Return a unified diff of all files, but only the number of lines of a file with a line for each example."""
    lines: list[str] = []
    for name, (before, after) in texts.items():
        if name.endswith(".jsonl"):
            is_new = "" if after != before else ", as before"
            lines.append(f"{counted(len(after.splitlines()), 'line')} in {name}{is_new}")
            continue
        old, new = before.splitlines(), after.splitlines()
        lines += difflib.unified_diff(old, new, f"a/{name}" if before else "/dev/null", f"b/{name}", lineterm="")
    return "\n".join(lines)
