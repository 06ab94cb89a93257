"""Cases in which losses of torchdistill 1.1.5 differ from their papers, and this project's do not.

Each case shows torchdistill's number, and computes the paper's number in NumPy. `harness/losses/README.md` lists them.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.losses.functional import unit_vectors
from harness.models.outputs import run_model
from harness.models.rounding import rounding_tolerance
from tests.helpers.available_losses import available_part, losses
from tests.helpers.project import ROOT
from tests.helpers.torchdistill_losses import (
    DIST_PLUS_PATHS,
    EQUAL_LOSSES,
    IDENTITY,
    LOGITS,
    SIZES,
    Pair,
    as_io_dict,
    as_outputs,
    is_close,
    mid,
    models,
    on,
    pair_of,
    path_pair,
    random_batch,
    sskd,
    value_and_gradients,
    weighted_sum,
)

high = pytest.importorskip("torchdistill.losses.high_level")

Fusion = available_part("knowledge_review", "Fusion")
Check = Callable[[], None]


def differs(pair: Pair, paper: Callable[..., Any], theirs_instead: Callable[..., Any]) -> Check:
    """Check that this project's loss is the paper's number, and torchdistill's is another known number."""

    def check() -> None:
        student, teacher, labels = random_batch()
        ours, theirs = pair(student, teacher)
        s, t = ({name: value.numpy() for name, value in tensors.items()} for tensors in (student, teacher))
        expected, wrong = (compute(s, t, labels.numpy()) for compute in (paper, theirs_instead))
        assert is_close(ours(as_outputs(student), as_outputs(teacher), labels), expected)
        assert is_close(theirs(student, teacher, labels), wrong)
        assert abs(expected - wrong) > 1e-3 * abs(expected)

    return check


def not_finite(pair: Pair, change: Callable[..., Any], value: Any = None, rotations: int = 1) -> Check:
    """Check that torchdistill's loss or gradient is not finite, and that this project's are.

    The value is a number or a function of student and teacher; without it torchdistill's value, which is then finite.
    """

    def check() -> None:
        student, teacher, labels = change(*random_batch(rotations=rotations))
        ours, theirs = pair(student, teacher)
        actual = value_and_gradients(lambda s: ours(as_outputs(s), as_outputs(teacher), labels), student)
        wrong = value_and_gradients(lambda s: theirs(s, teacher, labels), student)
        assert not all(x.isfinite().all() for x in wrong.values())
        assert all(x.isfinite().all() for x in actual.values())
        s, t = ({name: x.numpy() for name, x in tensors.items()} for tensors in (student, teacher))
        loss = actual.pop("loss")
        assert is_close(loss, wrong["loss"] if value is None else value(s, t) if callable(value) else value)
        assert change is not equal_models or all(
            x.abs().max() <= rounding_tolerance(torch.float64, 64) for x in actual.values()
        )

    return check


def fails(
    ours: nn.Module, build_theirs: Callable[[], Any], name: str, message: str, change: Any = torch.clone
) -> Check:
    """Check that torchdistill's loss raises an error on changed tensors, and that this project's loss is finite."""

    def check() -> None:
        s, t, labels = random_batch()
        student, teacher = ({key: change(value) for key, value in x.items() if key == name} for x in (s, t))
        with pytest.raises((TypeError, ValueError, RuntimeError), match=message):
            build_theirs()(as_io_dict(student), as_io_dict(teacher))
        single = [run_model(IDENTITY, tensors[name]).logits for tensors in (student, teacher)]
        outputs = [as_outputs({"logits": value, name: value}) for value in single]
        assert ours(*outputs, labels).isfinite().all()

    return check


