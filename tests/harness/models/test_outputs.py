"""Model outputs: the forms in which models return logits, precision, and errors for undeclared reads."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs, run_model
from zoo.errors import UsageError


class Returning(nn.Module):
    """Returns its input in some form."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        return self.form(x)


@pytest.mark.parametrize(
    "form",
    [lambda x: x, lambda x: (x, None), lambda x: SimpleNamespace(logits=x), lambda x: {"out": x, "aux": x + 1}],
    ids=["tensor", "tuple", "transformers", "torchvision"],
)
def test_logits_are_read_from_every_form_that_a_model_returns(form: Any) -> None:
    x = torch.randn(2, 3)
    assert torch.equal(run_model(Returning(form), x).logits, x)


def test_a_model_without_logits_is_an_error() -> None:
    with pytest.raises(UsageError, match="the model returns dict; it must return a tensor of logits"):
        run_model(Returning(lambda x: {"loss": x}), torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_converted_to_single(dtype: torch.dtype) -> None:
    outputs = run_model(nn.Identity(), torch.ones(1, 2, dtype=dtype), [":input"])
    expected = torch.float32 if dtype.itemsize == 2 else dtype
    assert outputs.logits.dtype == outputs[":input"].dtype == expected


def test_reading_undeclared_logits_or_features_is_an_error_that_names_the_attribute() -> None:
    outputs = ModelOutputs(None, {"layer1:output": torch.zeros(1)})
    with pytest.raises(UsageError, match="reads logits but does not declare it: set `reads_logits = True`"):
        _ = outputs.logits
    with pytest.raises(UsageError, match=r"reads the feature 'layer1'.*declared features: 'layer1:output'"):
        _ = outputs["layer1"]
    with pytest.raises(UsageError, match="declared features: none"):
        _ = ModelOutputs()["layer1"]
