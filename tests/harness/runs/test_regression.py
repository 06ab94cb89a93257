"""A number for each text: a recipe of a regression learns, and its weights are judged like those of a classifier."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.project import Zoo

RECIPE = """\
name: length
task:
  use: text_classification
  data: {train: "file:train.csv", validation: "file:validation.csv"}
  text: text
  label: score
  kind: regression
tokenizer: {use: wordpiece, vocab: "embedded:entail-vocab.txt"}
model: {use: bert_classifier, layers: 1, hidden: 32, heads: 2, intermediate: 64, vocab_size: 70, num_labels: 1}
stages:
  - {epochs: 8, batch_size: 8, optimizer: {use: AdamW, lr: 2e-3}, criterion: {mse: {loss: MSE}}}
claims:
  - {of: retrain, split: validation, metric: pearson, value: 0.9, sigma: 0.1, reference_runs: 5, source: s}
"""


def test_a_regression_learns_above_its_baseline(zoo: Zoo, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, rows in (("train", 128), ("validation", 48)):
        counts = random.integers(0, 5, rows)  # the score grows with the number of roses
        lines = [f"{'rose ' * count}{'cold ' * (4 - count)},{count / 2 - 1}\n" for count in counts]
        (tmp_path / f"{split}.csv").write_text("text,score\n" + "".join(lines))
    (tmp_path / "length.yaml").write_text(RECIPE)
    completed = zoo("reproduce", "length.yaml", "--train", "--seeds", "1", "--json")
    assert completed.code in (0, 3), completed.err
    (entry,) = json.loads(completed.out)["entries"]
    (claim,) = entry["claims"]
    assert claim["measured"] > 0.8  # the baseline of a correlation is 0
    assert not [finding for finding in entry["findings"] if "chance level" in finding]