def softmax(logits: Any) -> Any:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def standardized(x: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / (1e-7 + x.std(1, ddof=1, keepdims=True))


def misses_temperature(ours: Any, theirs: Any, alpha: float, transform: Callable[[Any], Any] = np.array) -> Check:
    """Check alpha CE + (1 - alpha) T^2 KL with T = 3; torchdistill's is KL, for alpha = 0 or without labels."""
    loss = theirs(**LOGITS, temperature=3, alpha=alpha)

    def kl(s: Any, t: Any, _: Any) -> Any:
        p, q = (softmax(transform(x["logits"]) / 3) for x in (t, s))
        return (p * np.log(p / q)).sum(1).mean()

    def paper(s: Any, t: Any, y: Any) -> Any:
        return (1 - alpha) * 9 * kl(s, t, y) - alpha * np.log(softmax(s["logits"])[range(len(y)), y]).mean()

    pair = pair_of(partial(ours, temperature=3, alpha=alpha), lambda s, t, y: loss(s, t, None if alpha else y))
    return differs(pair, paper, kl)


def fsp_squares(s: Any, t: Any) -> Any:
    """Return the squares of G(s) - G(t), (B, C, C), for a feature with itself."""
    s, t = (np.einsum("bcxy,bdxy->bcd", x["e"], x["e"]) / x["e"][0, 0].size for x in (s, t))
    return (s - t) ** 2


def spkd(s: Any, t: Any, order: int) -> Any:
    """Return the mean square of G(s) - G(t), whose rows are divided by their norms of an order."""
    s, t = (np.einsum("icxy,jcxy->ij", x["f"], x["f"]) for x in (s, t))
    s, t = (g / np.linalg.norm(g, order, axis=1, keepdims=True) for g in (s, t))
    return ((s - t) ** 2).mean()


def cckd_squares(s: Any, t: Any, kernel: str, *, unit_length: bool) -> Any:
    """Return the squares of C(s) - C(t)."""
    s, t = (x["v"] / np.linalg.norm(x["v"], axis=1, keepdims=True) if unit_length else x["v"] for x in (s, t))
    s, t = (x @ x.T for x in (s, t))
    if kernel == "gaussian":
        s, t = (np.exp(-0.8) * (1 + 0.8 * x + 0.8**2 / 2 * x**2) for x in (s, t))
    return (s - t) ** 2


def dist_plus_correlations(s: Any, t: Any) -> list[Any]:
    """Return mean correlations: of rows and columns of the softmax, of sums over channels, and over channels."""
    p, q = (softmax(x["logits"]) for x in (s, t))
    a, b = (x["e"].sum(1).reshape(len(p), -1).T for x in (s, t))
    f, g = (x["e"].transpose(0, 2, 3, 1).reshape(-1, x["e"].shape[1]) for x in (s, t))
    pairs = ((p, q), (p.T, q.T), (a, b), (f, g))
    return [np.mean([np.corrcoef(*rows)[0, 1] for rows in zip(x, y, strict=True)]) for x, y in pairs]


def cckd(kernel: Any) -> Check:
    theirs = mid.CCKDLoss("v", "v", {"type": kernel, "gamma": 0.4, "max_p": 2}, "batchmean")
    return differs(
        pair_of(on(losses.CCKD, "v", kernel=kernel), lambda s, t, _: theirs(s, t), bare=True),
        lambda s, t, y: cckd_squares(s, t, kernel, unit_length=kernel == "gaussian").mean(),
        lambda s, t, y: cckd_squares(s, t, kernel, unit_length=False).sum() ** 0.5 / len(y) ** 2,
    )


def mean_difference(s: Any, t: Any) -> Any:
    """Return the mean absolute difference of rows of unit length; a zero row stays 0."""
    s, t = (x["e"].reshape(len(x["e"]), -1) for x in (s, t))
    s, t = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (s, t))
    return np.abs(s - t).mean()


def affinity(s: Any, t: Any) -> Any:
    """Return the affinity distance, with its (HW, HW) matrices."""
    s, t = (x["e"].reshape(*x["e"].shape[:2], -1) for x in (s, t))
    s, t = (x / np.maximum(np.linalg.norm(x, axis=2, keepdims=True), 1e-12) for x in (s, t))
    s, t = (np.einsum("bci,bcj->bcij", x, x) / x.shape[2] for x in (s, t))
    return np.sqrt(((s - t) ** 2).sum((2, 3))).sum(1).mean()


def zero(name: str, *index: Any) -> Callable[..., Any]:
    """Return a change that sets numbers of the student's tensor to 0."""

    def change(student: Any, teacher: Any, labels: Tensor) -> Any:
        student[name][index] = 0
        return student, teacher, labels

    return change


