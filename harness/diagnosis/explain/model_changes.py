"""Change a model inside a `with` block, and restore it afterwards."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from harness.models.text_inputs import of_transformers

SEED = 0


@contextmanager
def attention(model: nn.Module, kernel: str | None) -> Iterator[None]:
    """Use another attention kernel in a model of transformers; None changes nothing."""
    inner = of_transformers(model)
    if kernel is None or inner is None:
        yield
        return
    before = inner.config._attn_implementation
    inner.set_attn_implementation(kernel)
    try:
        yield
    finally:
        inner.set_attn_implementation(before)


@contextmanager
def attributes(model: nn.Module, values: Mapping[str, Any]) -> Iterator[None]:
    """Give a model other attributes, such as the pooling of a sentence encoder."""
    before = {name: getattr(model, name) for name in values}
    try:
        for name, value in values.items():
            setattr(model, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(model, name, value)


@contextmanager
def train_mode(model: nn.Module) -> Iterator[None]:
    """Fix the seed of dropout, and restore what batch normalization changes in the mode of a training."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            yield
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name].to(buffer.device))
        model.eval()
