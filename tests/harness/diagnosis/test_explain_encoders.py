"""`zoo explain` names another pooling, similarity or correlation of a sentence encoder."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from harness.diagnosis.explain import explain
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext
from tests.helpers.device import device
from tests.helpers.glue_hub import WORDS, parquet, write_files
from tests.helpers.sentence_encoders import cosines_of, encoder_files
from zoo.recipes import catalogue
from zoo.recipes.build import Builder

ROWS = 60
RECIPE = """\
name: sts
task: {{use: semantic_similarity, data: {{test: "file:sts.parquet"}}, text: [a, b], score: label, max_length: 12}}
tokenizer: {{use: published, of: "file:encoder"}}
model: {{use: sentence_encoder, init: "file:encoder", pooling: mean, normalize: true}}
weights: file:encoder
claims:
  - {{of: weights, split: test, metric: spearman, value: {value:.6f}, decimals: 6, source: planted}}
"""
Pairs = Sequence[tuple[str, str]]
Values = Callable[[Pairs], list[float]]


def pairs() -> list[tuple[str, str]]:
    random = Random(0)  # noqa: S311
    texts = [" ".join(random.choices(WORDS, k=random.randint(2, 9))) for _ in range(2 * ROWS)]
    return list(zip(texts[::2], texts[1::2], strict=True))


def dot(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return first @ second


def near(p: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    return lambda first, second: -(first - second).norm(p=p)


@pytest.mark.parametrize(
    ("values", "correlation", "cause"),
    [
        ({"pooling": "cls"}, spearmanr, "pooling: mean -> cls"),
        ({"pooling": "max"}, spearmanr, "pooling: mean -> max"),
        ({"pooling": "last"}, spearmanr, "pooling: mean -> last"),
        ({"compare": dot}, spearmanr, "similarity: cosine -> dot product without normalization"),
        ({"compare": near(2)}, spearmanr, "similarity: cosine -> negative Euclidean distance without normalization"),
        ({"compare": near(1)}, spearmanr, "similarity: cosine -> negative Manhattan distance without normalization"),
        ({}, pearsonr, "metric definition: spearman -> pearson"),
        ({}, spearmanr, None),
    ],
)
def test_the_cause_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], correlation: Any, cause: str | None
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    write_files(tmp_path / "encoder", encoder_files({}))
    random = Random(1)  # noqa: S311
    scores = [random.uniform(0, 5) for _ in range(ROWS)]
    columns: dict[str, Any] = {"a": [a for a, _ in pairs()], "b": [b for _, b in pairs()], "label": scores}
    (tmp_path / "sts.parquet").write_bytes(parquet(columns, labels=pa.float64()))
    path = tmp_path / "sts.yaml"
    path.write_text(RECIPE.format(value=correlation(cosines_of(pairs(), **values), scores).statistic))
    context = RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path / "none")
    explanation = explain(catalogue.local(path), context)
    json.dumps(explanation.data(), allow_nan=False)
    if cause is None:
        assert (explanation.state, explanation.attempts) == ("nothing to explain", ())
    else:
        assert explanation.state == "explained", explanation.text()
        assert [f"{attempt.factor}: {attempt.change}" for attempt in explanation.successful] == [cause]
