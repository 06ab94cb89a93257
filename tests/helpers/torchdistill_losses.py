"""Losses of this project side by side with those of torchdistill 1.1.5, on the same features and with equal weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs
from tests.helpers.available_losses import losses

mid = pytest.importorskip("torchdistill.losses.mid_level", reason="the extra `parity` is not installed")
models = pytest.importorskip("torchdistill.models.wrapper")

Tensors = Mapping[str, Tensor]
Function = Callable[[Any, Any, Any], Tensor]
"""A loss of student, teacher and labels."""
Pair = Callable[[Tensors, Tensors], tuple[Any, Function]]
"""Builds both losses, this project's and torchdistill's, for the features of student and teacher."""
Modules = Mapping[str, tuple[str, str, Callable[[int, int], Any]]]
"""Adapters by their paths in torchdistill: the feature that one reads, its path in this project's loss, and a function
that builds torchdistill's for the channels of student and teacher."""

SIZES = [(3, 4, 6, 4, 5), (5, 6, 4, 7, 3), (8, 5, 10, 9, 11)]
"""Rows, channels of the student, channels of the teacher, side of the features, classes."""
ADAPTERS = ("encoder", "translator", "feature_adapter", "affinity_adapter", "projector", "teacher_norm",
            "student_embedding", "teacher_embedding")  # fmt: skip
ON_CPU: dict[str, Any] = {"device": torch.device("cpu"), "device_ids": None, "distributed": False}
IDENTITY = nn.Identity()


def random_batch(size: tuple[int, ...] = SIZES[0], rotations: int = 1) -> tuple[Any, Any, Tensor]:
    """Return tensors of student and teacher, and labels.

    The tensors are logits, feature maps f and (deeper) g, and vectors v; w and e have equal shapes for both models.
    """
    rows, student_channels, teacher_channels, side, classes = size
    n, half, generator = rows * rotations, side // 2, torch.Generator().manual_seed(7)
    both = []
    for channels in (student_channels, teacher_channels):
        shapes = {"logits": (classes,), "v": (channels,), "w": (teacher_channels,)}
        shapes |= {"e": (teacher_channels, side, side), "f": (channels, side, side), "g": (channels + 2, half, half)}
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        both.append({name: draw(n, *shape) for name, shape in shapes.items()})
    return both[0], both[1], torch.arange(rows) % classes


def as_outputs(tensors: Tensors) -> ModelOutputs:
    """Return the tensors as this project's losses take them."""
    return ModelOutputs(tensors.get("logits"), tensors)


def as_io_dict(tensors: Tensors, modules: Mapping[str, tuple[nn.Module, str]] | None = None) -> dict[str, Any]:
    """Return the tensors, and the outputs of modules for them, as torchdistill's losses take them."""
    outputs = {path: module(tensors[name]) for path, (module, name) in (modules or {}).items()}
    return {path: {"output": value} for path, value in (dict(tensors) | outputs).items()}


def with_weights_of(source: nn.Module, target: Any) -> Any:
    """Copy weights and mode to torchdistill's module, in float64. Both modules have their weights in the same order."""
    target.double().load_state_dict(dict(zip(target.state_dict(), source.state_dict().values(), strict=True)))
    return target.train(source.training)


def with_adapters(loss: Loss, student: Tensors, teacher: Tensors) -> Any:
    """Return this project's loss with its adapters, in float64."""
    loss.build_adapters(as_outputs(student), as_outputs(teacher))
    return loss.double().train()


def pair_of(
    ours: Any, theirs: Any, student: Modules | None = None, teacher: Modules | None = None, *, bare: bool = False
) -> Pair:
    """Pair this project's loss with torchdistill's behind modules with equal weights; `bare` leaves adapters out."""

    def build(s: Tensors, t: Tensors) -> tuple[Any, Function]:
        loss = with_adapters(ours(), s, t)
        for name in ADAPTERS if bare else ():
            setattr(loss, name, IDENTITY)
        student_modules, teacher_modules = (
            {
                path: (with_weights_of(loss.get_submodule(part), make(s[name].shape[1], t[name].shape[1])), name)
                for path, (name, part, make) in (modules or {}).items()
            }
            for modules in (student, teacher)
        )
        return loss, lambda s, t, labels: theirs(as_io_dict(s, student_modules), as_io_dict(t, teacher_modules), labels)

    return build


