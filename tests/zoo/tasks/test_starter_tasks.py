"""The tasks of the starter suite: pinned data, labels by the grammar, and mistakes that lower the score."""

from dataclasses import replace

import pytest
import torch

from harness.evaluation.evaluate import evaluate
from harness.metrics import accuracy
from harness.models.environment import accelerator_on
from tests.helpers.device import device
from zoo.fetch import weights_file
from zoo.fetch.sources import Source, Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.values import Call
from zoo.tasks import digits, entailment
from zoo.tasks.base import Batch, Task, content_hash
from zoo.tasks.entailment import LABELS, Clause, relation
from zoo.tokenizers import wordpiece

DIGITS = {"test": "8258cfa354a04579", "train": "741da578a7102815"}
PAIRS = {"test": "9f4dbbcc0493222e", "train": "b00b4f5ee83bd42a"}
TOKENIZER = {"vocab": Source(Sources(), "embedded:entail-vocab.txt"), "lowercase": False}


@pytest.fixture(scope="module")
def pairs() -> Task:
    return entailment(tokenizer=wordpiece(**TOKENIZER))  # type: ignore[arg-type]


def test_the_rows_have_the_hashes_in_the_committed_records(pairs: Task) -> None:
    """With other data every committed score would be that of another measurement."""
    assert {name: content_hash(digits().load(name))[:16] for name in ("train", "test")} == DIGITS
    assert {name: content_hash(pairs.load(name))[:16] for name in ("train", "test")} == PAIRS


def test_splits_share_no_row_and_labels_are_balanced(pairs: Task) -> None:
    train, test = pairs.load("train"), pairs.load("test")
    assert not set(train.texts) & set(test.texts)  # type: ignore[attr-defined]
    assert (len(train), len(test)) == (16000, 1200)
    assert torch.bincount(test.labels).tolist() == [400, 400, 400]
    digit_rows = [set(digits().load(name).rows()) for name in ("train", "test")]
    assert not digit_rows[0] & digit_rows[1]


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        ("Jack keeps old dog", "Jack keeps - dog", "entailment"),
        ("Jack keeps old dog", "Jack keeps old animal", "entailment"),
        ("Jack keeps old dog", "Jack never sells - animal", "entailment"),
        ("Jack keeps old dog", "Jack never keeps - dog", "contradiction"),
        ("Jack keeps old dog", "Jack sells - animal", "contradiction"),
        ("Jack keeps - animal", "Jack keeps - dog", "neutral"),
        ("Jack keeps old dog", "Jack keeps new dog", "neutral"),
        ("Jack keeps old dog", "Jack keeps - bird", "neutral"),
        ("Jack keeps old dog", "Jack finds - dog", "neutral"),
        ("Jack keeps old dog", "May keeps old dog", "neutral"),
        ("Jack keeps - rose", "Jack never keeps - paper", "neutral"),
    ],
)
def test_labels_follow_from_the_grammar(premise: str, hypothesis: str, label: str) -> None:
    def clause(text: str) -> Clause:
        name, verb, adjective, noun = text.replace("never ", "").replace("-", "").split(" ")
        return Clause(name, verb, adjective, noun, denied="never" in text)

    assert LABELS[relation([clause(premise)], clause(hypothesis))] == label


def test_no_word_is_unknown_and_some_pairs_are_long(pairs: Task) -> None:
    tokens = pairs.load("test").tokens  # type: ignore[attr-defined]
    unknown = wordpiece(**TOKENIZER).unk_token_id  # type: ignore[arg-type]
    assert unknown not in tokens.columns["input_ids"]
    lengths = tokens.lengths
    assert sum(length > 64 for length in lengths) >= 40
    assert max(lengths) < 128


def score(lowercase: bool = False, **task_arguments: object) -> float:
    """Return the accuracy of the shipped teacher, with some arguments of its tokenizer and its task changed."""
    recipe, builder = catalogue.select_one("entail-bert-l2h64").recipe, Builder()
    assert recipe.tokenizer is not None
    assert recipe.weights is not None
    tokenizer_arguments = {**recipe.tokenizer.args, "lowercase": lowercase}
    tokenizer = builder.build(replace(recipe.tokenizer, args=tokenizer_arguments), "tokenizer")
    task = builder.build(Call(use="entailment", args=task_arguments), "task", tokenizer=tokenizer)
    model = builder.build(recipe.model, "model")
    weights_file.load_into(model, Sources().fetch(recipe.weights).path)
    evaluation = evaluate(model, task, "test", {"accuracy": accuracy}, accelerator=accelerator_on(device()))
    return evaluation.scores["accuracy"].value


@pytest.mark.slow
def test_mistakes_in_tokenization_lower_the_score() -> None:
    right = score()
    assert right - score(lowercase=True) > 0.05
    assert right - score(max_length=64) > 0.005


def test_a_batch_holds_the_requested_rows_in_their_order(pairs: Task) -> None:
    batch: Batch = digits().load("test").batch([5, 2])
    assert batch.ids.tolist() == [5, 2]
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (2, 1, 8, 8)
    text = pairs.load("test").batch([7, 0])
    assert isinstance(text.inputs, dict)
    assert {tuple(value.shape) for value in text.inputs.values()} == {(2, text.inputs["input_ids"].shape[1])}
    assert text.labels.tolist() == [7 % 3, 0]
