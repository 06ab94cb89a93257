"""What makes it fast changes no number: batches, parts of batches, threads, kernels, and what is kept."""

import copy
import gc
import itertools
import os
import platform
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Lock, get_ident
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from harness.evaluation import batched_inference, batching
from harness.evaluation.batching import batches, by_length
from harness.evaluation.evaluate import SplitRunner
from harness.models.cls_token_pruning import PLACES, _place, cls_token_pruning
from harness.models.environment import accelerator_on, deterministic
from harness.models.memory_format import place_model
from harness.models.outputs import run_model
from harness.runs.experiment import Experiment, RunContext
from harness.runs.reproduce import make_runs
from harness.training import train
from harness.training.gradients import accumulate_gradients, sparse_embeddings
from harness.training.objective import ModelReads
from harness.training.stage import _optimizer
from harness.training.teacher import CachedTeachers, LiveTeachers, _is_known, _settings, cache_teacher_outputs
from tests.helpers.project import ROOT, Zoo
from zoo.errors import UsageError
from zoo.fetch.tensor_cache import cached_tensors as once
from zoo.models import bert_classifier, cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.tasks import digits
from zoo.tasks.base import TensorSplit, TextSplit
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.tokens import tokenised

TEXTS = "entail-bert-l2h32"
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=9)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunContext:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return RunContext(builder=Builder(), accelerator=accelerator_on("cpu"), runs=tmp_path / "runs")


@pytest.fixture
def study(setup: RunContext) -> Experiment:
    return Experiment(catalogue.one(TEXTS), setup)


class Lengths(TensorSplit):
    """Rows of which only the lengths count."""

    @property
    def lengths(self) -> list[int]:
        found: list[int] = self.labels.tolist()
        return found


@given(LENGTHS, st.integers(1, 5))
def test_a_batch_keeps_within_the_tokens_and_every_row_is_in_one(lengths: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "TOKENS", 20)
        found = batches(Lengths(torch.zeros(len(lengths)), torch.tensor(lengths)), size)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    for rows in found:
        longest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or len(rows) * longest <= 20
        assert len(rows) <= size


@settings(max_examples=50)
@given(LENGTHS, st.integers(0, 10))
def test_no_other_cut_of_a_batch_costs_less(lengths: list[int], overhead: int) -> None:
    def cost(parts: list[list[int]]) -> int:
        return sum(len(part) * max(part) + overhead for part in parts)

    ordered = sorted(lengths, reverse=True)
    places = range(1, len(ordered))
    cuts = (cut for number in range(len(ordered)) for cut in itertools.combinations(places, number))
    least = min(cost([ordered[a:b] for a, b in itertools.pairwise((0, *cut, len(ordered)))]) for cut in cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "OVERHEAD", overhead)
        found = by_length(range(len(lengths)), lengths)
    assert sorted(row for part in found for row in part) == list(range(len(lengths)))
    assert cost([[lengths[row] for row in part] for part in found]) == least