def equal_models(student: Any, teacher: Any, labels: Tensor) -> Any:
    return teacher, teacher, labels


def one_row(student: Any, teacher: Any, labels: Tensor) -> Any:
    student, teacher = ({name: value[:1] for name, value in x.items()} for x in (student, teacher))
    return student, teacher, labels[:1]


def all_wrong(student: Any, teacher: Any, labels: Tensor) -> Any:
    teacher["logits"][range(12), labels.repeat_interleave(4)] = -9
    return student, teacher, labels


def check_ties() -> None:
    student, teacher, labels = random_batch(SIZES[2], rotations=4)
    ours, theirs = sskd()(student, teacher)

    def value(step: float) -> Tensor:
        """Return torchdistill's loss if each later row ranks a little better: ties are then broken the other way."""

        def argsort(x: Tensor, **settings: Any) -> Tensor:
            return (x - step * torch.arange(len(x)) if x.dim() == 1 else x).argsort(stable=True, **settings)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "argsort", argsort)
            return theirs(student, teacher, labels)

    assert is_close(ours(as_outputs(student), as_outputs(teacher), labels), value(0))
    assert not is_close(value(1e-6), value(0))


def check_state_of_crd() -> None:
    loss = mid.CRDLoss("x", "empty", "x", 7, 20, 3, 20)
    assert sorted(loss.state_dict()) == ["memory_v1", "memory_v2", "params"]
    assert high.WeightedSumLoss(sub_terms={"crd": {"criterion": loss, "weight": 1}}).state_dict() == {}
    assert (loss.to("meta").memory_v1.device.type, loss.probs.device.type) == ("meta", "cpu")
    ours = losses.CRD(student="v", teacher="v", negatives=3)
    ours.prepare_split(SimpleNamespace(labels=torch.arange(20) % 3))
    assert sorted(ours.state_dict()) == ["constants", "student_memory", "teacher_memory"]
    with pytest.raises(AttributeError, match="'CRDLoss' object has no attribute 'prob'"):
        loss.draw(9)
    drawn = ours.draw(torch.arange(3))
    assert drawn.shape == (3, 3)
    assert (drawn % 3 != torch.arange(3)[:, None]).all()


def check_zero_embedding() -> None:
    zeros = torch.zeros(1, 3, requires_grad=True)
    assert models.Normalizer4CRD(IDENTITY)(zeros).isnan().all()
    assert (unit_vectors(zeros) == 0).all()


def check_affinity_in_float64() -> None:
    student, teacher, labels = random_batch()
    ours, theirs = AFFINITY(student, teacher)
    paper = affinity(*({"e": tensors["e"].numpy()} for tensors in (student, teacher)))
    assert ours(as_outputs(student), as_outputs(teacher), labels).item() == pytest.approx(paper, rel=1e-12)
    actual = theirs(student, teacher, labels)
    assert actual.dtype == torch.float32
    assert actual.item() != pytest.approx(paper, rel=1e-12)


def check_half_precision() -> None:
    student, teacher, labels = random_batch()
    s, t = ({"logits": tensors["logits"].bfloat16()} for tensors in (student, teacher))
    p, q = (softmax(x["logits"].double().numpy() / 3) for x in (t, s))
    paper = (p * np.log(p / q)).sum(1).mean()
    ours = losses.KL(temperature=3)(*(run_model(IDENTITY, x["logits"]) for x in (s, t)), labels)
    theirs = mid.KDLoss(**LOGITS, temperature=3, alpha=0)(as_io_dict(s), as_io_dict(t))
    assert ours.item() == pytest.approx(paper, rel=1e-5)
    assert theirs.item() != pytest.approx(paper, rel=1e-3)


def check_large_variance() -> None:
    student, teacher = ({"e": tensors["e"].float()} for tensors in random_batch()[:2])
    ours = losses.VID(student=["e"], teacher=["e"], variance=100)
    ours.build_adapters(as_outputs(student), as_outputs(teacher))
    regressor = models.Regressor4VID(6, 6, 6, eps=1e-5, init_pred_var=100.0)
    theirs = mid.VIDLoss(path_pair("r", "e"))(as_io_dict(student, {"r": (regressor, "e")}), as_io_dict(teacher))
    squares = (ours.means[0](student["e"]) - teacher["e"]).detach().double().numpy() ** 2
    expected = (squares / 100 + np.log(100)).mean() / 2
    assert is_close(ours(as_outputs(student), as_outputs(teacher), None), expected)
    assert theirs.isinf()


