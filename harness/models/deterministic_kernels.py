"""Deterministic CUDA kernels for operations of torch that have none.

Why: with deterministic algorithms torch raises an error where it would call such an operation, for example the loss of
pixels or the gradient of adaptive pooling. A training would end there.

When: in a process that sees a CUDA device, from the first run on. Other devices keep torch's kernels, which are
deterministic.

Effect: the same values, to rounding. `SEPARABLE` and `BY_INDEX` are matrix products and sums in a fixed order; those in
`ON_CPU` move their tensors to the CPU and back, which is slow. `torch.use_deterministic_algorithms` lists the
operations that raise an error. Those of the list that are not here change tensors in place or are no part of a model:
`put_`, `index_reduce`, `scatter_reduce` with `prod`, `bincount` with weights, `median` with indices, and `EmbeddingBag`
with `max`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

ATEN = torch.ops.aten
Kernel = Callable[..., Any]
Last = Callable[[Sequence[Any], Any], list[Any]]


def nll_loss2d_forward(
    logits: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return the loss of log-probabilities `(B, C, H, W)` for labels `(B, H, W)`, and the sum of the labels' weights.

    `reduction` is 0 for the losses of all pixels, 1 for their weighted mean, 2 for their sum.
    """
    if target.shape != (logits.shape[0], *logits.shape[2:]):
        raise RuntimeError(f"size mismatch (got input: {tuple(logits.shape)}, target: {tuple(target.shape)})")
    label, weights = _label_weights(logits, target, weight, ignore_index)
    losses = -logits.gather(1, label.unsqueeze(1)).squeeze(1).to(weights) * weights
    losses = torch.where(weights == 0, 0.0, losses)
    if reduction == 0:
        return losses.to(logits), logits.new_zeros(())
    total = weights.sum()
    return (losses.sum() / (total if reduction == 1 else 1)).to(logits), total.to(logits)


def nll_loss2d_backward(
    gradient: Tensor,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: int,
    ignore_index: int,
    total_weight: Tensor,
) -> Tensor:
    """Return the gradient of `nll_loss2d_forward` for the log-probabilities."""
    label, weights = _label_weights(logits, target, weight, ignore_index)
    scale = -gradient * weights / (weights.sum() if reduction == 1 else 1)
    scale = torch.where(target == ignore_index, 0.0, scale)  # 0 / 0 if all pixels are ignored
    is_label = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1) == label.unsqueeze(1)
    return torch.where(is_label, scale.unsqueeze(1), 0.0).to(logits)


def _label_weights(logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int) -> tuple[Tensor, Tensor]:
    """Return the labels, 0 in place of ignored ones, and the weight of every pixel in at least single precision."""
    is_counted = target != ignored
    label, dtype = torch.where(is_counted, target, 0), torch.promote_types(logits.dtype, torch.float32)
    weights = is_counted if weight is None else torch.where(is_counted, weight[label], 0.0)
    return label, weights.to(dtype)


def along_each_dimension(gradient: Tensor, sizes: Sequence[int], forward: Callable[[Tensor, Last], Tensor]) -> Tensor:
    """Return the gradient of a linear operation that treats each of its dimensions by itself, and all of them alike.

    The matrix of one dimension is what the operation returns for unit vectors along its last dimension.

    Args:
        gradient: The gradient of the outputs, `(..., h, w)` for two dimensions.
        sizes: The sizes of the inputs along these dimensions.
        forward: Applies the operation to a tensor `(1, size, ..., 1, size)`, with the arguments of one dimension for
            the last one. Its second argument is a function that puts them there: it takes the arguments of all
            dimensions, and a neutral one.
    """
    result = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    for number, size in enumerate(sizes):
        ones, dim = [1] * (len(sizes) - 1), number - len(sizes)
        unit = torch.eye(size, device=gradient.device, dtype=result.dtype).reshape(1, size, *ones, size)
        matrix = forward(unit, partial(_last_only, dim)).reshape(size, -1)
        result = (result.movedim(dim, -1) @ matrix.T).movedim(-1, dim)
    return result.to(gradient).contiguous()


def _last_only(dim: int, values: Sequence[Any], neutral: Any) -> list[Any]:
    """Return the value of a dimension in the last place, and a neutral value in all others."""
    return [*[neutral] * (len(values) - 1), values[dim]]


def adaptive_avg_pool_backward(forward: Kernel, dims: int, gradient: Tensor, inputs: Tensor) -> Tensor:
    """Return the gradient of adaptive average pooling over the last `dims` dimensions."""
    sizes = gradient.shape[-dims:]
    return along_each_dimension(gradient, inputs.shape[-dims:], lambda unit, last: forward(unit, last(sizes, 1)))


