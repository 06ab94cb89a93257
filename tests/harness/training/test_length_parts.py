"""Parts of a batch give the gradients of the whole batch, and are used only where that holds."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.evaluation.batching import by_length
from harness.models.environment import deterministic
from harness.models.rounding import rounding_tolerance, terms_of
from harness.runs.experiment import RunContext
from harness.training.gradients import accumulate_gradients, sparse_embeddings
from tests.helpers.small_texts import take_gradients, text_stage
from zoo.recipes.build import Builder


@pytest.mark.parametrize("large", [1, 10**9], ids=["sparse", "dense"])
@pytest.mark.parametrize("loss", ["CrossEntropy", "{use: KD, temperature: 2, alpha: 0.5}"])
def test_parts_of_similar_length_give_the_gradient_of_the_whole_batch(
    loss: str, large: int, context: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients and logged losses agree up to the rounding of sums over the model and the batch of 64 rows."""
    monkeypatch.setattr("harness.training.gradients.LARGE", large)
    stage, run = text_stage(context, tmp_path, loss=loss)
    rows = stage.rows(0)
    assert stage.lengths is not None
    assert len(by_length(rows, stage.lengths)) > 1
    with deterministic():
        in_parts, of_parts = accumulate_gradients(run, stage, rows), take_gradients(stage.objective)
        stage.lengths = None
        whole, of_whole = accumulate_gradients(run, stage, rows), take_gradients(stage.objective)
    allowed = rounding_tolerance(torch.float32, terms_of(stage.objective) + 64)
    for name in whole:
        torch.testing.assert_close(in_parts[name], whole[name], rtol=allowed, atol=allowed)
    largest = max(float(value.abs().max()) for value in of_whole.values())
    for name, value in of_whole.items():
        assert float((of_parts[name] - value).abs().max()) <= allowed * max(largest, 1), name


def test_losses_and_gradients_do_not_depend_on_uninitialized_memory(context: RunContext, tmp_path: Path) -> None:
    """Filled with NaN, which is the default of deterministic mode in torch, it gives the same bits."""
    stage, run = text_stage(context, tmp_path)
    with deterministic():
        assert not torch.utils.deterministic.fill_uninitialized_memory
        plain, of_plain = accumulate_gradients(run, stage, stage.rows(0)), take_gradients(stage.objective)
        torch.utils.deterministic.fill_uninitialized_memory = True
        filled, of_filled = accumulate_gradients(run, stage, stage.rows(0)), take_gradients(stage.objective)
    assert all(torch.equal(plain[name], value) for name, value in filled.items())
    assert all(torch.equal(of_plain[name], value) for name, value in of_filled.items())


def test_embeddings_have_sparse_gradients_only_while_a_batch_is_computed() -> None:
    """The optimizer gets dense gradients, with a padding row too, and also after an error."""
    model = nn.ModuleDict(
        {
            "large": nn.Embedding(2**10, 2**10, padding_idx=0),
            "small": nn.Embedding(2, 2),
            "counted": nn.Embedding(2**10, 2**10, scale_grad_by_freq=True),
            "sparse": nn.Embedding(2**10, 2**10, sparse=True),
        }
    )
    with suppress(ValueError), sparse_embeddings(model):
        assert [embedding.sparse for embedding in model.values()] == [True, False, False, True]
        for rows in ([0, 3, 3], [3, 1]):
            model["large"](torch.tensor(rows)).square().sum().backward()
        raise ValueError("in between")
    assert [embedding.sparse for embedding in model.values()] == [False, False, False, True]
    expected, weight = torch.zeros(2**10, 2**10), model["large"].weight
    expected[1], expected[3] = 2 * weight.data[1], 6 * weight.data[3]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, expected)


def test_a_batch_is_not_divided_if_its_loss_is_no_sum_over_rows(context: RunContext, tmp_path: Path) -> None:
    """These are losses that compare rows, that ignore a label, and user-defined ones that do not declare otherwise."""
    (tmp_path / "spread.py").write_text(
        "from torch import nn\n\nclass Spread(nn.Module):\n    def forward(self, student, teacher, labels):\n"
        "        return student.logits.var()\n\nclass Mean(Spread):\n    needs_whole_batch = False\n\n"
        "class Two(Mean):\n    needs_two_rows = True\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        trusting = replace(context, builder=Builder(trust=frozenset({"spread"})))
        assert text_stage(trusting, tmp_path, loss="spread.Spread")[0].lengths is None
        assert text_stage(trusting, tmp_path, loss="spread.Two")[0].lengths is None
        assert text_stage(trusting, tmp_path, loss="spread.Mean")[0].lengths is not None
    assert text_stage(context, tmp_path, loss="DIST")[0].lengths is None
    assert text_stage(context, tmp_path, loss="{use: CrossEntropy, ignore_index: 1}")[0].lengths is None
    assert text_stage(context, tmp_path, loss="{use: CrossEntropy, ignore_index: 7}")[0].lengths is not None
