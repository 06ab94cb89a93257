"""Logs of lm-evaluation-harness: `results_DATE.json` and a `samples_TASK_DATE.jsonl` for each task.

As lm_eval 0.4 writes them with `--log_samples` (`lm_eval/loggers/evaluation_tracker.py`, `lm_eval/evaluator.py`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.imported_logs.collect import combined
from harness.imported_logs.reading import (
    digest,
    existing,
    folders_with,
    group_of,
    identifier,
    mapping,
    number,
    part,
    read_lines,
    seconds_of,
    stated,
    text_of,
    type_of,
)
from harness.imported_logs.run_files import RunFiles
from harness.imported_logs.types import ImportedLog, Sample
from zoo.errors import UsageError

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_RESULTS = re.compile(r"(results|.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.json")


def read_log(path: Path, group_by: str) -> ImportedLog:
    """Return the log of a run of lm-evaluation-harness.

    Args:
        path: A file of samples, the file of results, or the folder with them.
        group_by: See `harness.imported_logs.reading.group_of`.

    Raises:
        UsageError: The files are no logs of one run.
        SourceError: A file cannot be read.
    """
    files = _files(path)
    data, collector = files.read_results(), files.collect(path, partial(_samples, group_by=group_by))
    findings: list[str] = []
    reported = {**_reported(data, "groups"), **_reported(data, "results")}
    scores = list(collector.scores(reported, findings, has_reported="results" in data))
    scores += combined(mapping(data.get("group_subtasks")), scores, reported, findings)
    config = mapping(data.get("config"))
    tasks = list(dict.fromkeys(of_task.task for of_task in scores))
    data_sets = {task: text_of(part(data, "configs", task, "dataset_path")) for task in tasks}
    return ImportedLog(
        tool="lm-eval", version=text_of(data.get("lm_eval_version")) or "unknown",
        model=text_of(data.get("model_name")) or text_of(config.get("model")) or "unknown",
        revision=text_of(config.get("model_sha")) or text_of(config.get("model_revision")),
        precision=type_of(config.get("model_dtype")),
        device=text_of(config.get("device")), created=number(data.get("date")) or 0.0,
        seconds=seconds_of(data.get("total_evaluation_time_seconds")),
        scores=tuple(scores), files=files.digests(),
        data_sets=stated(data_sets),
        subsets={task: _subset(mapping(part(data, "configs", task))) for task in tasks}, findings=tuple(findings),
        details=_details(data, tasks), packages=_packages(data),
    )  # fmt: skip


def _files(path: Path) -> RunFiles:
    """Return the files of one run."""
    folder = path if existing(path).is_dir() else path.parent
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [(file, _SAMPLES.fullmatch(file.name)) for file in found]
    samples = [(file, match["task"], match["date"]) for file, match in matches if match]
    if path.is_file():
        named = _SAMPLES.fullmatch(path.name) or _RESULTS.fullmatch(path.name)
        if named is None and path.suffix == ".jsonl":
            return RunFiles(samples={path.stem.removeprefix("samples_"): path}, results=None)
        if named is None:
            raise UsageError(f"{path}: not samples_TASK_DATE.jsonl or results_DATE.json of lm-evaluation-harness")
        is_one = "task" in named.groupdict()
        samples = [s for s in samples if s[2] == named["date"] and (not is_one or s[0] == path)]
    dates = sorted({date for _, _, date in samples})
    if not samples:
        inside = folders_with(folder, "samples_*.jsonl") or "; run lm_eval with --log_samples"
        raise UsageError(f"{path}: no file samples_TASK_DATE.jsonl{inside}")
    if len(dates) > 1:
        raise UsageError(f"{path}: {len(dates)} runs; name the file results_DATE.json of one")
    results = next(
        (f for f in found if (m := _RESULTS.fullmatch(f.name)) and m["date"] == dates[0] and f.suffix == ".json"), None
    )
    return RunFiles(samples={task: file for file, task, _ in samples}, results=results)


def _samples(task: str, file: Path, group_by: str) -> Iterator[tuple[Mapping[str, Any], Sample]]:
    for line, data in read_lines(file):
        where = f"{file}:{line}"
        names = data.get("metrics")
        document = identifier(data.get("doc_id"))
        if not isinstance(names, list) or not document:
            raise UsageError(f"{where}: no sample of lm-evaluation-harness: it has no 'doc_id' or no 'metrics'")
        filtered = text_of(data.get("filter")) or "none"
        metrics = {_named(str(name), filtered): data.get(str(name)) for name in names}
        fields = mapping(data.get("doc"))
        content = data.get("doc_hash"), data.get("target_hash")
        yield (
            metrics,
            Sample(
                document=document,
                content=digest(*content) if all(content) else digest(fields, data.get("target")),
                score=0.0,
                group=group_of(group_by, task=task, document=document, fields=fields, where=where),
            ),
        )


def _named(metric: str, filtered: str) -> str:
    return text_of(metric) if filtered == "none" else f"{text_of(metric)},{filtered}"


def _reported(data: Mapping[str, Any], part_: str) -> dict[tuple[str, str], float]:
    """Return the scores that the log states, such as that of `acc,none`."""
    found = {}
    for task, metrics in mapping(data.get(part_)).items():
        for name, value in mapping(metrics).items():
            metric, comma, filtered = name.partition(",")
            if comma and not metric.endswith("_stderr") and (score := number(value)) is not None:
                found[task, _named(metric, filtered)] = score
    return found


def _subset(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the split that a task scores, which is the validation split only if there is no test split."""
    split = text_of(config.get("test_split")) or text_of(config.get("validation_split"))
    return stated({"split": split, "config": text_of(config.get("dataset_name"))})


def _details(data: Mapping[str, Any], tasks: list[str]) -> dict[str, Any]:
    named = {"versions": "task_versions", "n-shot": "shots"}
    found = {
        ours: stated({task: text_of(part(data, theirs, task)) for task in tasks}) for theirs, ours in named.items()
    }
    texts = {name: text_of(data.get(name)) for name in ("git_hash", "chat_template_sha", "system_instruction_sha")}
    return stated({**found, **texts})


def _packages(data: Mapping[str, Any]) -> dict[str, str]:
    return stated({"transformers": text_of(data.get("transformers_version"))})