def check_one_row_of_directions() -> None:
    student, teacher, labels = one_row(*random_batch())
    with pytest.warns(UserWarning, match="degrees of freedom"), pytest.raises(RuntimeError, match="cholesky"):
        mid.SKDDirectionLoss(**LOGITS)(as_io_dict(student), as_io_dict(teacher))
    with pytest.raises(ValueError, match="needs two of them; the batch has one"):
        losses.SKDDirection()(as_outputs(student), as_outputs(teacher), labels)


def check_oblong_features() -> None:
    features = torch.ones(2, 4, 4, 6), torch.ones(2, 5, 2, 3)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        models.AttentionBasedFusion(4, 5, 6, uses_attention=True)(*features, 4)
    assert Fusion(4, 5, 6, attends=True)(*features)[0].shape == (2, 6, 4, 6)


FSP_PATHS = path_pair(*"eeee", names=("student_first", "student_second", "teacher_first", "teacher_second"))
FSP = pair_of(partial(losses.FSP, student=[["e", "e"]], teacher=[["e", "e"]]), mid.FSPLoss(FSP_PATHS))
FACTORS = pair_of(on(losses.FactorTransfer, "e"), mid.FTLoss(1, "mean", "e", "e"), bare=True)
SRD = pair_of(on(losses.SRD, "w"), mid.SRDLoss(*["w", "output"] * 2, *DIST_PLUS_PATHS[:4], exponent=4), bare=True)
ADAPTATION = pair_of(
    on(losses.KnowledgeAdaptation, "e", affinity=0),
    weighted_sum((50, mid.KTALoss(1, 2, "mean", "e", "e"))),
    bare=True,
)
AFFINITY = pair_of(on(losses.KnowledgeAdaptation, "e", adaptation=0), mid.AffinityLoss("e", "e"), bare=True)
NORM = pair_of(partial(losses.FeatureNorm, of="f", p=2), mid.RegularizationLoss("f", p=2))
STANDARDIZED, INSTANCE = losses.LogitStandardizedKD(temperature=3, alpha=0), losses.SKDInstance(form="code")
DIFFERENCES: dict[str, tuple[str, str, Check]] = {
    "KDLoss, alpha=0": (
        "omits the factor T^2",
        "Hinton, section 2: alpha CE + (1 - alpha) T^2 KL",
        misses_temperature(losses.KD, mid.KDLoss, 0)),
    "KDLoss, no labels": (
        "omits the factor (1 - alpha) T^2",
        "the same equation",
        misses_temperature(losses.KD, mid.KDLoss, 0.3)),
    "KDLoss, alpha=None": (
        "raises TypeError with its default alpha: it computes 1 - None",
        "KL has no alpha",
        fails(losses.KL(), partial(mid.KDLoss, **LOGITS, temperature=3), "logits", "NoneType")),
    "KDLoss, bfloat16": (
        "computes softmax and sum in half precision",
        "KL(p || q) in single precision",
        check_half_precision),
    "LogitStdKDLoss, alpha=0": (
        "omits the factor T^2",
        "Sun, algorithm 1: alpha CE + (1 - alpha) T^2 KL(Z(t) || Z(s))",
        misses_temperature(losses.LogitStandardizedKD, mid.LogitStdKDLoss, 0, standardized)),
    "LogitStdKDLoss, no labels": (
        "omits the factor (1 - alpha) T^2",
        "the same equation",
        misses_temperature(losses.LogitStandardizedKD, mid.LogitStdKDLoss, 0.3, standardized)),
    "LogitStdKDLoss, alpha=None": (
        "raises TypeError with its default alpha: it computes 1 - None",
        "alpha has no default",
        fails(STANDARDIZED, partial(mid.LogitStdKDLoss, **LOGITS, temperature=3), "logits", "NoneType")),
    "FSPLoss": (
        "adds up the norms of the columns of G(t) - G(s)",
        "Yim, equation 2: 1/B sum |G(t) - G(s)|_F^2",
        differs(
            FSP,
            lambda s, t, y: fsp_squares(s, t).sum() / len(y),
            lambda s, t, y: (fsp_squares(s, t).sum(1) ** 0.5).sum() / len(y))),
    "SPKDLoss": (
        "divides rows by their L1 norms: `normalize(x, 1)`",
        "Tung, equations 1 to 4: 1/B^2 |G(t) - G(s)|_F^2, rows of L2 norm 1",
        differs(
            pair_of(on(losses.SPKD, ["f"]), mid.SPKDLoss("f", "f", "batchmean")),
            lambda s, t, _: spkd(s, t, 2),
            lambda s, t, _: spkd(s, t, 1))),
    "CCKDLoss, bilinear": (
        "does not square the norm",
        "Peng, equations 4 to 8: 1/B^2 |C(s) - C(t)|_F^2",
        cckd("bilinear")),
    "CCKDLoss, gaussian": (
        "does not square the norm, and does not divide vectors by their lengths",
        "the same; exp(-2g) sum_p (2g)^p / p! (x . y)^p expands exp(-g |x - y|^2) for unit vectors only",
        cckd("gaussian")),
    "DISTPlusLoss": (
        "adds the correlation over channels",
        "Huang, DIST+: 1 - r, as for the other three correlations",
        differs(
            pair_of(on(losses.DISTPlus, "e"), mid.DISTPlusLoss(*DIST_PLUS_PATHS)),
            lambda s, t, _: 4 - sum(dist_plus_correlations(s, t)),
            lambda s, t, _: 3 - sum(dist_plus_correlations(s, t)[:3]) + dist_plus_correlations(s, t)[3])),
    "RegularizationLoss": (
        "is one norm of the whole batch",
        "He, equation 1: the mean of the norms of the examples, 1/B sum_i |s_i|_p",
        differs(
            NORM,
            lambda s, t, y: sum(np.linalg.norm(x) for x in s["f"]) / len(y),
            lambda s, t, y: np.linalg.norm(s["f"]))),
    "CRDLoss, state": (
        "does not register `probs` and `alias` as buffers, a weighted sum does not register the loss, and drawing fails"
        " because the attribute `prob` does not exist",
        "Tian, equations 9 to 19: K negatives of other classes",
        check_state_of_crd),
    "Normalizer4CRD, zero": (
        "divides 0 by 0",
        "Tian, equation 19: f(x) . f'(y) of unit vectors; a zero vector counts as 0",
        check_zero_embedding),
    "SRDLoss, equal": (
        "takes the logarithm of 0",
        "Miles, equation 10: log sum |s - t|^a has no value there; here it is finite, without a gradient",
        not_finite(SRD, equal_models, 2 * np.log(np.finfo(float).tiny))),
    "SKDDirectionLoss, equal": (
        "has the infinite slope of a square root at 0",
        "sqrt(d^T C^-1 d) has its minimum there: the gradient is 0",
        not_finite(EQUAL_LOSSES["SKDDirection-paper"], equal_models, 0)),
    "SKDDirectionLoss, one row": (
        "takes the covariance of one row",
        "an error says that two rows are needed",
        check_one_row_of_directions),
    "SKDDirectionLoss, bfloat16": (
        "fails: it adds an identity matrix in single precision",
        "computed in single precision",
        fails(losses.SKDDirection(), partial(mid.SKDDirectionLoss, **LOGITS), "logits", "BFloat16", Tensor.bfloat16)),
    "SKDInstanceLoss, bfloat16": (
        "fails: quantiles do not exist in half precision",
        "computed in single precision",
        fails(INSTANCE, partial(mid.SKDInstanceLoss, **LOGITS, mode="code"), "logits", "quantile", Tensor.bfloat16)),
    "SSKDLoss, ties": (
        "sorts unstably, so any of the rows with equal ranks may be used",
        "Xu, equations 3 to 11: the first of equal ranks",
        check_ties),
    "SSKDLoss, none": (
        "is the mean over no rotated images",
        "0, the sum over none",
        not_finite(sskd(0, (0, 0, 0, 1)), all_wrong, 0, rotations=4)),
    "PKTLoss, zero": (
        "has the infinite slope of a square root at 0",
        "Passalis, equation 7: p log(p / q), with a finite gradient",
        not_finite(EQUAL_LOSSES["PKT"], zero("v", 0))),
    "FTLoss, zero": (
        "divides 0 by 0",
        "Kim, equation 3: |E / |E| - G / |G||_p; a zero vector counts as 0",
        not_finite(FACTORS, zero("e", 0), mean_difference)),
    "KTALoss, zero": (
        "divides 0 by 0 where the ReLU of its adapter is 0",
        "He, equations 2 to 5: |n(A) - n(E)|; a zero vector counts as 0",
        not_finite(ADAPTATION, zero("e", 0), lambda s, t: 50 * mean_difference(s, t))),
    "AffinityLoss, zero": (
        "divides 0 by 0 for a channel of zeros",
        "|a a^T - e e^T|_F / HW; a zero vector counts as 0",
        not_finite(AFFINITY, zero("e", slice(None), 0), affinity)),
    "AffinityLoss, float64": (
        "adds up in float32",
        "1/B sum_c |a_c a_c^T - e_c e_c^T|_F / HW in the dtype of the features",
        check_affinity_in_float64),
    "RKDLoss, one row": (
        "is the mean of no distances",
        "Park, equations 4 to 9: a sum over pairs, 0",
        not_finite(EQUAL_LOSSES["RKD"], one_row, 0)),
    "RKDLoss, angle_factor=None": (
        "skips the angles, but multiplies by None",
        "`angle: 0` leaves the angles out",
        fails(
            on(losses.RKD, "v", angle=0)(), partial(mid.RKDLoss, "v", "v", 25, None, "mean"), "v", "NoneType")),
    "Regressor4VID, variance": (
        "overflows for a large variance",
        "Ahn, equation 6: log(1 + exp(a)), about a for large a",
        check_large_variance),
    "AttentionBasedFusion, oblong": (
        "uses one side as height and width",
        "Chen, figure 3: the height and width of the shallower layer",
        check_oblong_features),
}  # fmt: skip
"""Loss and case -> torchdistill's behavior, that of the paper and this project, and a check of both."""


