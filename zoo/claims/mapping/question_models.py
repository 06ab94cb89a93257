"""Claims of question answering: SQuAD, and data sets with its columns."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.claims.mapping.data_card import DataConfig
from zoo.claims.mapping.model_facts import ModelFacts, max_length_of, require_tokenizer, require_weights
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources

QUESTION_ANSWERER = "ForQuestionAnswering"
"""The end of the names of such architectures in transformers."""
TASK = "question-answering"
COLUMNS = ("question", "context", "answers")
METRICS = {"exact_match": "exact_match", "f1": "answer_f1"}
"""Metric as `read_metric` names it -> ours."""
_OF_OFFICIAL_SCRIPT = {
    "bestf1": "best_answer_f1", "bestexact": "best_exact_match", "bestexactmatch": "best_exact_match",
    "hasansf1": "has_answer_f1", "hasansexact": "has_answer_exact_match", "noansf1": "no_answer_accuracy",
    "noansexact": "no_answer_accuracy",
}  # fmt: skip
"""Metric of the official script of SQuAD 2.0, without separators -> ours. The two of "no answer" are always equal."""
_PREFIXES = re.compile(r"^(eval|test|validation|val|dev|squad|v2)+")
LENGTH, STRIDE = 384, 128
"""The defaults of the example of transformers, by which most such scores were computed."""
VERSION_2 = ("squad_v2", "squadv2", "squad-v2", "squad2")
"""Names of data sets some of whose questions have no answer."""


def question_facts(
    repo: HubRepo, settings: Mapping[str, Any], names: Sequence[str], sources: Sources, folder: Path
) -> ModelFacts:
    """Return the facts about a model for question answering. Arguments and errors are those of `text_facts`."""
    require_weights(names)
    require_tokenizer(names)
    limit, _ = max_length_of(repo, settings, names, sources, folder)
    source = "the default of the example of transformers" if limit >= LENGTH else "all that the model reads"
    return ModelFacts(
        repo=repo, inputs="question", outputs=2, kind="answers", classes=(),
        model={"use": "question_answerer", "init": str(repo)}, max_length=min(limit, LENGTH), length_source=source,
    )  # fmt: skip


def squad_2_metric(name: str) -> str:
    """Return our name of a metric that only the official script of SQuAD 2.0 has, such as `HasAns_f1`; else nothing."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _OF_OFFICIAL_SCRIPT.get(_PREFIXES.sub("", plain), "")


def question_task(source: str, data: DataConfig, name: str, max_length: int) -> dict[str, Any]:
    """Return the task of a data set, without its splits and the number of tokens.

    Args:
        source: The data set as a recipe names it.
        data: The chosen configuration.
        name: The name of the data set, which says whether questions may have no answer.
        max_length: The number of tokens of a part of a text. Shorter parts than usual share a third of their tokens.

    Raises:
        UnmappedError: A column is missing.
    """
    missing = [column for column in COLUMNS if data.columns and column not in data.columns]
    if missing:
        raise UnmappedError(Reason.NO_TEXT, f"{TASK} needs {', '.join(missing)}; columns: {', '.join(data.columns)}")
    task: dict[str, Any] = {"use": "question_answering", "data": source}
    task |= {"config": data.name} if data.name else {}
    task |= {"version_2": True} if any(part in name.lower() for part in VERSION_2) else {}
    return task | ({"stride": max_length // 3} if max_length < LENGTH else {})


def question_notes(task: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a recipe assumes about the answers, for its comments."""
    stride = task.get("stride", STRIDE)
    assumed = f"assumed: long texts are read in parts that share {stride} tokens, as the example of transformers does"
    return (assumed, "assumed: a null threshold of 0") if task.get("version_2") else (assumed,)
