"""Determinism, numerics by name, and devices."""

import json
import warnings
from pathlib import Path
from typing import get_args

import pytest
import torch

from harness.models.devices import device_peak_memory, is_same, reset_peak_memory
from harness.models.environment import accelerator_on, check_precision, deterministic, uses_tf32
from harness.models.mps_fallback import collect_fallbacks, fallback_findings
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import SourceError, UsageError
from zoo.recipes.claim import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def tf32_settings() -> list[str]:
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    return [backend.fp32_precision for backend in backends]


@pytest.mark.filterwarnings("ignore:Please use the new API settings to control TF32")
@pytest.mark.parametrize("precision", get_args(Precision))
def test_only_the_precision_tf32_computes_in_tf32_and_settings_are_restored(precision: Precision) -> None:
    before, enabled = tf32_settings(), precision == "tf32"
    with deterministic(precision):
        assert (tf32_settings(), uses_tf32()) == (["tf32" if enabled else "ieee"] * 3, enabled)
        older = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        assert older == (enabled, enabled), "torch.compile reads these"
        assert torch.get_float32_matmul_precision() == ("high" if enabled else "highest")
    assert tf32_settings() == before
    assert torch.backends.cudnn.allow_tf32 == (before[1] == "tf32")


def test_tf32_without_a_cuda_device_is_wrong_usage_that_says_what_to_use() -> None:
    with pytest.raises(UsageError, match=r"this run is on cpu: pass --device cuda .* or use --precision") as raised:
        check_precision(CPU, "tf32")
    assert raised.value.exit_code == 2
    check_precision(CUDA, "tf32")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tf32_rounds_the_factors_of_a_product_on_cuda() -> None:
    one = torch.full((256, 256), 1 + 2**-12, device="cuda")
    products = []
    for precision in ("fp32", "tf32"):
        with deterministic(precision):
            products.append((one @ one.T)[0, 0].item())
    assert products[0] > 256.1 > products[1]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch report two GPUs; nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU number {device.index}")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_does_not_exist_is_an_error_that_lists_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(SourceError) as raised:
        accelerator_on("cuda:2")
    assert str(raised.value) == (
        "device 'cuda:2' is not available on this machine; available: cpu, cuda:0 (GPU number 0), cuda:1 (GPU number 1)"
        "; CUDA_VISIBLE_DEVICES=4,7 hides the others"
    )


@pytest.mark.usefixtures("two_gpus")
def test_one_process_computes_on_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="names several devices for one process; name one, or pass --jobs 2 too"):
        accelerator_on("cuda:0,cuda:1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun gives each process a GPU of its own; pass --device cuda"):
        accelerator_on("cuda:1")


def test_a_process_stays_on_its_device() -> None:
    one = torch.device("cuda", 1)
    assert is_same(one, CUDA) and is_same(one, one) and is_same(CUDA, torch.device("cuda", 0))
    assert not is_same(one, torch.device("cuda", 0)) and not is_same(CUDA, one) and not is_same(CPU, CUDA)
    assert accelerator_on("auto").device == accelerator_on(None).device


@pytest.mark.cpu_only(reason="the process computes on the CPU already")
@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_refused_does_not_become_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator_on("cpu")
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    with pytest.raises(SourceError, match="already runs on cpu; start another process for cuda:1"):
        accelerator_on("cuda:1")
    assert not chosen


def test_operations_that_mps_lacks_are_collected_and_other_warnings_are_shown() -> None:
    found: set[str] = set()
    text = "The operator 'aten::{}' is not currently supported on the MPS backend and will fall back to run on the CPU."
    with warnings.catch_warnings(record=True) as shown, collect_fallbacks(torch.device("mps"), found):
        warnings.simplefilter("always", FutureWarning)
        for name in ("nonzero", "_ctc_loss.out", "nonzero"):
            warnings.warn(text.format(name), stacklevel=1)
        warnings.warn("another", FutureWarning, stacklevel=1)
        assert torch.is_warn_always_enabled()
    assert found == {"aten::nonzero", "aten::_ctc_loss.out"}
    assert [str(warning.message) for warning in shown] == ["another"]
    assert fallback_findings(found) == (
        "device: computed on the CPU, because MPS does not have them: aten::_ctc_loss.out, aten::nonzero",
    )
    assert not torch.is_warn_always_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_peak_of_the_device_memory_is_that_of_the_run() -> None:
    torch.ones(2**24, device="cuda").sum().item()
    reset_peak_memory(CUDA)
    torch.ones(2**20, device="cuda").sum().item()
    assert 2**22 <= device_peak_memory(CUDA)["device_peak_memory_bytes"] < 2**26


def test_a_run_on_the_cpu_has_no_peak_of_a_device_and_auto_reports_its_choice(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("train", recipe_file(TINY), "--device", "auto", "--out", "run")
    assert completed.code == 0, completed.err
    assert f"--device auto: computing on {accelerator_on(None).device}" in completed.err
    record = json.loads(Path("run/record.json").read_text())
    on_gpu = record["numerics"]["device"] == "cuda"
    assert ("device_peak_memory_bytes" in record["cost"]) == on_gpu
    assert "| peak memory" in Path("run/README.md").read_text()
