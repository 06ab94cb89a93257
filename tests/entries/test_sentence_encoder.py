"""Sentence encoders on a test Hub: embeddings, published settings, and the commands that read their predictions."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from harness.records.arrays import read_arrays
from harness.records.record import Record, read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import WORDS, parquet, results, use_hub, write_files
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from tests.helpers.sentence_encoders import cosines_of, encoder_files

ROWS = 40
RECIPE = """\
name: sts
task:
  use: semantic_similarity
  data: hub:datasets/someone/sts
  text: [first, second]
  score: label
  splits: [train, test]
  max_length: 12
tokenizer: {use: published, of: "hub:someone/encoder"}
model: {use: sentence_encoder, init: "hub:someone/encoder", pooling: mean, normalize: true}
weights: hub:someone/encoder
claims:
  - {of: weights, split: test, metric: spearman, value: 0.1, decimals: 1, source: the card}
"""
MEAN = "pooling: mean, normalize: true}"


def rows(split: str) -> dict[str, list[Any]]:
    """Return pairs of short and long texts, one of which is empty, with scores."""
    random = Random(split)  # noqa: S311
    texts = [[" ".join(random.choices(WORDS, k=random.randint(1, 20))) for _ in range(ROWS)] for _ in range(2)]
    texts[1][3] = ""
    return {"first": texts[0], "second": texts[1], "label": [random.uniform(0, 5) for _ in range(ROWS)]}


def cosines(pooling: str, split: str = "test", max_length: int = 12) -> list[float]:
    """Return the cosines of a split."""
    pairs = zip(rows(split)["first"], rows(split)["second"], strict=True)
    return cosines_of(pairs, pooling=pooling, max_length=max_length)


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        data = {f"{split}.parquet": parquet(rows(split), labels=pa.float32()) for split in ("train", "test")}
        server.add("datasets", "someone/sts", data)
        server.add("models", "someone/encoder", encoder_files())
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def verified(zoo: Zoo, path: Path, *options: str) -> tuple[Record, dict[str, Any], Path]:
    """Run `zoo verify`, and return the record, the predictions, and the folder of the run."""
    completed = zoo("verify", path, "--json", "--device", device(), *options)
    (entry,) = results(completed).values()
    assert entry["error"] is None, completed.err
    folder = Path(entry["records"][0]).parent
    return read_record(folder / "record.json"), read_arrays(folder / "predictions-test.npz"), folder


def test_a_claim_is_verified_by_the_cosine_of_mean_pooled_embeddings(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write
) -> None:
    expected = cosines("mean")
    value = spearmanr(expected, rows("test")["label"]).statistic
    path = recipe_file(RECIPE, ("value: 0.1, decimals: 1", f"value: {value:.4f}, decimals: 4"))
    checked = hub_zoo("check", path)
    assert checked.code == 0, checked.err
    fetched = hub_zoo("fetch", path)
    assert fetched.code == 0, fetched.err
    requests = len(hub.requests)
    completed = hub_zoo("verify", path, "--device", device())
    assert (completed.code, len(hub.requests) - requests) == (0, 0), completed.err
    record, predicted, _ = verified(hub_zoo, path)
    assert np.allclose(predicted["predictions"], expected, atol=1e-5)
    assert set(record.results[0].metrics) == {"spearman", "pearson"}
    assert not [finding for finding in record.findings if not finding.startswith("chance level")]


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_the_other_ways_of_pooling_and_weights_without_settings(
    pooling: str, hub_zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    write_files(tmp_path / "plain", encoder_files({}))
    own = (MEAN, f"pooling: {pooling}}}")
    path = recipe_file(RECIPE, own, ("weights: hub:someone/encoder", "weights: file:plain"))
    _, predicted, _ = verified(hub_zoo, path)
    assert np.allclose(predicted["predictions"], cosines(pooling), atol=1e-5)
    assert "has no settings of sentence-transformers, so pooling and max_length are those of" in (
        hub_zoo("verify", path, "--fresh", "--device", device()).err
    )


def test_strict_results_do_not_depend_on_other_rows(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write, tmp_path: Path
) -> None:
    some = [row for row in range(ROWS) if row % 3]
    part = {name: [values[row] for row in some] for name, values in rows("test").items()}
    (tmp_path / "part.parquet").write_bytes(parquet(part, labels=pa.float32()))
    path = recipe_file(RECIPE)
    _, whole, _ = verified(hub_zoo, path, "--strict")
    data = ("data: hub:datasets/someone/sts", 'data: {test: "file:part.parquet"}')
    path = recipe_file(RECIPE, data, ("  splits: [train, test]\n", ""))
    _, fewer, _ = verified(hub_zoo, path, "--strict")
    assert np.array_equal(whole["logits"][some], fewer["logits"])


def test_another_length_than_the_published_one_is_a_finding(hub_zoo: Zoo, recipe_file: Write) -> None:
    record, predicted, _ = verified(hub_zoo, recipe_file(RECIPE, ("max_length: 12", "max_length: 9")))
    assert np.allclose(predicted["predictions"], cosines("mean", max_length=9), atol=1e-5)
    finding = next(finding for finding in record.findings if "tokens" in finding)
    assert finding.startswith("test: texts are cut to 9 tokens, but the model was published with 12; ")


def test_explain_and_diff_read_the_predictions(hub_zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(RECIPE, ("value: 0.1, decimals: 1", "value: 0.9, decimals: 1"))
    explained = hub_zoo("explain", path, "--device", device())
    assert explained.code in (0, 1), explained.err
    assert "max_length" in explained.out
    _, _, first = verified(hub_zoo, path)
    _, _, second = verified(hub_zoo, recipe_file(RECIPE, ("max_length: 12", "max_length: 9")))
    compared = hub_zoo("diff", first, second)
    assert compared.code == 0, compared.err
    assert "spearman" in compared.out
    (tmp_path / "own.csv").write_text("prediction\n" + "\n".join(map(str, cosines("mean"))))
    scored = hub_zoo("evaluate", "own.csv", "--as", path)
    assert (scored.code, "spearman" in scored.out) == (0, True), scored.err


def test_wrong_columns_and_scores_are_errors_at_their_arguments(hub_zoo: Zoo, recipe_file: Write) -> None:
    for change, where, message in (
        (("text: [first, second]", "text: [first]"), "5:3: ", "text must name two columns"),
        (("score: label", "score: labels"), "6:3: ", "the data have no column 'labels'; did you mean label?"),
        (("score: label", "score: first"), "6:3: ", "is not a number"),
    ):
        refused = hub_zoo("verify", recipe_file(RECIPE, change), "--device", device())
        assert refused.code == 2
        assert f"tiny.yaml:{where}" in refused.err, refused.err
        assert message in refused.err


def test_an_encoder_can_be_trained(hub_zoo: Zoo, recipe_file: Write) -> None:
    stages = """\
stages:
  - epochs: 1
    batch_size: 8
    optimizer: {use: SGD, lr: 0.01}
    criterion: {mse: {loss: MSE}}
"""
    path = recipe_file(RECIPE.partition("weights: ")[0] + stages)
    completed = hub_zoo("train", path, "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    scored = hub_zoo("evaluate", "run", "--as", path, "--device", device())
    assert (scored.code, "spearman" in scored.out) == (0, True), scored.err
