"""The device on which tests run models: `pytest --device cuda`, or the variable ZOO_TEST_DEVICE; the CPU by default."""

import os
from collections.abc import Iterable

import pytest
import torch

VARIABLE, DEVICES = "ZOO_TEST_DEVICE", ("cpu", "cuda")


def device() -> str:
    """Return the name of the device on which tests run models, as `--device` takes it."""
    return os.environ.get(VARIABLE, DEVICES[0])


def choose_device(config: pytest.Config) -> None:
    """Set the device for this process and for every process that it starts. On the CPU, hide the CUDA devices.

    Raises:
        pytest.UsageError: Tests are to run on CUDA, and there is none.
    """
    chosen: str = config.getoption("--device") or device()
    if chosen not in DEVICES:
        raise pytest.UsageError(f"{VARIABLE} is {chosen!r}; expected {' or '.join(DEVICES)}")
    os.environ[VARIABLE] = chosen
    if chosen == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # commands without --device take a CUDA device if they see one
    elif not config.option.collectonly and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda needs a CUDA device, and torch finds none; leave it out to use the CPU")


def skip_other_devices(items: Iterable[pytest.Item]) -> None:
    """Skip the tests that are marked for another device than the chosen one, each with its reason."""
    for item in items:
        if device() == "cpu" and item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="needs CUDA: run pytest --device cuda"))
        elif device() != "cpu" and (mark := item.get_closest_marker("cpu_only")):
            item.add_marker(pytest.mark.skip(reason=f"only on the CPU: {mark.kwargs['reason']}"))
