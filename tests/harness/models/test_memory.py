"""The memory format and the allocator change speed and memory use, and no prediction."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from harness.models.memory_format import place_model
from harness.models.rounding import rounding_tolerance, terms_of
from zoo.models import cifar_resnet
from zoo.recipes.claim import Precision


def test_channels_last_changes_the_memory_format_and_no_prediction() -> None:
    torch.manual_seed(0)
    cpu, model = torch.device("cpu"), cifar_resnet(depth=20, width=16).eval()
    images = torch.randn(64, 3, 32, 32)
    with torch.no_grad():
        plain = model(images)
        channels_last = place_model(model, cpu)(images)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[union-attr, call-overload]
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(plain.abs().max()))
    torch.testing.assert_close(channels_last, plain, rtol=0, atol=allowed)
    best = plain.topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > 2 * allowed
    assert torch.equal(channels_last.argmax(1)[clear], plain.argmax(1)[clear])


def test_models_with_few_channels_or_of_other_packages_keep_their_memory_format() -> None:
    cpu = torch.device("cpu")
    small = place_model(cifar_resnet(depth=8, width=2, in_channels=3), cpu)
    unknown = place_model(nn.Sequential(nn.Conv2d(3, 16, 3)), cpu)
    on_gpu = cifar_resnet(depth=8, width=16).to("meta")  # type: ignore[arg-type]
    for model in (small, unknown, place_model(on_gpu, torch.device("meta"))):
        assert all(p.is_contiguous() for p in model.parameters())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "channels_last"), [("fp32", False), ("bf16", True), ("fp16", True)])
def test_a_gpu_computes_in_channels_last_only_in_half_precision(precision: Precision, channels_last: bool) -> None:
    model = place_model(cifar_resnet(depth=8, width=16), torch.device("cuda"), precision)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last) is channels_last  # type: ignore[union-attr, call-overload]


@pytest.mark.slow
@pytest.mark.process
def test_freed_memory_is_reused_unless_the_environment_tunes_malloc() -> None:
    """Each page that the system must provide again counts as a minor page fault."""
    code = (
        "import resource, torch; from harness.models.environment import accelerator_on; accelerator_on('cpu')\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20): torch.ones(2**22)\n"  # 16 MiB: 4,096 pages
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); print(faults())"
    )
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc has mallopt")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    tuned, untuned = (
        int(
            subprocess.run(
                [sys.executable, "-c", code], env={**environment, **more}, capture_output=True, check=True
            ).stdout
        )
        for more in ({}, {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"})
    )
    assert tuned < 1000
    assert untuned > 20 * 4096 / 2
