"""Whether quantized models of torchvision can run here: their kernels are in some builds of torch, on the CPU only."""

import torch

from zoo.errors import NotComparableError
from zoo.recipes.values import Call

QUANTIZED = "torchvision.models.quantization."


def is_quantized_call(model: Call) -> bool:
    """Return whether a call builds a quantized model of torchvision."""
    return model.use.startswith(QUANTIZED) and model.args.get("quantize") is True


def check_quantized(model: Call, device: torch.device, precision: str) -> None:
    """Raise NotComparableError if a call builds a quantized model that this machine cannot run."""
    if not is_quantized_call(model):
        return
    engines, backend = [name for name in torch.backends.quantized.supported_engines if name != "none"], _backend(model)
    if backend not in engines:
        known = f"has {', '.join(engines)}" if engines else "has none"
        raise NotComparableError(f"the weights are quantized for {backend}; this build of torch {known}")
    if device.type != "cpu":
        raise NotComparableError(f"quantized weights compute on the CPU, not on {device.type}: pass --device cpu")
    if precision != "fp32":
        raise NotComparableError(f"quantized weights compute with whole numbers, not in {precision}")


def _backend(model: Call) -> str:
    return str(model.args.get("backend", "qnnpack" if "mobilenet" in model.use else "fbgemm"))