@pytest.mark.parametrize(("tokens", "threads"), [(1, 1), (300, 1), (300, 3), (10**6, 2)])
def test_evaluation_does_not_depend_on_batches_and_threads(
    tokens: int, threads: int, study: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = study.task.load("test")
    assert isinstance(whole, TextSplit)
    split = TextSplit(whole.texts[:150], whole.labels[:150], tokenizer=whole.tokenizer)
    model, accelerator = study.published_model()[0].eval(), study.setup.accelerator
    with torch.no_grad():
        alone = torch.cat([model(**split.batch([row]).inputs).logits for row in range(len(split))])  # type: ignore[arg-type]
    monkeypatch.setattr(batching, "TOKENS", tokens)
    monkeypatch.setattr("harness.evaluation.evaluate.threads_for", lambda model, device: threads)
    before = torch.get_num_threads()
    outputs = SplitRunner(model, study.task, accelerator).outputs(split)
    assert torch.get_num_threads() == before
    torch.testing.assert_close(outputs, alone, rtol=0, atol=2e-6)
    assert torch.equal(outputs.argmax(1), alone.argmax(1))


def test_known_models_run_in_threads_and_no_other_code_does(study: Experiment) -> None:
    cpu = torch.device("cpu")
    assert (
        batched_inference.threads_for(cifar_resnet(depth=8, width=16, num_classes=10), cpu) == torch.get_num_threads()
    )
    assert batched_inference.threads_for(study.published_model()[0], cpu) == torch.get_num_threads()
    assert batched_inference.threads_for(nn.Flatten(), cpu) == 1
    assert batched_inference.threads_for(study.published_model()[0], torch.device("cuda")) == 1


def test_an_error_in_a_thread_is_raised_and_the_threads_are_given_back() -> None:
    def fail(batch: Any) -> Tensor:
        raise ValueError("no such row")

    before, split = torch.get_num_threads(), TensorSplit(torch.zeros(9, 1), torch.zeros(9))
    with pytest.raises(ValueError, match="no such row"):
        batched_inference.map_batches(split, fail, accelerator_on("cpu"), size=2, threads=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("fixed", [True, False])
def test_threads_read_a_split_one_at_a_time_and_a_random_one_in_its_order(fixed: bool) -> None:
    reading, order = Lock(), []

    class Watched(TensorSplit):
        def batch(self, rows: Any, device: Any = None) -> Any:
            assert reading.acquire(blocking=False), "another thread is reading"
            time.sleep(0.002)
            order.append(rows[0])
            reading.release()
            return super().batch(rows)

    split, names = Watched(torch.zeros(40, 1), torch.zeros(40)), set()
    split.fixed = fixed
    batched_inference.map_batches(split, lambda batch: names.add(get_ident()), accelerator_on("cpu"), size=2, threads=3)
    assert sorted(order) == list(range(0, 40, 2))
    assert fixed or (order == sorted(order) and names == {get_ident()})


@pytest.mark.parametrize("large", [1, 10**9], ids=["sparse", "dense"])
@pytest.mark.parametrize("loss", ["CrossEntropy", "{use: KD, temperature: 2, alpha: 0.5}"])
def test_parts_of_like_length_give_the_gradient_of_the_whole_batch(
    loss: str, large: int, setup: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 1e-6 of the largest; the losses that are logged, too."""
    monkeypatch.setattr("harness.training.gradients.LARGE", large)
    stage, run = _text_stage(loss, setup, tmp_path)
    rows = stage.rows(0)
    assert stage.lengths is not None
    assert len(by_length(rows, stage.lengths)) > 1
    with deterministic():
        in_parts, of_parts = accumulate_gradients(run, stage, rows), _taken(stage.objective)
        stage.lengths = None
        whole, of_whole = accumulate_gradients(run, stage, rows), _taken(stage.objective)
    for name in whole:
        torch.testing.assert_close(in_parts[name], whole[name], rtol=1e-6, atol=1e-6)
    largest = max(float(value.abs().max()) for value in of_whole.values())
    for name, value in of_whole.items():
        assert float((of_parts[name] - value).abs().max()) <= 1e-6 * max(largest, 1), name


@pytest.mark.parametrize("name", PLACES)
def test_logits_and_gradients_need_no_token_but_the_first_of_the_last_layer(name: str) -> None:
    model, inputs = _classifier(name)
    expected = model(**inputs).logits
    expected.square().sum().backward()
    of_whole = _taken(model)
    with _feed_forward_of_last_layer(model) as shapes:
        found = run_model(model, inputs)
        found.logits.square().sum().backward()
    assert shapes == [(3, 1, 24)]
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
    for path, value in _taken(model).items():
        torch.testing.assert_close(value, of_whole[path], rtol=0, atol=1e-12, msg=path)
    assert not any(module._forward_pre_hooks for module in model.modules())


def _mean_pooled(model: Any) -> None:
    class Mean(nn.Module):
        def forward(self, hidden: Tensor) -> Tensor:
            return hidden.mean(1)

    model.bert.pooler = Mean()


def _with_other_forward(model: Any) -> None:
    forward = model.bert.pooler.forward
    model.bert.pooler.forward = lambda hidden: forward(hidden.flip(1))


def _with_other_feed_forward(model: Any) -> None:
    layer = model.bert.encoder.layer[-1]
    forward = layer.feed_forward_chunk
    layer.feed_forward_chunk = lambda hidden: forward(hidden.cumsum(1))


def _with_checkpoints(model: Any) -> None:
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # the second before transformers 5.20
    getattr(model, next(name for name in names if hasattr(model, name)))()


def _with_layers(*places: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        layers = model.bert.encoder.layer
        model.bert.encoder.layer = nn.ModuleList(layers[place] for place in places)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _mean_pooled,
        _with_other_forward,
        _with_other_feed_forward,
        _with_layers(0, 1, 1),
        _with_layers(0, 1, 0),
        _with_layers(),
        lambda model: model.bert.encoder.register_forward_hook(lambda *_: None),
        lambda model: model.bert.encoder.layer[-1].output.register_forward_pre_hook(lambda *_: None),
        lambda model: model.bert.encoder.layer[-1].register_full_backward_hook(lambda *_: None),
        lambda model: setattr(model.bert.encoder.layer[-1], "chunk_size_feed_forward", 5),
        lambda model: setattr(model.bert, "encoder", nn.Identity()),
        _with_checkpoints,
    ],
    ids=[
        "pooler", "forward", "feed-forward", "tied", "first-is-last", "none", "hook", "pre-hook", "backward-hook",
        "chunks", "no-such-path", "checkpointing",
    ],
)  # fmt: skip
def test_nothing_is_left_out_where_something_may_read_it(change: Callable[[Any], Any]) -> None:
    model, _ = _classifier("BertForSequenceClassification")
    assert _place(model) is not None
    change(model)
    assert _place(model) is None
    hooks = [dict(module._forward_pre_hooks) for module in model.modules()]
    with cls_token_pruning(model):
        assert hooks == [dict(module._forward_pre_hooks) for module in model.modules()]


@pytest.mark.parametrize("places", [(0, 1, 1), (0, 1, 0)])
def test_a_layer_that_comes_twice_sees_all_tokens(places: tuple[int, ...]) -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    _with_layers(*places)(model)
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    torch.testing.assert_close(run_model(model, inputs).logits, model(**inputs).logits, rtol=0, atol=0)


def test_a_hook_on_every_module_sees_all_tokens() -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    shapes = []

    def see(module: nn.Module, given: Any, found: Any) -> None:
        shapes.extend([tuple(found.shape)] if module is model.bert.encoder.layer[-1] else [])

    handle = nn.modules.module.register_module_forward_hook(see)
    try:
        run_model(model, inputs)
    finally:
        handle.remove()
    assert shapes == [(3, 5, 24)]


def test_a_tap_reads_all_tokens_of_the_last_layer() -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    path = "bert.encoder.layer.-1"
    assert run_model(model, inputs, [path])[path].shape == (3, 5, 24)


def _classifier(name: str) -> tuple[Any, dict[str, Tensor]]:
    """A small model of transformers in float64, without dropout, and three rows of which one is padded."""
    config = getattr(transformers, name.replace("ForSequenceClassification", "Config"))
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    sizes |= {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 40} if "Distil" in name else {}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout": 0.0, "attention_dropout": 0.0}
    torch.manual_seed(0)
    model = getattr(transformers, name)(config(vocab_size=30, num_labels=3, **sizes, **none, seq_classif_dropout=0.0))
    mask = torch.tensor([[1, 1, 1, 1, 1]] * 2 + [[1, 1, 1, 0, 0]])
    return model.double().eval(), {"input_ids": torch.randint(3, 30, (3, 5)), "attention_mask": mask}


@contextmanager
def _feed_forward_of_last_layer(model: Any) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of what the last layer's feed-forward network is called with."""
    last = [
        module
        for name, module in model.named_modules()
        if name.endswith(("layer.1.intermediate.dense", "layer.1.ffn.lin1"))
    ]
    shapes: list[tuple[int, ...]] = []
    forward = F.linear

    def seen(given: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shapes.extend([tuple(given.shape)] if weight is last[0].weight else [])
        return forward(given, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "linear", seen)
        yield shapes


def test_no_number_depends_on_what_new_memory_holds(setup: RunContext, tmp_path: Path) -> None:
    """Filled with NaN, as torch does in deterministic mode unless it is told not to, it gives the same to the bit."""
    stage, run = _text_stage("CrossEntropy", setup, tmp_path)
    with deterministic():
        assert not torch.utils.deterministic.fill_uninitialized_memory
        plain, of_plain = accumulate_gradients(run, stage, stage.rows(0)), _taken(stage.objective)
        torch.utils.deterministic.fill_uninitialized_memory = True
        filled, of_filled = accumulate_gradients(run, stage, stage.rows(0)), _taken(stage.objective)
    assert all(torch.equal(plain[name], value) for name, value in filled.items())
    assert all(torch.equal(of_plain[name], value) for name, value in of_filled.items())


def test_embeddings_have_dense_gradients_again_and_only_plain_ones_are_sparse_meanwhile() -> None:
    """What an optimiser sees is what it would see without parts, a padding row included, and after an error too."""
    model = nn.ModuleDict({
        "large": nn.Embedding(2**10, 2**10, padding_idx=0), "small": nn.Embedding(2, 2),
        "counted": nn.Embedding(2**10, 2**10, scale_grad_by_freq=True), "own": nn.Embedding(2**10, 2**10, sparse=True),
    })  # fmt: skip
    with suppress(ValueError), sparse_embeddings(model):
        assert [one.sparse for one in model.values()] == [True, False, False, True]
        for rows in ([0, 3, 3], [3, 1]):
            model["large"](torch.tensor(rows)).square().sum().backward()
        raise ValueError("in between")
    assert [one.sparse for one in model.values()] == [False, False, False, True]
    expected, weight = torch.zeros(2**10, 2**10), model["large"].weight
    expected[1], expected[3] = 2 * weight.data[1], 6 * weight.data[3]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, expected)


def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    """A page that the system must give anew is a fault; where the environment says how memory is kept, that holds."""
    code = (
        "import resource, torch; from harness.models.environment import accelerator_on; accelerator_on('cpu')\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20): torch.ones(2**22)\n"  # 16 MiB: 4,096 pages
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); print(faults())"
    )
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library keeps memory in its own way")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    freed_kept, told = (
        int(subprocess.run([sys.executable, "-c", code], env={**plain, **more}, capture_output=True, check=True).stdout)
        for more in ({}, {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"})
    )
    assert freed_kept < 1000
    assert told > 20 * 4096 / 2


def test_a_batch_stays_whole_where_its_parts_do_not_give_its_loss(setup: RunContext, tmp_path: Path) -> None:
    """Terms that compare rows; rows that do not count; and losses of a user's own, unless they say that they do not."""
    (tmp_path / "spread.py").write_text(
        "from torch import nn\n\nclass Spread(nn.Module):\n    def forward(self, student, teacher, labels):\n"
        "        return student.logits.var()\n\nclass Mean(Spread):\n    needs_whole_batch = False\n\n"
        "class Two(Mean):\n    needs_two_rows = True\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        trusting = replace(setup, builder=Builder(trust=frozenset({"spread"})))
        assert _text_stage("spread.Spread", trusting, tmp_path)[0].lengths is None
        assert _text_stage("spread.Two", trusting, tmp_path)[0].lengths is None
        assert _text_stage("spread.Mean", trusting, tmp_path)[0].lengths is not None
    assert _text_stage("DIST", setup, tmp_path)[0].lengths is None
    assert _text_stage("{use: CrossEntropy, ignore_index: 1}", setup, tmp_path)[0].lengths is None
    assert _text_stage("{use: CrossEntropy, ignore_index: 7}", setup, tmp_path)[0].lengths is not None


def _text_stage(loss: str, setup: RunContext, tmp_path: Path) -> tuple[Any, Any]:
    """A stage of the small text entry, with long rows in its first batch, and the run it is of."""
    text = catalogue.one(TEXTS).path.read_text().replace("ce: {loss: CrossEntropy}", f"term: {{loss: {loss}}}")
    text = text.partition("claims:")[0]
    if loss != "CrossEntropy":
        model = text.partition("\nmodel: ")[2].partition("\n")[0]
        teacher = f"    teacher: {{model: {model}, weights: embedded:{TEXTS}.safetensors}}\n    criterion:"
        text = text.replace("    criterion:", teacher)
    path = tmp_path / "texts.yaml"
    path.write_text(text)
    study = Experiment(catalogue.local(path), setup)
    (whole,) = study.splits()
    assert isinstance(whole, TextSplit)
    rows = sorted(range(1000), key=lambda row: -len(whole.texts[row][0]))[:20] + list(range(44))
    split = TextSplit([whole.texts[row] for row in rows], whole.labels[rows], tokenizer=whole.tokenizer)
    run = study.run(0, tmp_path)
    run.splits = (split,)
    torch.manual_seed(0)
    return train._made(run, 0, study.builder.build(study.recipe.model, "model")).begin(), run


def _taken(objective: nn.Module) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    objective.zero_grad()
    return found


@pytest.mark.parametrize("side", ["right", "left"])
def test_rows_are_padded_as_the_tokenizer_pads_them(side: str, study: Experiment) -> None:
    split, tokenizer = study.task.load("test"), study.tokenizer
    assert isinstance(split, TextSplit)
    tokenizer.padding_side = side
    tokens = tokenised(tokenizer, split.texts, 24)
    rows = [7, 0, 1199, 7, 3]
    given = tokenizer([split.texts[r][0] for r in rows], [split.texts[r][1] for r in rows], truncation="longest_first",
                      max_length=24, padding=True, return_tensors="pt")  # fmt: skip
    found = tokens.padded(torch.tensor(rows))
    assert list(found) == list(given)
    assert all(torch.equal(found[name], given[name]) for name in given)
    assert tokens.row(0) == tokenizer(*split.texts[0], truncation="longest_first", max_length=24)["input_ids"]


def test_what_cannot_be_padded_need_not_be(study: Experiment) -> None:
    """Rows of one length are read with a tokenizer that has nothing to pad with; others are refused by its name."""
    tokenizer = copy.deepcopy(study.tokenizer)
    tokenizer.pad_token = None
    same = tokenised(tokenizer, [("a",), ("b",)], 16).padded(torch.tensor([1, 0]))
    assert same["input_ids"].shape[0] == 2
    assert bool(same["attention_mask"].all())
    with pytest.raises(UsageError, match="nothing to pad input_ids with, and rows differ in length"):
        tokenised(tokenizer, [("a",), ("a b c",)], 16)


def test_tokens_are_found_again_by_their_content_and_made_anew_where_they_are_damaged(
    study: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, calls = study.task.load("test"), []
    assert isinstance(split, TextSplit)
    real, folder = split.tokenizer, tmp_path / "home" / "kept" / "tokens"

    class Counting:
        __module__ = "transformers.counting"

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return real(*args, **kwargs)

    def columns(length: int = 128) -> dict[str, Tensor]:
        return dict(tokenised(Counting(), split.texts, length).columns)

    first = columns()
    assert all(torch.equal(value, first[name]) for name, value in columns().items())
    assert len(calls) == 1
    columns(24)
    assert (len(calls), len(list(folder.iterdir()))) == (2, 2)
    right = columns(24)
    with monkeypatch.context() as patch:
        patch.setattr(real, "truncation_side", "left")
        assert not torch.equal(columns(24)["input_ids"], right["input_ids"])
    assert len(calls) == 3
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    assert all(torch.equal(value, first[name]) for name, value in columns().items())
    assert len(calls) == 4


def test_the_folder_of_what_is_kept_does_not_grow_without_end(tmp_path: Path) -> None:
    for number in range(5):
        once(tmp_path, str(number), lambda: {"x": torch.zeros(1000)}, limit=9000)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["3", "4"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_what_cannot_be_kept_is_made_all_the_same(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: Any, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr("zoo.fetch.tensor_cache.save_file", full)
    assert once(tmp_path / "full", "key", lambda: {"x": torch.ones(1)}) == {"x": torch.ones(1)}
    assert not list((tmp_path / "full").iterdir())
    (tmp_path / "file").write_text("not a folder")
    assert once(tmp_path / "file", "key", lambda: {"x": torch.ones(1)}) == {"x": torch.ones(1)}


def test_what_a_killed_process_left_half_written_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".old.1", 2 * 86400), (".new.2", 60)):
        (tmp_path / name).write_bytes(b"half of it")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    once(tmp_path, "key", lambda: {"x": torch.ones(1)})
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == [".new.2", "key"]


def test_two_that_make_the_same_at_once_leave_one_file(tmp_path: Path) -> None:
    both = Barrier(2)

    def make() -> dict[str, Tensor]:
        both.wait(10)
        return {"x": torch.arange(100_000)}

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: once(tmp_path, "key", make)["x"], range(2)))
    assert all(torch.equal(one, torch.arange(100_000)) for one in found)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["key"]
    assert torch.equal(once(tmp_path, "key", dict)["x"], torch.arange(100_000))


@pytest.fixture
def live() -> tuple[LiveTeachers, list[int]]:
    torch.manual_seed(0)
    model, calls = cifar_resnet(depth=8, width=4, in_channels=1), []
    model.register_forward_hook(lambda *_: calls.append(1))
    return LiveTeachers({"t": model}, {"t": ModelReads(("layer2:output",), True)}, torch.device("cpu")), calls


def test_what_a_teacher_says_is_kept_for_other_runs(live: tuple[LiveTeachers, list[int]], tmp_path: Path) -> None:
    (teacher, calls), split, accelerator = live, digits().load("train"), accelerator_on("cpu")
    first = cache_teacher_outputs(teacher, split, accelerator, tmp_path)
    assert isinstance(first, CachedTeachers)
    made = len(calls)
    again = cache_teacher_outputs(teacher, split, accelerator, tmp_path)
    assert len(calls) == made + 1  # two rows, to see how large the outputs are
    batch = split.batch([898, 3, 500])
    assert torch.equal(again(batch)["t"].logits, first(batch)["t"].logits)
    assert torch.equal(again(batch)["t"]["layer2:output"], first(batch)["t"]["layer2:output"])
    torch.testing.assert_close(again(batch)["t"].logits, teacher(batch)["t"].logits, rtol=1e-5, atol=1e-5)
    assert isinstance(split, TensorSplit)
    with torch.no_grad():
        next(teacher.models["t"].parameters()).add_(1)
    assert not torch.equal(
        cache_teacher_outputs(teacher, split, accelerator, tmp_path)(batch)["t"].logits, first(batch)["t"].logits
    )  # type: ignore[operator]
    other = TensorSplit(split.inputs.flip(0), split.labels)
    cache_teacher_outputs(teacher, other, accelerator, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_teacher_says_is_kept_by_what_no_text_of_it_shows(tmp_path: Path) -> None:
    """A BERT's number of heads is in no weight; of code that nobody knows the version of, nothing is kept."""
    split, accelerator = digits().load("train"), accelerator_on("cpu")
    found = []
    for heads in (1, 2):
        torch.manual_seed(0)
        model = bert_classifier(layers=1, hidden=8, heads=heads, intermediate=8, vocab_size=20, num_labels=2)
        teachers = LiveTeachers({"t": _OnPixels(model)}, {"t": ModelReads((), True)}, torch.device("cpu"))
        assert not _is_known(teachers.models["t"])
        cache_teacher_outputs(teachers, split, accelerator, tmp_path)
        assert not list(tmp_path.iterdir())
        assert _is_known(model)
        found.append([_settings(module) for module in model.modules()])
    assert found[0] != found[1]


class _OnPixels(nn.Module):
    """A text model that reads digits' pixels as tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(input_ids=images.flatten(1).round().long().clamp(0, 19)).logits


def test_channels_last_changes_the_order_in_memory_and_no_prediction() -> None:
    torch.manual_seed(0)
    cpu, model = torch.device("cpu"), cifar_resnet(depth=20, width=16).eval()
    images = torch.randn(64, 3, 32, 32)
    with torch.no_grad():
        plain = model(images)
        laid = place_model(model, cpu)(images)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[union-attr, call-overload]
    torch.testing.assert_close(laid, plain, rtol=1e-4, atol=1e-4)
    assert torch.equal(laid.argmax(1), plain.argmax(1))


def test_few_channels_and_unknown_code_stay_as_they_are() -> None:
    cpu = torch.device("cpu")
    small = place_model(cifar_resnet(depth=8, width=2, in_channels=3), cpu)
    unknown = place_model(nn.Sequential(nn.Conv2d(3, 16, 3)), cpu)
    for model in (small, unknown):
        assert all(p.is_contiguous() for p in model.parameters())


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_a_fused_optimiser_takes_the_same_steps(kind: str) -> None:
    def trained(fused: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 3))
        rate: dict[str, Any] = {"lr": 1e-2, "fused": fused}
        optimizer = getattr(torch.optim, kind)(model.parameters(), **rate)
        for _ in range(20):
            F.cross_entropy(model(torch.randn(16, 20)), torch.randint(3, (16,))).backward()
            optimizer.step()
            optimizer.zero_grad()
        return list(model.parameters())

    for fused, plain in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)


def test_recipes_train_with_fused_kernels_unless_they_say_how(setup: RunContext, tmp_path: Path) -> None:
    stage, _ = _text_stage("CrossEntropy", setup, tmp_path)
    assert stage.optimizer.defaults["fused"] is True


@pytest.mark.parametrize(
    ("said", "of_a_group"), [({"foreach": True}, {}), ({"differentiable": True}, {}), ({}, {"foreach": True})]
)
def test_an_optimiser_is_not_fused_where_the_recipe_says_how_it_steps(
    said: dict[str, Any], of_a_group: dict[str, Any]
) -> None:
    call = Call(use="torch.optim.AdamW", args={"lr": 0.1, **said})
    groups = [{"params": [nn.Parameter(torch.ones(2))]}, {"params": [nn.Parameter(torch.ones(3))], **of_a_group}]
    made = _optimizer(call, groups, Builder())
    assert [group["fused"] for group in made.param_groups] == [None, None]


def test_pixels_are_normalised_as_torchvision_does() -> None:
    pixels = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    mean, std = (0.49, 0.48, 0.45), (0.2, 0.19, 0.21)
    found = PixelSplit(pixels, torch.zeros(5), mean=mean, std=std).batch(range(5)).inputs
    shape = (1, 3, 1, 1)
    expected = (pixels / 255 - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_entries_share_what_they_read_and_models_are_freed(setup: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one entry is evaluated the next is made ready; never are three models there."""
    names = [TEXTS, "entail-bert-l2h64", f"{TEXTS}_from_entail-bert-l2h64"]
    alive: list[weakref.ref[nn.Module]] = []
    most, loads = [0], []
    load, read = Experiment.model_with, TextSplit.__init__

    def counted(self: Experiment, fetched: Any) -> nn.Module:
        model = load(self, fetched)
        alive.append(weakref.ref(model))
        gc.collect()
        most[0] = max(most[0], sum(one() is not None for one in alive))
        return model

    def counted_read(self: TextSplit, *args: Any, **kwargs: Any) -> None:
        loads.append(1)
        read(self, *args, **kwargs)

    monkeypatch.setattr(Experiment, "model_with", counted)
    monkeypatch.setattr(TextSplit, "__init__", counted_read)
    made = list(make_runs([(catalogue.one(name), []) for name in names], "weights", setup))
    assert [one.error for one in made] == [None] * 3
    assert (len(alive), len(loads)) == (3, 1)
    assert most[0] <= 2
    gc.collect()
    assert all(one() is None for one in alive)


def test_an_entry_that_cannot_be_made_ready_does_not_stop_another(zoo: Zoo, recipe_file: Callable[..., Path]) -> None:
    """An entry with texts is made ready in a thread; what is wrong there is told as it is of one alone."""
    text = (ROOT / "configs" / "starter" / f"{TEXTS}.yaml").read_text()
    good = recipe_file(text.replace(f"name: {TEXTS}", "name: good"), name="good.yaml")
    bad = recipe_file(text.replace(f"embedded:{TEXTS}.", "file:nowhere."), name="bad.yaml")
    ended = zoo("verify", good, bad, good, "--json")
    assert "nowhere" in ended.err
    assert [part for part in ended.out.split('"verdict"') if "not-run" in part[:20]]
    assert ended.out.count('"reproduced"') >= 2
