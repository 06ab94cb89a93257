"""The option `--device` of the tests: without CUDA it ends at once, and tests of another device are skipped."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.helpers.device import VARIABLE, choose_device, device, skip_other_devices


def config(option: str | None, *, collect: bool = False) -> Any:
    return SimpleNamespace(getoption={"--device": option}.get, option=SimpleNamespace(collectonly=collect))


def marks_after(*marks: pytest.MarkDecorator) -> list[str]:
    """Return the reasons for which a test with these marks is skipped."""
    by_name = {mark.name: mark.mark for mark in marks}
    added: list[Any] = []
    skip_other_devices([SimpleNamespace(get_closest_marker=by_name.get, add_marker=added.append)])  # type: ignore[list-item]
    return [mark.kwargs["reason"] for mark in added]


def test_cuda_tests_without_cuda_end_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(pytest.UsageError, match="--device cuda needs a CUDA device, and torch finds none"):
        choose_device(config("cuda"))
    choose_device(config("cuda", collect=True))
    assert device() == "cuda"
    monkeypatch.setenv(VARIABLE, "gpu")
    with pytest.raises(pytest.UsageError, match="ZOO_TEST_DEVICE is 'gpu'; expected cpu or cuda"):
        choose_device(config(None))


@pytest.mark.parametrize(("chosen", "skipped"), [("cpu", "needs CUDA: run pytest"), ("cuda", "only on the CPU: ")])
def test_tests_of_another_device_are_skipped_with_a_reason(
    chosen: str, skipped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    choose_device(config(chosen))
    (reason,) = marks_after(pytest.mark.cuda) + marks_after(pytest.mark.cpu_only(reason="digits"))
    assert reason.startswith(skipped)
    assert marks_after(pytest.mark.slow) == []
