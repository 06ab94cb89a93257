"""Commands that train and evaluate your own models: train, evaluate."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from zoo import paths
from zoo.api.train_entry import evaluate_entry, train_entry
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_entries
from zoo.cli.imported_logs import GroupBy, LogClaims, LogFolder, LogTool, import_log
from zoo.cli.next_steps import after_training, next_training
from zoo.cli.options import OUTPUT, WHAT, JsonOrLines, OneEntry, Records, argument, option
from zoo.cli.progress import session_of
from zoo.cli.training_text import notes, training_text
from zoo.cli.verbosity import is_quiet
from zoo.errors import UsageError
from zoo.recipes.options import EvaluationOptions, SourceOptions, TrainingOptions
from zoo.text_tables import number


@command
def train(
    recipe: OneEntry,
    options: TrainingOptions,
    sources: SourceOptions,
    seed: Annotated[int, option("--seed", "The seed of the training. Default: 0.", WHAT, "N", min=0)] = 0,
    out: Annotated[
        Path | None,
        option(
            "--out", "Write the run to this new folder. Default: a folder in the folder of your runs.", OUTPUT, "DIR"
        ),
    ] = None,
    as_json: JsonOrLines = False,
) -> None:
    """Train a recipe once and evaluate the result.

    Writes weights, training log, predictions, record and model card into one folder. If it is interrupted, the same
    command resumes from the last checkpoint. If the run exists, its scores are printed and nothing is trained.

    Example: zoo train mine.yaml --out mine
    """
    session = session_of(sources)
    chosen = session.entries.select_to_train(
        recipe, lambda entry, last: next_training(entry, options, sources, seed=last, out=None)
    )
    result = train_entry(session, chosen, options, seed=seed, out=out)
    following = next_training(chosen, options, sources, seed=seed, out=out) if result.existed else None
    data = {
        "entry": result.entry, "seed": seed, "results": _by_split(result.scores), "findings": list(result.findings),
        "record": str(result.record), "created": result.created, "existed": result.existed,
        "next_step": following,
    }  # fmt: skip
    after = [following] if following else after_training(chosen, result.record.parent, options, sources)
    render.emit(data, "\n".join(training_text(result, [] if is_quiet() else after)), as_json=as_json)


@command
def evaluate(
    path: Annotated[
        Path,
        argument(
            "PATH",
            "Weights (.safetensors, .pt, or a folder of 'zoo train') or predictions (.csv, .tsv, .jsonl, .json, "
            ".parquet, .npz); with --from, a log.",
        ),
    ],
    options: EvaluationOptions,
    sources: SourceOptions,
    entry: Annotated[
        str | None,
        option(
            "--as",
            "Use the task and the model of this entry. Required unless --from is used.",
            WHAT,
            "ENTRY",
            autocompletion=complete_entries,
        ),
    ] = None,
    split: Annotated[
        str | None,
        option(
            "--split", "The split of a predictions file. Default: the first scored split of the task.", WHAT, "SPLIT"
        ),
    ] = None,
    tool: LogTool = None,
    group_by: GroupBy = None,
    claim: LogClaims = None,
    out: LogFolder = None,
    records: Records = None,
    as_json: JsonOrLines = False,
) -> None:
    """Score your own weights or predictions on an entry's task, or import the log of another tool.

    The entry's claims are shown beside your scores; they are not judged. A predictions file has a column
    'prediction' in the order of the split, or in any order with a column 'id' that counts from 0. A prediction is the
    name of a class, or its number if no class is called like a number; for tags of words it is a list of them. Answers
    to questions have the ids of the questions, as in SQuAD's predictions.json. Detections and segmentations cannot be
    read from a file. With --from, the log of another evaluation tool becomes a run, which 'zoo diff' compares.

    Example: zoo evaluate mine --as digits-resnet8
    """
    if tool is not None:
        if entry is not None or split is not None:
            raise UsageError("--from reads a log, which has its own tasks; leave out --as and --split")
        import_log(path, tool, group_by, claim or [], out, paths.runs(records), as_json=as_json)
        return
    if group_by is not None or claim or out is not None or records is not None:
        raise UsageError("--group-by, --claim, --out and --records are for logs; pass --from TOOL")
    if entry is None:
        raise UsageError("pass --as ENTRY, whose task is scored, or --from TOOL for a log of another tool")
    session = session_of(sources)
    result = evaluate_entry(session, session.entries.select_one(entry), options, path, split)
    results = [
        {"split": s.split, "metric": s.metric, "n": s.n, "measured": s.value, "claimed": s.claimed, **_subset(s)}
        for s in result.scores
    ]
    rows = [
        [s.split, s.metric, number(s.value, s.decimals), number(s.claimed, s.decimals), s.examples]
        for s in result.scores
    ]
    table = render.table(["split", "metric", "measured", "claimed", "n"], rows)
    text = "\n".join([table, *notes(result.findings)])
    data = {"entry": result.entry, "path": str(path), "results": results, "findings": list(result.findings)}
    render.emit(data, text, as_json=as_json)


def _by_split(scores: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the JSON of the scores of a training: one object for each split and epoch."""
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for score in scores:
        result = {"split": score.split, "n": score.n, "selection": score.epoch, **_subset(score), "metrics": {}}
        results.setdefault((score.split, score.epoch), result)["metrics"][score.metric] = score.value
    return list(results.values())


def _subset(score: Any) -> dict[str, str]:
    """Return which rows were scored, for the JSON of a score; nothing for a whole split."""
    return {"subset": score.subset} if score.subset else {}
