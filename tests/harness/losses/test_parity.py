"""Our losses against those of torchdistill 1.1.5: equal to 1e-6, but for a table of where theirs leave their papers."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.losses.functional import unit
from harness.models.outputs import ModelOutputs, run_model
from tests.helpers.available_losses import L, part_of
from tests.helpers.project import ROOT

mid = pytest.importorskip("torchdistill.losses.mid_level", reason="the extra `parity` is not installed")
high = pytest.importorskip("torchdistill.losses.high_level")
models = pytest.importorskip("torchdistill.models.wrapper")
registry = pytest.importorskip("torchdistill.losses.registry")

Fusion = part_of("knowledge_review", "Fusion")
Tensors = Mapping[str, Tensor]
Loss = Callable[[Any, Any, Any], Tensor]
Method = Callable[[Tensors, Tensors], tuple[Any, Loss]]
Parts = Mapping[str, tuple[str, str, Callable[[int, int], Any]]]
Check = Callable[[], None]

SIZES = [(3, 4, 6, 4, 5), (5, 6, 4, 7, 3), (8, 5, 10, 9, 11)]
"""Rows, channels of the student, of the teacher, side of the features, classes."""
TURNED = ("SelfSupervision", "SSKD")
OF_TEACHER = ("Paraphrase", "KnowledgeTranslation", "SelfSupervision")
ADAPTERS = ("encoder", "translator", "feature_adapter", "affinity_adapter", "projector", "teacher_norm",
            "student_embedding", "teacher_embedding")  # fmt: skip
HERE: dict[str, Any] = {"device": torch.device("cpu"), "device_ids": None, "distributed": False}
NOTHING = nn.Identity()


def batch(size: tuple[int, ...] = SIZES[0], turns: int = 1) -> tuple[Any, Any, Tensor]:
    """Taps of both: logits, feature maps f and deeper g, vectors v; w and e have one shape for both."""
    rows, mine, theirs, side, classes = size
    n, half, generator = rows * turns, side // 2, torch.Generator().manual_seed(7)
    found = []
    for channels in (mine, theirs):
        shapes = {"logits": (classes,), "v": (channels,), "w": (theirs,), "e": (theirs, side, side)}
        shapes |= {"f": (channels, side, side), "g": (channels + 2, half, half)}
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        found.append({tap: draw(n, *shape) for tap, shape in shapes.items()})
    return found[0], found[1], torch.arange(rows) % classes


def seen(taps: Tensors) -> ModelOutputs:
    return ModelOutputs(taps.get("logits"), taps)


def shown(taps: Tensors, modules: Mapping[str, tuple[nn.Module, str]] | None = None) -> dict[str, Any]:
    """Taps, and what their modules make of them, as torchdistill hands them to a loss."""
    made = {path: module(taps[tap]) for path, (module, tap) in (modules or {}).items()}
    return {path: {"output": value} for path, value in (dict(taps) | made).items()}


def copied(ours: nn.Module, theirs: Any) -> Any:
    """Their module in float64 with mode and weights of ours; both have them in one order."""
    theirs.double().load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    return theirs.train(ours.training)


def built(ours: nn.Module, student: Tensors, teacher: Tensors) -> Any:
    """Our loss with its adapters, in float64."""
    if hasattr(ours, "build_adapters"):
        ours.build_adapters(seen(student), seen(teacher))
    return ours.double().train()


def method(
    ours: Any, theirs: Any, student: Parts | None = None, teacher: Parts | None = None, *, bare: bool = False
) -> Method:
    """Our loss and theirs behind modules with the weights of ours, or, `bare`, either without adapters.

    A part is a path of theirs: the tap that it reads, the path of ours, and theirs for both models' channels.
    """

    def make(s: Tensors, t: Tensors) -> tuple[Any, Loss]:
        loss = built(ours(), s, t)
        for name in ADAPTERS if bare else ():
            setattr(loss, name, NOTHING)
        mine, other = (
            {
                path: (copied(loss.get_submodule(own), made(s[tap].shape[1], t[tap].shape[1])), tap)
                for path, (tap, own, made) in (parts or {}).items()
            }
            for parts in (student, teacher)
        )
        return loss, lambda s, t, labels: theirs(shown(s, mine), shown(t, other), labels)

    return make


def on(kind: Any, tap: Any, **settings: Any) -> Callable[[], nn.Module]:
    return partial(kind, student=tap, teacher=tap, **settings)


def both(tap: str) -> dict[str, str]:
    """The arguments of their losses that name one module's output in either model."""
    names = ("student_module", "teacher_module")
    return {f"{name}_path": tap for name in names} | {f"{name}_io": "output" for name in names}


def pair(*paths: str, names: tuple[str, ...] = ("student", "teacher")) -> dict[str, Any]:
    return {"pair": {name: {"path": path, "io": "output"} for name, path in zip(names, paths, strict=True)}}


