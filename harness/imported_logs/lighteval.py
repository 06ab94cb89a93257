"""Logs of lighteval: `details_TASK_DATE.parquet` for each task, and `results_DATE.json` beside the folder `details`.

As lighteval 0.11 to 0.13 write them with `--save-details` (`lighteval/logging/evaluation_tracker.py`).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.imported_logs.reading import MAX_BYTES as MAX_FILE
from harness.imported_logs.reading import (
    MAX_SAMPLES,
    check_size,
    digest,
    existing,
    folders_with,
    group_of,
    identifier,
    mapping,
    number,
    part,
    seconds_of,
    stated,
    text_of,
    type_of,
)
from harness.imported_logs.run_files import RunFiles
from harness.imported_logs.types import ImportedLog, Sample
from zoo.errors import UsageError, first_line
from zoo.tasks.parquet import read_table

_DETAILS = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.parquet")
_RESULTS = re.compile(r"results_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.json")


def read_log(path: Path, group_by: str) -> ImportedLog:
    """Return the log of a run of lighteval.

    Args:
        path: A file of details, the folder of one run with them, or the file of results.
        group_by: See `harness.imported_logs.reading.group_of`.

    Raises:
        UsageError: The files are no logs of one run.
        SourceError: A file cannot be read, or would fill the memory.
    """
    files = _files(path)
    data, collector = files.read_results(), files.collect(path, partial(_samples, group_by=group_by))
    findings: list[str] = []
    scores = tuple(collector.scores(_reported(data), findings, has_reported="results" in data))
    general = mapping(data.get("config_general"))
    config = mapping(general.get("model_config"))
    configs = {task: mapping(part(data, "config_tasks", task)) for task in files.samples}
    return ImportedLog(
        tool="lighteval", version=_version(general),
        model=text_of(general.get("model_name")) or text_of(config.get("model_name")) or "unknown",
        revision=text_of(config.get("revision")), precision=type_of(config.get("dtype")),
        device=text_of(config.get("device")), created=_created(next(iter(files.samples.values())).name),
        seconds=seconds_of(general.get("total_evaluation_time_secondes")),
        scores=scores, files=files.digests(),
        data_sets=stated({task: text_of(of_task.get("hf_repo")) for task, of_task in configs.items()}),
        subsets={task: _subset(of_task) for task, of_task in configs.items()},
        findings=tuple(findings),
    )  # fmt: skip


def _subset(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the split that a task scores, if it is one, and the configuration of its data set."""
    splits = config.get("evaluation_splits")
    split = text_of(splits[0]) if isinstance(splits, list) and len(splits) == 1 else ""
    return stated({"split": split, "config": text_of(config.get("hf_subset"))})


def _files(path: Path) -> RunFiles:
    """Return the files of one run: those of details have its samples."""
    named = _DETAILS.fullmatch(existing(path).name)
    if path.is_file() and named is not None:
        return RunFiles(samples={named["task"]: path}, results=_results_of(path.parent, named["date"]))
    folder, results = path, None
    if path.is_file():
        if (match := _RESULTS.fullmatch(path.name)) is None:
            raise UsageError(f"{path}: not details_TASK_DATE.parquet or results_DATE.json of lighteval")
        parts = ["details" if part_ == "results" else part_ for part_ in path.parent.parts]
        folder, results = Path(*parts) / match["date"], path
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [(file, match) for file in found if (match := _DETAILS.fullmatch(file.name))]
    if not matches:
        inside = folders_with(folder, "details_*.parquet") or "; run lighteval with --save-details"
        raise UsageError(f"{folder}: no file details_TASK_DATE.parquet{inside}")
    if len(dates := {match["date"] for _, match in matches}) > 1:
        raise UsageError(f"{folder}: {len(dates)} runs; name one file, or the folder of one run")
    results = results or _results_of(folder, next(iter(dates)))
    return RunFiles(samples={match["task"]: file for file, match in matches}, results=results)


def _results_of(folder: Path, date: str) -> Path | None:
    """Return the file of results of a folder `OUT/details/MODEL/DATE`, or one beside the details."""
    parts = folder.absolute().parts
    moved = Path(*("results" if name == "details" else name for name in parts[:-1]))
    candidates = [folder / f"results_{date}.json", moved / f"results_{date}.json"]
    return next((file for file in candidates if file.is_file()), None)


def _samples(task: str, file: Path, group_by: str) -> Iterator[tuple[Mapping[str, Any], Sample]]:
    for row, data in enumerate(_rows(file)):
        where = f"{file}, row {row}"
        doc, metrics = data.get("doc"), data.get("metric")
        if not isinstance(doc, dict) or not isinstance(metrics, dict):
            raise UsageError(f"{where}: no details of lighteval: it has no 'doc' or no 'metric'")
        document = identifier(doc.get("id")) or str(row)
        fields = {**mapping(doc.get("specific")), **doc}
        query = doc.get("original_query") or doc.get("query")
        yield (
            {text_of(name): value for name, value in metrics.items() if value is not None},
            Sample(
                document=document,
                content=digest(query, doc.get("choices"), doc.get("gold_index")),
                score=0.0,
                group=group_of(group_by, task=task, document=document, fields=fields, where=where),
            ),
        )


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the columns `doc` and `metric` of each row, a batch at a time."""
    check_size(file, MAX_FILE)
    try:
        table = read_table(file)
        if table.num_rows > MAX_SAMPLES:
            raise UsageError(f"{file}: more than {MAX_SAMPLES:,} rows")
        chosen = table.select([name for name in ("doc", "metric") if name in table.column_names])
        for batch in chosen.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file}: cannot be read as parquet: {first_line(error)}") from None


def _reported(data: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (task, text_of(name)): score
        for task, metrics in mapping(data.get("results")).items()
        for name, value in mapping(metrics).items()
        if not name.endswith("_stderr") and (score := number(value)) is not None
    }


def _version(general: Mapping[str, Any]) -> str:
    sha = text_of(general.get("lighteval_sha"))
    return "unknown" if sha in ("", "?") else sha


def _created(name: str) -> float:
    """Return the time in the name of a file, in which colons are hyphens; 0 if it is none."""
    match = re.search(r"_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)", name)
    try:
        text = f"{match[1]}T{match[2]}:{match[3]}:{match[4]}+00:00" if match else ""
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