def test_the_readme_of_the_losses_lists_every_difference() -> None:
    page = (ROOT / "harness" / "losses" / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    cells = [(name, theirs, paper) for name, (theirs, paper, _) in DIFFERENCES.items()]
    assert rows == ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in cells]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_this_projects_loss_follows_the_paper_where_torchdistills_does_not(name: str) -> None:
    DIFFERENCES[name][2]()


def test_the_norm_of_a_single_row_is_equal_in_both() -> None:
    student, teacher, labels = one_row(*random_batch())
    ours, theirs = NORM(student, teacher)
    assert is_close(ours(as_outputs(student), None, labels), theirs(student, teacher, labels))


def test_factor_transfer_with_p_1_is_a_mean_in_both_where_equation_3_has_a_sum() -> None:
    student, teacher, labels = random_batch()
    ours, theirs = FACTORS(student, teacher)
    s, t = (x["e"].flatten(1) / x["e"].flatten(1).norm(dim=1, keepdim=True) for x in (student, teacher))
    for actual in (ours(as_outputs(student), as_outputs(teacher), labels), theirs(student, teacher, labels)):
        assert is_close(actual * s.shape[1], (s - t).abs().sum(1).mean())


@pytest.mark.parametrize("pair", [EQUAL_LOSSES["AttentionTransfer-paper"], FSP], ids=["AttentionTransfer", "FSP"])
def test_equal_features_have_gradient_0_in_both(pair: Pair) -> None:
    _, teacher, labels = random_batch()
    ours, theirs = pair(teacher, teacher)
    actual = value_and_gradients(lambda s: ours(as_outputs(s), as_outputs(teacher), labels), teacher)
    other = value_and_gradients(lambda s: theirs(s, teacher, labels), teacher)
    assert all((value == 0).all() for value in [*actual.values(), *other.values()])