def on(kind: Any, path: Any, **settings: Any) -> Callable[[], nn.Module]:
    """Return a function that builds a loss on the same feature path of both models."""
    return partial(kind, student=path, teacher=path, **settings)


def both_paths(path: str) -> dict[str, str]:
    """Return the arguments of torchdistill's losses that name one module's output in both models."""
    names = ("student_module", "teacher_module")
    return {f"{name}_path": path for name in names} | {f"{name}_io": "output" for name in names}


def path_pair(*paths: str, names: tuple[str, ...] = ("student", "teacher")) -> dict[str, Any]:
    return {"pair": {name: {"path": path, "io": "output"} for name, path in zip(names, paths, strict=True)}}


def wrapped(loss: nn.Module, path: str, target: str | None = None, *, teacher: bool = False) -> Any:
    """Return torchdistill's wrapper of a PyTorch loss: of a module's output and the teacher's, or the labels."""
    source = {"is_from_teacher": teacher, "module_path": path, "io": "output"}
    against = {"is_from_teacher": True, "module_path": target, "io": "output"} if target else {"uses_label": True}
    return mid.SimpleLossWrapper(loss, input=source, target=against)


def weighted_sum(*terms: tuple[float, Any]) -> Function:
    return lambda s, t, labels: torch.stack([weight * loss(s, t, labels) for weight, loss in terms]).sum()


def paraphraser(_: int, channels: int) -> Any:
    return models.Paraphraser4FactorTransfer(k=0.5, num_input_channels=channels)