def wrapped(loss: nn.Module, path: str, target: str | None = None, *, teacher: bool = False) -> Any:
    """A loss of PyTorch by their configuration: of a module's output and the teacher's, or the labels."""
    source = {"is_from_teacher": teacher, "module_path": path, "io": "output"}
    against = {"is_from_teacher": True, "module_path": target, "io": "output"} if target else {"uses_label": True}
    return mid.SimpleLossWrapper(loss, input=source, target=against)


def summed(*terms: tuple[float, Any]) -> Loss:
    return lambda s, t, labels: torch.stack([weight * loss(s, t, labels) for weight, loss in terms]).sum()


def paraphraser(_: int, channels: int) -> Any:
    return models.Paraphraser4FactorTransfer(k=0.5, num_input_channels=channels)


def ktaad(inputs: int, channels: int) -> Any:
    layer = {"in_channels": inputs, "out_channels": channels // 2, "kernel_size": 3, "padding": 1}
    feature = {"conv_kwargs": layer, "bn_kwargs": {"num_features": channels // 2}, "relu_kwargs": {}}
    return models.Student4KTAAD(NOTHING, "f", feature, {"conv_kwargs": layer}, **HERE)


def connector(inputs: int, outputs: int) -> Any:
    layer = {"in_channels": inputs, "out_channels": outputs, "kernel_size": 1, "bias": False}
    return models.Connector4DAB.build_connector(layer, {"num_features": outputs})


def head(width: int) -> Any:
    return models.SSWrapper4SSKD({"path": "v", "io": "output"}, width, "", student_model=NOTHING, **HERE).ss_module


def variance(width: int, _: int) -> Any:
    return models.VarianceBranch4PAD(NOTHING, {"path": "w", "io": "output"}, width, "", **HERE).var_estimator


class Projected(nn.Module):
    """What the norm of their SRDModelWrapper gives."""

    def __init__(self, inputs: int | None, width: int) -> None:
        super().__init__()
        linear = inputs and {"in_features": inputs, "out_features": width}
        module, norm = {"path": "x", "io": "output"}, {"num_features": width, "eps": 1e-4, "affine": False}
        self.model = models.SRDModelWrapper(module, norm, linear_kwargs=linear, student_model=NOTHING, **HERE)

    def forward(self, feature: Tensor) -> Tensor:
        found: list[Tensor] = []
        with self.model.norm_layer.register_forward_hook(lambda *called: found.append(called[2])):
            self.model.secondary_forward(shown({"x": feature}))
        return found[0]


def vid(s: Tensors, t: Tensors) -> tuple[Any, Loss]:
    ours = built(L.VID(student=["f"], teacher=["f"], mid_channels=7), s, t)
    regressor = models.Regressor4VID(s["f"].shape[1], 7, t["f"].shape[1], eps=1e-5, init_pred_var=5.0).double()
    copied(ours.means[0], regressor.regressor)
    with torch.no_grad():
        regressor.soft_plus_param.copy_(ours.scales[0].normal_())
    return ours, lambda s, t, _: mid.VIDLoss(pair("r", "f"))(shown(s, {"r": (regressor, "f")}), shown(t))


def knowledge_review(s: Tensors, t: Tensors) -> tuple[Any, Loss]:
    ours = built(L.KnowledgeReview(student=["f", "g"], teacher=["f", "g"], mid_channels=5), s, t)
    shallow, deep = (
        copied(own, models.AttentionBasedFusion(s[tap].shape[1], 5, t[tap].shape[1], uses_attention=tap == "f"))
        for own, tap in zip(ours.fusions, "fg", strict=True)
    )

    def theirs(s: Tensors, t: Tensors, labels: Tensor) -> Tensor:
        fused, residual = deep(s["g"])
        maps = {"f": {"output": shallow(s["f"], residual, s["f"].shape[2])}, "g": {"output": (fused, residual)}}
        return summed(*((1, mid.HierarchicalContextLoss(**both(tap))) for tap in "fg"))(maps, shown(t), labels)

    return ours, theirs


def head_network(s: Any, t: Any, labels: Tensor) -> Tensor:
    loss = nn.MSELoss(reduction="sum")
    return summed(*((1 / len(labels), wrapped(loss, tap, tap)) for tap in "ew"))(s, t, labels)


TEACHER_HEAD: Parts = {"x": ("v", "teacher_head", lambda i, o: head(o))}


def sskd(ratio: float = 0.5, weights: tuple[float, ...] = (1, 0.9, 10, 2.7)) -> Method:
    temperatures = {"kl_temp": 4, "ss_temp": 0.5, "tf_temp": 4}
    return method(
        on(L.SSKD, "v", ratio=ratio, weights=weights),
        mid.SSKDLoss(*["logits"] * 2, *["x"] * 2, **temperatures, ss_ratio=0.75, tf_ratio=ratio, loss_weights=weights),
        {"x": ("v", "student_head", lambda i, o: head(i))},
        TEACHER_HEAD,
    )


def factor_transfer(p: int) -> Method:
    translator = ("f", "translator", lambda i, o: models.Translator4FactorTransfer(i, o // 2))
    return method(on(L.FactorTransfer, "f", p=p), mid.FTLoss(p=p), {"translator": translator}, ENCODER)


ENCODER: Parts = {"paraphraser": ("f", "encoder", lambda i, o: paraphraser(i, o).encoder)}
WHOLE: Parts = {"x": ("f", "", paraphraser)}
RECONSTRUCTION = wrapped(nn.MSELoss(), "x", "f", teacher=True)
KTAAD: Parts = {
    "feature_adapter": ("f", "feature_adapter", lambda i, o: ktaad(i, o).feature_adapter),
    "x": ("f", "affinity_adapter", lambda i, o: ktaad(i, o).affinity_adapter),
}
LOGITS, PLUS = both("logits"), ["logits", "output"] * 2 + ["e", "output"] * 2
METHODS: dict[str, Method] = {
    "KD": method(partial(L.KD, temperature=3, alpha=0.3), mid.KDLoss(**LOGITS, temperature=3, alpha=0.3)),
    "KL": method(partial(L.KL, temperature=3), mid.KDLoss(**LOGITS, temperature=3, alpha=0)),
    "CrossEntropy": method(L.CrossEntropy, wrapped(nn.CrossEntropyLoss(), "logits")),
    "LogitMSE": method(L.LogitMSE, wrapped(nn.MSELoss(), "logits", "logits")),
    "FeatureMSE": method(on(L.FeatureMSE, "e"), wrapped(nn.MSELoss(), "e", "e")),
    "HeadNetworkDistillation": method(on(L.HeadNetworkDistillation, ["e", "w"]), head_network),
    "AttentionTransfer-paper": method(on(L.AttentionTransfer, ["f"]), mid.ATLoss(pair("f", "f"), "paper")),
    "AttentionTransfer-code": method(on(L.AttentionTransfer, ["f"], form="code"), mid.ATLoss(pair("f", "f"), "code")),
    "PKT": method(on(L.PKT, "v"), mid.PKTLoss(**both("v"))),
    "Paraphrase": method(partial(L.Paraphrase, teacher="f"), RECONSTRUCTION, None, WHOLE),
    "FactorTransfer-1": factor_transfer(1),
    "FactorTransfer-2": factor_transfer(2),
    "KnowledgeTranslation": method(partial(L.KnowledgeTranslation, teacher="f"), RECONSTRUCTION, None, WHOLE),
    "KnowledgeAdaptation": method(on(L.KnowledgeAdaptation, "f", adaptation=50, affinity=2), summed(
        (50, mid.KTALoss()), (2, mid.AffinityLoss("x", "paraphraser"))), KTAAD, ENCODER),
    "ActivationBoundaries": method(on(L.ActivationBoundaries, ["f"], margin=0.7), mid.AltActTransferLoss(
        pair("x", "f"), 0.7, "mean"), {"x": ("f", "connectors.0", connector)}),
    "RKD": method(partial(L.RKD, student="f", teacher="g"), mid.RKDLoss("f", "g", 25, 50, "mean")),
    "VID": vid,
    "SelfSupervision": method(partial(L.SelfSupervision, teacher="v"), mid.AuxSSKDLoss("x"), None, TEACHER_HEAD),
    "SSKD": sskd(),
    "PAD": method(on(L.PAD, "w"), mid.PADL2Loss("w", "w", module_path="x"), {"x": ("w", "log_variance", variance)}),
    "KnowledgeReview": knowledge_review,
    "ICKD": method(on(L.ICKD, ["f"]), mid.ChSimLoss(pair("x", "f")), {
        "x": ("f", "embeddings.0", models.ChannelSimilarityEmbed)}),
    "DIST": method(partial(L.DIST, temperature=2, gamma=1.5), mid.DISTLoss(**LOGITS, gamma=1.5, tau=2)),
    "DISTPlus": method(on(L.DISTPlus, "e", iota=0, kappa=0.6), mid.DISTPlusLoss(*PLUS, iota=0, kappa=0.6)),
    "SRD": method(
        on(L.SRD, "f", temperature=2), partial(mid.SRDLoss, exponent=4, temperature=2)(*["x", "output"] * 2, *PLUS[:4]),
        {"x": ("f", "projector", Projected)}, {"x": ("f", "teacher_norm", lambda i, o: Projected(None, o))}),
    "LogitStandardizedKD": method(partial(L.LogitStandardizedKD, temperature=2, alpha=0.1), mid.LogitStdKDLoss(
        **LOGITS, temperature=2, alpha=0.1)),
    "SKDInstance-paper": method(L.SKDInstance, mid.SKDInstanceLoss(**LOGITS)),
    "SKDInstance-code": method(partial(L.SKDInstance, form="code"), mid.SKDInstanceLoss(**LOGITS, mode="code")),
    "SKDDirection-paper": method(L.SKDDirection, mid.SKDDirectionLoss(**LOGITS)),
    "SKDDirection-code": method(partial(L.SKDDirection, form="code"), mid.SKDDirectionLoss(**LOGITS, mode="code")),
}  # fmt: skip


def measured(loss: Callable[[Tensors], Tensor], taps: Tensors) -> dict[str, Tensor]:
    """A loss, and its gradients with regard to the taps that it reads."""
    leaves = {tap: value.clone().requires_grad_() for tap, value in taps.items()}
    value = loss(leaves)
    gradients = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
    found = {tap: gradient for tap, gradient in zip(leaves, gradients, strict=True) if gradient is not None}
    return {"loss": value.detach(), **found}


def agree(found: Tensors, expected: Tensors) -> None:
    """Equal to 1e-6 of the largest number of each, and none of them all zero."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert value.abs().max() > 0
        assert (found[name] - value).abs().max() <= 1e-6 * value.abs().max(), name


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_ours_and_theirs_are_one_loss_with_one_gradient(
    name: str, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "argsort", partial(torch.argsort, stable=True))  # see "SSKDLoss, ties" below
    student, teacher, labels = batch(size, turns=4 if name in TURNED else 1)
    ours, theirs = METHODS[name](student, teacher)
    if name in OF_TEACHER:
        found = measured(lambda taps: ours(seen(student), seen(taps), labels), teacher)
        agree(found, measured(lambda taps: theirs(student, taps, labels), teacher))
    else:
        found = measured(lambda taps: ours(seen(taps), seen(teacher), labels), student)
        agree(found, measured(lambda taps: theirs(taps, teacher, labels), student))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_crd_is_one_loss_in_both_and_moves_memories_and_constants_alike(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    (count, _, negatives, _, _), (student, teacher, _) = size, batch(size)
    ours: Any = L.CRD(student="v", teacher="v", dim=7, negatives=negatives)
    ours.prepare_split(SimpleNamespace(labels=torch.arange(20) % 3))
    embeddings = [built(ours, student, teacher).student_embedding, ours.teacher_embedding]
    theirs = mid.CRDLoss("x", "empty", "x", 7, 20, negatives, 20).double()
    copied(nn.ParameterList([theirs.params, ours.student_memory, ours.teacher_memory]), theirs)
    mine, other = (models.Normalizer4CRD(copied(e, nn.Linear(e.in_features, 7))) for e in embeddings)

    def of_ours(taps: Tensors) -> Tensor:
        made = [unit(embedding(f["v"])) for embedding, f in zip(embeddings, (taps, teacher), strict=True)]
        return ours.contrast(*made, ids, drawn)

    def of_theirs(taps: Tensors) -> Tensor:
        given = {"empty": {"input": {"pos_idx": ids, "contrast_idx": torch.cat([ids[:, None], drawn], 1)}}}
        return theirs(shown(taps, {"x": (mine, "v")}) | given, shown(teacher, {"x": (other, "v")}))

    for _ in range(2):
        ids, drawn = torch.randperm(20)[:count], torch.randint(20, (count, negatives))
        agree(measured(of_ours, student), measured(of_theirs, student))
        state = {"s": ours.student_memory, "t": ours.teacher_memory, "constants": ours.constants}
        agree(state, {"s": theirs.memory_v1, "t": theirs.memory_v2, "constants": theirs.params[2:4]})
        student = {tap: -value for tap, value in student.items()}


def close(found: Any, expected: Any) -> bool:
    found, expected = (float(x.detach()) if isinstance(x, Tensor) else x for x in (found, expected))
    return abs(found - expected) <= 1e-6 * abs(expected)


def differs(made: Method, paper: Callable[..., Any], instead: Callable[..., Any]) -> Check:
    """Ours is the paper's number, computed here, and theirs another one that can be named."""

    def check() -> None:
        student, teacher, labels = batch()
        ours, theirs = made(student, teacher)
        s, t = ({tap: value.numpy() for tap, value in taps.items()} for taps in (student, teacher))
        expected, wrong = (compute(s, t, labels.numpy()) for compute in (paper, instead))
        assert close(ours(seen(student), seen(teacher), labels), expected)
        assert close(theirs(student, teacher, labels), wrong)
        assert abs(expected - wrong) > 1e-3 * abs(expected)

    return check


def not_finite(made: Method, change: Callable[..., Any], value: Any = None, turns: int = 1) -> Check:
    """Theirs or its gradient is not finite; ours and its gradient are, with a value that is theirs or as computed."""

    def check() -> None:
        student, teacher, labels = change(*batch(turns=turns))
        ours, theirs = made(student, teacher)
        found = measured(lambda taps: ours(seen(taps), seen(teacher), labels), student)
        wrong = measured(lambda taps: theirs(taps, teacher, labels), student)
        assert not all(x.isfinite().all() for x in wrong.values())
        assert all(x.isfinite().all() for x in found.values())
        s, t = ({tap: x.numpy() for tap, x in taps.items()} for taps in (student, teacher))
        loss = found.pop("loss")
        assert close(loss, wrong["loss"] if value is None else value(s, t) if callable(value) else value)
        assert change is not same or all(x.abs().max() < 1e-15 for x in found.values())

    return check


def fails(ours: nn.Module, theirs: Callable[[], Any], tap: str, why: str, change: Any = torch.clone) -> Check:
    """Theirs fails within PyTorch or Python, on taps that are changed, where ours is finite."""

    def check() -> None:
        s, t, labels = batch()
        student, teacher = ({name: change(value) for name, value in taps.items() if name == tap} for taps in (s, t))
        with pytest.raises((TypeError, ValueError, RuntimeError), match=why):
            theirs()(shown(student), shown(teacher))
        single = [run_model(NOTHING, taps[tap]).logits for taps in (student, teacher)]
        mine, yours = ({"logits": value, tap: value} for value in single)
        assert ours(seen(mine), seen(yours), labels).isfinite().all()

    return check


def softmax(logits: Any) -> Any:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def standardized(x: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / (1e-7 + x.std(1, ddof=1, keepdims=True))


def hintons(ours: Any, theirs: Any, alpha: float, changed: Callable[[Any], Any] = np.array) -> Check:
    """alpha CE + (1 - alpha) T^2 KL, T = 3; theirs is KL, for alpha = 0 or called without labels."""
    loss = theirs(**LOGITS, temperature=3, alpha=alpha)

    def soft(s: Any, t: Any, _: Any) -> Any:
        p, q = (softmax(changed(x["logits"]) / 3) for x in (t, s))
        return (p * np.log(p / q)).sum(1).mean()

    def paper(s: Any, t: Any, y: Any) -> Any:
        return (1 - alpha) * 9 * soft(s, t, y) - alpha * np.log(softmax(s["logits"])[range(len(y)), y]).mean()

    given = method(partial(ours, temperature=3, alpha=alpha), lambda s, t, y: loss(s, t, None if alpha else y))
    return differs(given, paper, soft)


def flows(s: Any, t: Any) -> Any:
    """The squares of G(s) - G(t), (B, C, C), of a feature with itself."""
    s, t = (np.einsum("bcxy,bdxy->bcd", x["e"], x["e"]) / x["e"][0, 0].size for x in (s, t))
    return (s - t) ** 2


def similar(s: Any, t: Any, order: int) -> Any:
    """The mean square of G(s) - G(t), with rows over their norms of an order."""
    s, t = (np.einsum("icxy,jcxy->ij", x["f"], x["f"]) for x in (s, t))
    s, t = (g / np.linalg.norm(g, order, axis=1, keepdims=True) for g in (s, t))
    return ((s - t) ** 2).mean()


def congruence(s: Any, t: Any, kernel: str, *, unit_length: bool) -> Any:
    """The squares of C(s) - C(t)."""
    s, t = (x["v"] / np.linalg.norm(x["v"], axis=1, keepdims=True) if unit_length else x["v"] for x in (s, t))
    s, t = (x @ x.T for x in (s, t))
    if kernel == "gaussian":
        s, t = (np.exp(-0.8) * (1 + 0.8 * x + 0.8**2 / 2 * x**2) for x in (s, t))
    return (s - t) ** 2


def correlations(s: Any, t: Any) -> list[Any]:
    """The mean correlations of rows and of columns of the softmax, of sums over channels, and, last, over channels."""
    p, q = (softmax(x["logits"]) for x in (s, t))
    a, b = (x["e"].sum(1).reshape(len(p), -1).T for x in (s, t))
    f, g = (x["e"].transpose(0, 2, 3, 1).reshape(-1, x["e"].shape[1]) for x in (s, t))
    pairs = ((p, q), (p.T, q.T), (a, b), (f, g))
    return [np.mean([np.corrcoef(*rows)[0, 1] for rows in zip(x, y, strict=True)]) for x, y in pairs]


def cckd(kernel: Any) -> Check:
    theirs = mid.CCKDLoss("v", "v", {"type": kernel, "gamma": 0.4, "max_p": 2}, "batchmean")
    return differs(
        method(on(L.CCKD, "v", kernel=kernel), lambda s, t, _: theirs(s, t), bare=True),
        lambda s, t, y: congruence(s, t, kernel, unit_length=kernel == "gaussian").mean(),
        lambda s, t, y: congruence(s, t, kernel, unit_length=False).sum() ** 0.5 / len(y) ** 2,
    )


def apart(s: Any, t: Any) -> Any:
    """The mean of the absolute differences of rows of unit length, or zero."""
    s, t = (x["e"].reshape(len(x["e"]), -1) for x in (s, t))
    s, t = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (s, t))
    return np.abs(s - t).mean()


def affinities(s: Any, t: Any) -> Any:
    """The equation with its (HW, HW) matrices."""
    s, t = (x["e"].reshape(*x["e"].shape[:2], -1) for x in (s, t))
    s, t = (x / np.maximum(np.linalg.norm(x, axis=2, keepdims=True), 1e-12) for x in (s, t))
    s, t = (np.einsum("bci,bcj->bcij", x, x) / x.shape[2] for x in (s, t))
    return np.sqrt(((s - t) ** 2).sum((2, 3))).sum(1).mean()


def zero(tap: str, *index: Any) -> Callable[..., Any]:
    def change(student: Any, teacher: Any, labels: Tensor) -> Any:
        student[tap][index] = 0
        return student, teacher, labels

    return change


def same(student: Any, teacher: Any, labels: Tensor) -> Any:
    return teacher, teacher, labels


def one_row(student: Any, teacher: Any, labels: Tensor) -> Any:
    return {tap: value[:1] for tap, value in student.items()}, {tap: v[:1] for tap, v in teacher.items()}, labels[:1]


def all_wrong(student: Any, teacher: Any, labels: Tensor) -> Any:
    teacher["logits"][range(12), labels.repeat_interleave(4)] = -9
    return student, teacher, labels


def ties() -> None:
    student, teacher, labels = batch(SIZES[2], turns=4)
    ours, theirs = sskd()(student, teacher)

    def value(step: float) -> Tensor:
        """Theirs where each further row ranks a little better: of equal ranks the last comes first, or the first."""

        def argsort(x: Tensor, **settings: Any) -> Tensor:
            return (x - step * torch.arange(len(x)) if x.dim() == 1 else x).argsort(stable=True, **settings)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "argsort", argsort)
            return theirs(student, teacher, labels)

    assert close(ours(seen(student), seen(teacher), labels), value(0))
    assert not close(value(1e-6), value(0))


def state_of_crd() -> None:
    loss = mid.CRDLoss("x", "empty", "x", 7, 20, 3, 20)
    assert sorted(loss.state_dict()) == ["memory_v1", "memory_v2", "params"]
    assert high.WeightedSumLoss(sub_terms={"crd": {"criterion": loss, "weight": 1}}).state_dict() == {}
    assert (loss.to("meta").memory_v1.device.type, loss.probs.device.type) == ("meta", "cpu")
    ours = L.CRD(student="v", teacher="v", negatives=3)
    ours.prepare_split(SimpleNamespace(labels=torch.arange(20) % 3))
    assert sorted(ours.state_dict()) == ["constants", "student_memory", "teacher_memory"]
    with pytest.raises(AttributeError, match="'CRDLoss' object has no attribute 'prob'"):
        loss.draw(9)
    drawn = ours.draw(torch.arange(3))
    assert drawn.shape == (3, 3)
    assert (drawn % 3 != torch.arange(3)[:, None]).all()


def zero_embedding() -> None:
    nought = torch.zeros(1, 3, requires_grad=True)
    assert models.Normalizer4CRD(NOTHING)(nought).isnan().all()
    assert (unit(nought) == 0).all()


def single_precision() -> None:
    student, teacher, labels = batch()
    ours, theirs = RELATED(student, teacher)
    paper = affinities(*({"e": taps["e"].numpy()} for taps in (student, teacher)))
    assert ours(seen(student), seen(teacher), labels).item() == pytest.approx(paper, rel=1e-12)
    found = theirs(student, teacher, labels)
    assert found.dtype == torch.float32
    assert found.item() != pytest.approx(paper, rel=1e-12)


def half_precision() -> None:
    student, teacher, labels = batch()
    s, t = ({"logits": taps["logits"].bfloat16()} for taps in (student, teacher))
    p, q = (softmax(x["logits"].double().numpy() / 3) for x in (t, s))
    paper = (p * np.log(p / q)).sum(1).mean()
    ours = L.KL(temperature=3)(*(run_model(NOTHING, x["logits"]) for x in (s, t)), labels)
    theirs = mid.KDLoss(**LOGITS, temperature=3, alpha=0)(shown(s), shown(t))
    assert ours.item() == pytest.approx(paper, rel=1e-5)
    assert theirs.item() != pytest.approx(paper, rel=1e-3)


def huge_variance() -> None:
    student, teacher = ({"e": taps["e"].float()} for taps in batch()[:2])
    ours = L.VID(student=["e"], teacher=["e"], variance=100)
    ours.build_adapters(seen(student), seen(teacher))
    regressor = models.Regressor4VID(6, 6, 6, eps=1e-5, init_pred_var=100.0)
    theirs = mid.VIDLoss(pair("r", "e"))(shown(student, {"r": (regressor, "e")}), shown(teacher))
    squared = (ours.means[0](student["e"]) - teacher["e"]).detach().double().numpy() ** 2
    assert close(ours(seen(student), seen(teacher), None), (squared / 100 + np.log(100)).mean() / 2)
    assert theirs.isinf()


def one_row_of_directions() -> None:
    student, teacher, labels = one_row(*batch())
    with pytest.warns(UserWarning, match="degrees of freedom"), pytest.raises(RuntimeError, match="cholesky"):
        mid.SKDDirectionLoss(**LOGITS)(shown(student), shown(teacher))
    with pytest.raises(ValueError, match="a batch of one has none to compare with"):
        L.SKDDirection()(seen(student), seen(teacher), labels)


def oblong() -> None:
    taps = torch.ones(2, 4, 4, 6), torch.ones(2, 5, 2, 3)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        models.AttentionBasedFusion(4, 5, 6, uses_attention=True)(*taps, 4)
    assert Fusion(4, 5, 6, attends=True)(*taps)[0].shape == (2, 6, 4, 6)


FLOWS = pair(*"eeee", names=("student_first", "student_second", "teacher_first", "teacher_second"))
FLOW = method(partial(L.FSP, student=[["e", "e"]], teacher=[["e", "e"]]), mid.FSPLoss(FLOWS))
FACTORS = method(on(L.FactorTransfer, "e"), mid.FTLoss(1, "mean", "e", "e"), bare=True)
SIMILAR = method(on(L.SRD, "w"), mid.SRDLoss(*["w", "output"] * 2, *PLUS[:4], exponent=4), bare=True)
ADAPTED = method(
    on(L.KnowledgeAdaptation, "e", affinity=0), summed((50, mid.KTALoss(1, 2, "mean", "e", "e"))), bare=True
)
RELATED = method(on(L.KnowledgeAdaptation, "e", adaptation=0), mid.AffinityLoss("e", "e"), bare=True)
NORM = method(partial(L.FeatureNorm, of="f", p=2), mid.RegularizationLoss("f", p=2))
STANDARD, INSTANCE = L.LogitStandardizedKD(temperature=3, alpha=0), L.SKDInstance(form="code")
DIFFERENCES: dict[str, tuple[str, Check]] = {
    "KDLoss, alpha=0": ("drops T^2; Hinton, section 2: alpha CE + (1 - alpha) T^2 KL", hintons(L.KD, mid.KDLoss, 0)),
    "KDLoss, no labels": ("drops (1 - alpha) T^2; the same equation", hintons(L.KD, mid.KDLoss, 0.3)),
    "KDLoss, alpha=None": ("takes 1 - alpha of its default; KL alone has no alpha",
        fails(L.KL(), partial(mid.KDLoss, **LOGITS, temperature=3), "logits", "NoneType")),
    "KDLoss, bfloat16": ("softmax and sum in half precision; ours in single: KL(p || q)", half_precision),
    "LogitStdKDLoss, alpha=0": ("drops T^2; Sun, algorithm 1: alpha CE + (1 - alpha) T^2 KL(Z(t) || Z(s))",
        hintons(L.LogitStandardizedKD, mid.LogitStdKDLoss, 0, standardized)),
    "LogitStdKDLoss, no labels": ("drops (1 - alpha) T^2; the same equation",
        hintons(L.LogitStandardizedKD, mid.LogitStdKDLoss, 0.3, standardized)),
    "LogitStdKDLoss, alpha=None": ("takes 1 - alpha of its default",
        fails(STANDARD, partial(mid.LogitStdKDLoss, **LOGITS, temperature=3), "logits", "NoneType")),
    "FSPLoss": ("adds the norms of columns; Yim, equation 2: 1/B sum |G(t) - G(s)|_F^2", differs(
        FLOW, lambda s, t, y: flows(s, t).sum() / len(y), lambda s, t, y: (flows(s, t).sum(1) ** 0.5).sum() / len(y))),
    "SPKDLoss": ("has L1 norms, `normalize(x, 1)`; Tung, equations 1 to 4: 1/B^2 |G(t) - G(s)|_F^2, rows of L2 norm 1",
        differs(method(on(L.SPKD, ["f"]), mid.SPKDLoss("f", "f", "batchmean")),
            lambda s, t, _: similar(s, t, 2), lambda s, t, _: similar(s, t, 1))),
    "CCKDLoss, bilinear": ("has no square; Peng, equations 4 to 8: 1/B^2 |C(s) - C(t)|_F^2", cckd("bilinear")),
    "CCKDLoss, gaussian": ("nor unit vectors, of which alone exp(-2g) sum_p (2g)^p / p! (x . y)^p is exp(-g |x - y|^2)",
        cckd("gaussian")),
    "DISTPlusLoss": ("adds the correlation over channels; Huang, DIST+: 1 - r, as of the other three", differs(
        method(on(L.DISTPlus, "e"), mid.DISTPlusLoss(*PLUS)), lambda s, t, _: 4 - sum(correlations(s, t)),
        lambda s, t, _: 3 - sum(correlations(s, t)[:3]) + correlations(s, t)[3])),
    "RegularizationLoss": ("is one norm of the batch; He, equation 1, is of an example: 1/B sum_i |s_i|_p", differs(
        NORM, lambda s, t, y: sum(np.linalg.norm(x) for x in s["f"]) / len(y), lambda s, t, y: np.linalg.norm(s["f"]))),
    "CRDLoss, state": ("registers neither probs nor alias, their sum no loss at all; it draws by a `prob` that it"
        " has not; Tian, equations 9 to 19: K negatives of other classes", state_of_crd),
    "Normalizer4CRD, zero": ("is 0 / 0; Tian, equation 19: f(x) . f'(y) of unit vectors; ours is 0", zero_embedding),
    "SRDLoss, equal": ("is log 0; Miles, equation 10: log sum |s - t|^a has no value there; ours has no gradient",
        not_finite(SIMILAR, same, 2 * np.log(np.finfo(float).tiny))),
    "SKDDirectionLoss, equal": ("has a root's slope at 0; sqrt(d^T C^-1 d) is least there", not_finite(
        METHODS["SKDDirection-paper"], same, 0)),
    "SKDDirectionLoss, one row": ("takes the covariance of one; ours says that it needs two", one_row_of_directions),
    "SKDDirectionLoss, bfloat16": ("adds an identity in single precision",
        fails(L.SKDDirection(), partial(mid.SKDDirectionLoss, **LOGITS), "logits", "BFloat16", Tensor.bfloat16)),
    "SKDInstanceLoss, bfloat16": ("takes quantiles, which half precision has not",
        fails(INSTANCE, partial(mid.SKDInstanceLoss, **LOGITS, mode="code"), "logits", "quantile", Tensor.bfloat16)),
    "SSKDLoss, ties": ("sorts unstably; Xu, equations 3 to 11: of equal ranks ours takes the first", ties),
    "SSKDLoss, none": ("is a mean over no turns; ours is 0, the sum over none", not_finite(
        sskd(0, (0, 0, 0, 1)), all_wrong, 0, turns=4)),
    "PKTLoss, zero": ("has a root's slope at 0; Passalis, equation 7: p log(p / q), finite",
        not_finite(METHODS["PKT"], zero("v", 0))),
    "FTLoss, zero": ("is 0 / 0; Kim, equation 3: |E / |E| - G / |G||_p, of which ours takes 0",
        not_finite(FACTORS, zero("e", 0), apart)),
    "KTALoss, zero": ("is 0 / 0 where its adapter's ReLU is shut; He, equations 2 to 5: |n(A) - n(E)|",
        not_finite(ADAPTED, zero("e", 0), lambda s, t: 50 * apart(s, t))),
    "AffinityLoss, zero": ("is 0 / 0 for a channel that is shut: |a a^T - e e^T|_F / HW",
        not_finite(RELATED, zero("e", slice(None), 0), affinities)),
    "AffinityLoss, float64": ("adds up in float32: 1/B sum_c |a_c a_c^T - e_c e_c^T|_F / HW", single_precision),
    "RKDLoss, one row": ("is a mean of no distances; Park, equations 4 to 9: a sum over pairs",
        not_finite(METHODS["RKD"], one_row, 0)),
    "RKDLoss, angle_factor=None": ("skips the angles, but multiplies by None", fails(
        on(L.RKD, "v", angle=0)(), partial(mid.RKDLoss, "v", "v", 25, None, "mean"), "v", "NoneType")),
    "Regressor4VID, variance": ("overflows; Ahn, equation 6: log(1 + exp(a)), which is about a", huge_variance),
    "AttentionBasedFusion, oblong": ("takes one side for both; Chen, figure 3: the size of the layer above", oblong),
}  # fmt: skip
"""What theirs does where ours does not; the equation that ours follows; and a check that shows both."""


def test_the_table_in_the_losses_readme_is_this_one() -> None:
    page = (ROOT / "harness" / "losses" / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    escaped = {name: why.replace("|", r"\|") for name, (why, _) in DIFFERENCES.items()}
    assert rows == [f"| {name} | {why} |" for name, why in escaped.items()]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_ours_is_the_papers_where_theirs_is_not(name: str) -> None:
    DIFFERENCES[name][1]()


def test_every_method_of_theirs_is_compared() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [loss for loss in registry.MIDDLE_LEVEL_LOSS_DICT if f"mid.{loss}" not in text] == []


def test_the_norm_of_one_row_is_one_in_both() -> None:
    student, teacher, labels = one_row(*batch())
    ours, theirs = NORM(student, teacher)
    assert close(ours(seen(student), None, labels), theirs(student, teacher, labels))


def test_factor_transfer_of_p_1_is_a_mean_in_both_where_equation_3_has_a_sum() -> None:
    student, teacher, labels = batch()
    ours, theirs = FACTORS(student, teacher)
    s, t = (x["e"].flatten(1) / x["e"].flatten(1).norm(dim=1, keepdim=True) for x in (student, teacher))
    for found in (ours(seen(student), seen(teacher), labels), theirs(student, teacher, labels)):
        assert close(found * s.shape[1], (s - t).abs().sum(1).mean())


@pytest.mark.parametrize("made", [METHODS["AttentionTransfer-paper"], FLOW], ids=["AttentionTransfer-paper", "FSP"])
def test_of_equal_features_neither_has_a_gradient(made: Method) -> None:
    _, teacher, labels = batch()
    ours, theirs = made(teacher, teacher)
    found = measured(lambda taps: ours(seen(taps), seen(teacher), labels), teacher)
    found |= {f"their {name}": x for name, x in measured(lambda taps: theirs(taps, teacher, labels), teacher).items()}
    assert all((value == 0).all() for value in found.values())