def avg_pool3d_backward(
    gradient: Tensor,
    inputs: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Return the gradient of average pooling in three dimensions; a single number is the same for each of them."""
    kernel, padding = (list(values) * (3 // len(values)) for values in (kernel_size, padding))
    stride = list(stride or kernel) * (3 // len(stride or kernel))

    def pool(unit: Tensor, last: Last) -> Tensor:
        places = last(kernel, 1), last(stride, 1), last(padding, 0)
        divisor = 1 if divisor_override else None
        return ATEN.avg_pool3d(unit, *places, ceil_mode, count_include_pad, divisor)  # type: ignore[no-any-return]

    return along_each_dimension(gradient, inputs.shape[-3:], pool) / (divisor_override or 1)


def reflection_pad_backward(
    forward: Kernel, dims: int, gradient: Tensor, inputs: Tensor, padding: Sequence[int]
) -> Tensor:
    """Return the gradient of padding by reflection; `padding` has two numbers a dimension, the last dimension first."""
    pairs = [padding[2 * place : 2 * place + 2] for place in reversed(range(dims))]

    def pad(unit: Tensor, last: Last) -> Tensor:
        return forward(unit, [side for pair in reversed(last(pairs, (0, 0))) for side in pair])  # type: ignore[no-any-return]

    return along_each_dimension(gradient, inputs.shape[-dims:], pad)


def upsample_backward(
    forward: Kernel,
    dims: int,
    gradient: Tensor,
    output_size: Sequence[int],
    input_size: Sequence[int],
    align_corners: bool,
    *scales: float | None,
) -> Tensor:
    """Return the gradient of linear or cubic interpolation over the last `dims` dimensions."""
    factors = [*scales, *[None] * (dims - len(scales))]

    def resize(unit: Tensor, last: Last) -> Tensor:
        return forward(unit, last(output_size, 1), align_corners, *last(factors, None))  # type: ignore[no-any-return]

    return along_each_dimension(gradient, input_size[-dims:], resize)


def max_pool_backward(dims: int, gradient: Tensor, inputs: Tensor, *arguments: Any) -> Tensor:
    """Return the gradient of max pooling over the last `dims` dimensions, from the places of the maxima."""
    indices: Tensor = arguments[-1]
    per_plane = inputs.shape[-dims:].numel()
    planes = indices.reshape(-1, indices.shape[-dims:].numel())
    places = planes + per_plane * torch.arange(len(planes), device=indices.device).unsqueeze(1)
    result = gradient.new_zeros(inputs.numel())
    return result.index_put_((places.flatten(),), gradient.flatten(), accumulate=True).view(inputs.shape)


def on_cpu(operator: Kernel, *arguments: Any, **options: Any) -> Any:
    """Call an operator with all tensors on the CPU, and return its tensors on the device of the first argument."""
    moved, moved_options = tree_map_only(Tensor, Tensor.cpu, (arguments, options))
    return tree_map_only(Tensor, lambda value: value.to(arguments[0].device), operator(*moved, **moved_options))


SEPARABLE: dict[str, Kernel] = {
    "_adaptive_avg_pool2d_backward": partial(adaptive_avg_pool_backward, ATEN._adaptive_avg_pool2d, 2),
    "_adaptive_avg_pool3d_backward": partial(adaptive_avg_pool_backward, ATEN._adaptive_avg_pool3d, 3),
    "avg_pool3d_backward": avg_pool3d_backward,
    "reflection_pad1d_backward": partial(reflection_pad_backward, ATEN.reflection_pad1d, 1),
    "reflection_pad2d_backward": partial(reflection_pad_backward, ATEN.reflection_pad2d, 2),
    "reflection_pad3d_backward": partial(reflection_pad_backward, ATEN.reflection_pad3d, 3),
    "upsample_linear1d_backward": partial(upsample_backward, ATEN.upsample_linear1d, 1),
    "upsample_bilinear2d_backward": partial(upsample_backward, ATEN.upsample_bilinear2d, 2),
    "upsample_bicubic2d_backward": partial(upsample_backward, ATEN.upsample_bicubic2d, 2),
    "upsample_trilinear3d_backward": partial(upsample_backward, ATEN.upsample_trilinear3d, 3),
    "_upsample_bilinear2d_aa_backward": partial(upsample_backward, ATEN._upsample_bilinear2d_aa, 2),
    "_upsample_bicubic2d_aa_backward": partial(upsample_backward, ATEN._upsample_bicubic2d_aa, 2),
}
"""Gradients of linear operations that treat each dimension by itself."""
BY_INDEX: dict[str, Kernel] = {
    "nll_loss2d_forward": nll_loss2d_forward,
    "nll_loss2d_backward": nll_loss2d_backward,
    "adaptive_max_pool2d_backward": partial(max_pool_backward, 2),
    "adaptive_max_pool3d_backward": partial(max_pool_backward, 3),
    "fractional_max_pool2d_backward": partial(max_pool_backward, 2),
    "fractional_max_pool3d_backward": partial(max_pool_backward, 3),
    "max_pool3d_with_indices_backward": partial(max_pool_backward, 3),
}
"""Operations that read or add up numbers at places that a tensor gives."""
ON_CPU = {
    name: partial(on_cpu, operator)
    for name, operator in {
        "_ctc_loss_backward": ATEN._ctc_loss_backward.default,
        "_ctc_loss_backward.Tensor": ATEN._ctc_loss_backward.Tensor,
        "grid_sampler_2d_backward": ATEN.grid_sampler_2d_backward.default,
        "grid_sampler_3d_backward": ATEN.grid_sampler_3d_backward.default,
        "histc": ATEN.histc.default,
        "max_unpool2d": ATEN.max_unpool2d.default,
        "max_unpool3d": ATEN.max_unpool3d.default,
    }.items()
}
"""Operations that are computed on the CPU."""


def register_kernels(kernels: Mapping[str, Kernel], key: str) -> Any:
    """Replace torch's kernels of a dispatch key, such as "CUDA", for as long as the result is referenced."""
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch may warn that its own kernels are replaced, which is the purpose
        for name, kernel in kernels.items():
            library.impl(name, kernel, key)
    return library


@cache
def use_on_cuda() -> Any:
    """Use the kernels on CUDA devices for the rest of the process; None if this version of torch refuses them.

    An operation without a deterministic kernel is then an error of the run that needs it, as without this module.
    """
    try:
        return register_kernels({**SEPARABLE, **BY_INDEX, **ON_CPU}, "CUDA")
    except RuntimeError:
        return None
