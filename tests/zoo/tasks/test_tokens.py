"""Texts are tokenized once, cached, and padded as their tokenizer pads them."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.small_texts import WordTokenizer, run_context, text_experiment
from zoo.errors import UsageError
from zoo.tasks.device_copies import DeviceCopies
from zoo.tasks.splits import TensorSplit, TextSplit
from zoo.tasks.tokens import tokenize


@pytest.fixture
def split(tmp_path: Path) -> Iterator[TextSplit]:
    """The test split of the smallest text entry, with a tokenizer that a test may change."""
    with run_context(tmp_path) as context:
        split = text_experiment(context).task.load("test")
        assert isinstance(split, TextSplit)
        yield split


@pytest.mark.parametrize("left", [False, True])
def test_rows_are_padded_on_the_right_whatever_the_tokenizer_says_or_on_the_left_on_request(
    left: bool, split: TextSplit
) -> None:
    tokenizer = split.tokenizer
    tokenizer.padding_side = "right" if left else "left"
    tokens = tokenize(tokenizer, split.texts, 24, left=left)
    rows = [7, 0, 1199, 7, 3]
    first, second = zip(*(split.texts[row] for row in rows), strict=True)
    options = {"truncation": "longest_first", "max_length": 24}
    tokenizer.padding_side = "left" if left else "right"
    expected = tokenizer(list(first), list(second), padding=True, return_tensors="pt", **options)
    padded = tokens.padded(torch.tensor(rows))
    assert list(padded) == list(expected)
    assert all(torch.equal(padded[name], expected[name]) for name in expected)
    assert tokens.row(0) == tokenizer(*split.texts[0], truncation="longest_first", max_length=24)["input_ids"]
    assert tokens.notes == ()


def test_batches_that_are_formed_on_a_device_are_those_of_the_cpu(split: TextSplit) -> None:
    """The device "cpu:0" stands for a GPU: the split makes a copy for it."""
    images, device = TensorSplit(torch.randn(9, 2), torch.arange(9)), torch.device("cpu:0")
    for rows in ([7, 0, 1199, 7, 3], range(5)):
        here, there = split.batch(rows), split.batch(rows, device)
        assert isinstance(here.inputs, dict)
        assert isinstance(there.inputs, dict)
        assert all(torch.equal(there.inputs[name], values) for name, values in here.inputs.items())
        assert (here.labels.tolist(), here.ids.tolist()) == (there.labels.tolist(), there.ids.tolist())
        padded = split.batch(rows, device, length=40).inputs["input_ids"]
        assert padded.shape == (5, 40)
        assert torch.equal(padded, split.batch(rows, length=40).inputs["input_ids"])
    assert torch.equal(images.batch([8, 2], device).inputs, images.inputs[[8, 2]])
    full = DeviceCopies()
    assert full.on(torch.device("cpu"), 1, list) is None
    assert full.on(device, 1, list) is full.on(device, 1, list) is not None


def test_without_a_padding_token_another_one_is_chosen_and_reported(split: TextSplit) -> None:
    tokenizer = copy.deepcopy(split.tokenizer)
    tokenizer.pad_token = None
    hint = "`pad_token` in the tokenizer chooses another"
    tokens = tokenize(tokenizer, [("a",), ("a b c",)], 16)
    assert tokens.padded(torch.tensor([0, 1]))["input_ids"][0, -1] == tokenizer.unk_token_id
    assert tokens.notes == (f"the tokenizer has no padding token: rows are padded with '[UNK]'; {hint}",)
    tokenizer.unk_token = None
    assert bool(tokenize(tokenizer, [("a",), ("b",)], 16).padded(torch.tensor([1, 0]))["attention_mask"].all())
    with pytest.raises(
        UsageError, match=r"nothing to pad input_ids with, and rows differ in length; write `pad_token:"
    ):
        tokenize(tokenizer, [("a",), ("a b c",)], 16)


def test_a_text_without_tokens_becomes_one_token() -> None:
    texts = [("",), ("aa bbb",), ("",), ("cccc",), ("",)]
    tokens = tokenize(WordTokenizer(bos=90, pad=91), texts, 16)
    assert [tokens.row(row) for row in range(5)] == [[90], [2, 3], [90], [4], [90]]
    assert tokens.padded(torch.tensor([0, 1, 4]))["attention_mask"].tolist() == [[1, 0], [1, 1], [1, 0]]
    assert tokens.notes == ("3 texts have no token, such as row 0: read as the single token '<bos>'",)
    only_empty = tokenize(WordTokenizer(eos=92), [("",), ("",)], 16)
    assert only_empty.padded(torch.tensor([0, 1]))["input_ids"].tolist() == [[92], [92]]
    with pytest.raises(
        UsageError, match="row 1 has no token, and WordTokenizer has no token that begins or ends a text"
    ):
        tokenize(WordTokenizer(), [("a",), ("",)], 16)


def test_tokens_are_read_from_the_cache_and_computed_again_if_it_is_damaged(
    split: TextSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real, folder = split.tokenizer, tmp_path / "home" / "cache" / "tokens"

    class CountingTokenizer:
        __module__ = "transformers.counting"

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return real(*args, **kwargs)

    def columns(length: int = 128) -> dict[str, Tensor]:
        return dict(tokenize(CountingTokenizer(), split.texts, length).columns)

    first = columns()
    assert all(torch.equal(value, first[name]) for name, value in columns().items())
    assert len(calls) == 1
    columns(24)
    assert (len(calls), len(list(folder.iterdir()))) == (2, 2)
    cut_right = columns(24)
    with monkeypatch.context() as patch:
        patch.setattr(real, "truncation_side", "left")
        assert not torch.equal(columns(24)["input_ids"], cut_right["input_ids"])
    assert len(calls) == 3
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    assert all(torch.equal(value, first[name]) for name, value in columns().items())
    assert len(calls) == 4