def ktaad(inputs: int, channels: int) -> Any:
    layer = {"in_channels": inputs, "out_channels": channels // 2, "kernel_size": 3, "padding": 1}
    feature = {"conv_kwargs": layer, "bn_kwargs": {"num_features": channels // 2}, "relu_kwargs": {}}
    return models.Student4KTAAD(IDENTITY, "f", feature, {"conv_kwargs": layer}, **ON_CPU)


def connector(inputs: int, outputs: int) -> Any:
    layer = {"in_channels": inputs, "out_channels": outputs, "kernel_size": 1, "bias": False}
    return models.Connector4DAB.build_connector(layer, {"num_features": outputs})


def sskd_head(width: int) -> Any:
    module = {"path": "v", "io": "output"}
    return models.SSWrapper4SSKD(module, width, "", student_model=IDENTITY, **ON_CPU).ss_module


def pad_variance(width: int, _: int) -> Any:
    return models.VarianceBranch4PAD(IDENTITY, {"path": "w", "io": "output"}, width, "", **ON_CPU).var_estimator


class SRDProjection(nn.Module):
    """The output of the norm layer of torchdistill's SRDModelWrapper."""

    def __init__(self, inputs: int | None, width: int) -> None:
        super().__init__()
        linear = inputs and {"in_features": inputs, "out_features": width}
        module, norm = {"path": "x", "io": "output"}, {"num_features": width, "eps": 1e-4, "affine": False}
        self.model = models.SRDModelWrapper(module, norm, linear_kwargs=linear, student_model=IDENTITY, **ON_CPU)

    def forward(self, feature: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        with self.model.norm_layer.register_forward_hook(lambda *called: outputs.append(called[2])):
            self.model.secondary_forward(as_io_dict({"x": feature}))
        return outputs[0]


def vid(s: Tensors, t: Tensors) -> tuple[Any, Function]:
    ours = with_adapters(losses.VID(student=["f"], teacher=["f"], mid_channels=7), s, t)
    regressor = models.Regressor4VID(s["f"].shape[1], 7, t["f"].shape[1], eps=1e-5, init_pred_var=5.0).double()
    with_weights_of(ours.means[0], regressor.regressor)
    with torch.no_grad():
        regressor.soft_plus_param.copy_(ours.scales[0].normal_())
    theirs = mid.VIDLoss(path_pair("r", "f"))
    return ours, lambda s, t, _: theirs(as_io_dict(s, {"r": (regressor, "f")}), as_io_dict(t))


def knowledge_review(s: Tensors, t: Tensors) -> tuple[Any, Function]:
    ours = with_adapters(losses.KnowledgeReview(student=["f", "g"], teacher=["f", "g"], mid_channels=5), s, t)
    shallow, deep = (
        with_weights_of(
            fusion, models.AttentionBasedFusion(s[name].shape[1], 5, t[name].shape[1], uses_attention=name == "f")
        )
        for fusion, name in zip(ours.fusions, "fg", strict=True)
    )
    loss = weighted_sum(*((1, mid.HierarchicalContextLoss(**both_paths(name))) for name in "fg"))

    def theirs(s: Tensors, t: Tensors, labels: Tensor) -> Tensor:
        fused, residual = deep(s["g"])
        maps = {"f": {"output": shallow(s["f"], residual, s["f"].shape[2])}, "g": {"output": (fused, residual)}}
        return loss(maps, as_io_dict(t), labels)

    return ours, theirs


def head_network(s: Any, t: Any, labels: Tensor) -> Tensor:
    loss = nn.MSELoss(reduction="sum")
    return weighted_sum(*((1 / len(labels), wrapped(loss, path, path)) for path in "ew"))(s, t, labels)


TEACHER_HEAD: Modules = {"x": ("v", "teacher_head", lambda i, o: sskd_head(o))}


def sskd(ratio: float = 0.5, weights: tuple[float, ...] = (1, 0.9, 10, 2.7)) -> Pair:
    settings = {"kl_temp": 4, "ss_temp": 0.5, "tf_temp": 4, "ss_ratio": 0.75, "tf_ratio": ratio}
    return pair_of(
        on(losses.SSKD, "v", ratio=ratio, weights=weights),
        mid.SSKDLoss(*["logits"] * 2, *["x"] * 2, **settings, loss_weights=weights),
        {"x": ("v", "student_head", lambda i, o: sskd_head(i))},
        TEACHER_HEAD,
    )


def factor_transfer(p: int) -> Pair:
    translator = ("f", "translator", lambda i, o: models.Translator4FactorTransfer(i, o // 2))
    return pair_of(on(losses.FactorTransfer, "f", p=p), mid.FTLoss(p=p), {"translator": translator}, ENCODER)


ENCODER: Modules = {"paraphraser": ("f", "encoder", lambda i, o: paraphraser(i, o).encoder)}
AUTOENCODER: Modules = {"x": ("f", "", paraphraser)}
RECONSTRUCTION = wrapped(nn.MSELoss(), "x", "f", teacher=True)
KTAAD: Modules = {
    "feature_adapter": ("f", "feature_adapter", lambda i, o: ktaad(i, o).feature_adapter),
    "x": ("f", "affinity_adapter", lambda i, o: ktaad(i, o).affinity_adapter),
}
LOGITS = both_paths("logits")
DIST_PLUS_PATHS = ["logits", "output"] * 2 + ["e", "output"] * 2
EQUAL_LOSSES: dict[str, Pair] = {
    "KD": pair_of(partial(losses.KD, temperature=3, alpha=0.3), mid.KDLoss(**LOGITS, temperature=3, alpha=0.3)),
    "KL": pair_of(partial(losses.KL, temperature=3), mid.KDLoss(**LOGITS, temperature=3, alpha=0)),
    "CrossEntropy": pair_of(losses.CrossEntropy, wrapped(nn.CrossEntropyLoss(), "logits")),
    "LogitMSE": pair_of(losses.LogitMSE, wrapped(nn.MSELoss(), "logits", "logits")),
    "FeatureMSE": pair_of(on(losses.FeatureMSE, "e"), wrapped(nn.MSELoss(), "e", "e")),
    "HeadNetworkDistillation": pair_of(on(losses.HeadNetworkDistillation, ["e", "w"]), head_network),
    "AttentionTransfer-paper": pair_of(on(losses.AttentionTransfer, ["f"]), mid.ATLoss(path_pair("f", "f"), "paper")),
    "AttentionTransfer-code": pair_of(
        on(losses.AttentionTransfer, ["f"], form="code"), mid.ATLoss(path_pair("f", "f"), "code")),
    "PKT": pair_of(on(losses.PKT, "v"), mid.PKTLoss(**both_paths("v"))),
    "Paraphrase": pair_of(partial(losses.Paraphrase, teacher="f"), RECONSTRUCTION, None, AUTOENCODER),
    "FactorTransfer-1": factor_transfer(1),
    "FactorTransfer-2": factor_transfer(2),
    "KnowledgeTranslation": pair_of(
        partial(losses.KnowledgeTranslation, teacher="f"), RECONSTRUCTION, None, AUTOENCODER),
    "KnowledgeAdaptation": pair_of(on(losses.KnowledgeAdaptation, "f", adaptation=50, affinity=2), weighted_sum(
        (50, mid.KTALoss()), (2, mid.AffinityLoss("x", "paraphraser"))), KTAAD, ENCODER),
    "ActivationBoundaries": pair_of(on(losses.ActivationBoundaries, ["f"], margin=0.7), mid.AltActTransferLoss(
        path_pair("x", "f"), 0.7, "mean"), {"x": ("f", "connectors.0", connector)}),
    "RKD": pair_of(partial(losses.RKD, student="f", teacher="g"), mid.RKDLoss("f", "g", 25, 50, "mean")),
    "VID": vid,
    "SelfSupervision": pair_of(partial(losses.SelfSupervision, teacher="v"), mid.AuxSSKDLoss("x"), None, TEACHER_HEAD),
    "SSKD": sskd(),
    "PAD": pair_of(
        on(losses.PAD, "w"), mid.PADL2Loss("w", "w", module_path="x"), {"x": ("w", "log_variance", pad_variance)}),
    "KnowledgeReview": knowledge_review,
    "ICKD": pair_of(on(losses.ICKD, ["f"]), mid.ChSimLoss(path_pair("x", "f")), {
        "x": ("f", "embeddings.0", models.ChannelSimilarityEmbed)}),
    "DIST": pair_of(partial(losses.DIST, temperature=2, gamma=1.5), mid.DISTLoss(**LOGITS, gamma=1.5, tau=2)),
    "DISTPlus": pair_of(
        on(losses.DISTPlus, "e", iota=0, kappa=0.6), mid.DISTPlusLoss(*DIST_PLUS_PATHS, iota=0, kappa=0.6)),
    "SRD": pair_of(
        on(losses.SRD, "f", temperature=2),
        partial(mid.SRDLoss, exponent=4, temperature=2)(*["x", "output"] * 2, *DIST_PLUS_PATHS[:4]),
        {"x": ("f", "projector", SRDProjection)}, {"x": ("f", "teacher_norm", lambda i, o: SRDProjection(None, o))}),
    "LogitStandardizedKD": pair_of(partial(losses.LogitStandardizedKD, temperature=2, alpha=0.1), mid.LogitStdKDLoss(
        **LOGITS, temperature=2, alpha=0.1)),
    "SKDInstance-paper": pair_of(losses.SKDInstance, mid.SKDInstanceLoss(**LOGITS)),
    "SKDInstance-code": pair_of(
        partial(losses.SKDInstance, form="code"), mid.SKDInstanceLoss(**LOGITS, mode="code")),
    "SKDDirection-paper": pair_of(losses.SKDDirection, mid.SKDDirectionLoss(**LOGITS)),
    "SKDDirection-code": pair_of(
        partial(losses.SKDDirection, form="code"), mid.SKDDirectionLoss(**LOGITS, mode="code")),
}  # fmt: skip
"""The losses that are equal in both programs, by name and variant."""


def value_and_gradients(loss: Callable[[Tensors], Tensor], tensors: Tensors) -> dict[str, Tensor]:
    """Return the value of a loss, and its gradients with respect to the tensors that it reads."""
    leaves = {name: value.clone().requires_grad_() for name, value in tensors.items()}
    value = loss(leaves)
    gradients = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
    by_name = {name: gradient for name, gradient in zip(leaves, gradients, strict=True) if gradient is not None}
    return {"loss": value.detach(), **by_name}


def is_close(actual: Any, expected: Any) -> bool:
    """Return whether two numbers differ by at most 1e-6 of the second."""
    actual, expected = (float(x.detach()) if isinstance(x, Tensor) else x for x in (actual, expected))
    return abs(actual - expected) <= 1e-6 * abs(expected)
