"""Losses with learned modules of both models, or that span several terms or stages, as losses of a recipe."""

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.importers.torchdistill.architectures import feature_values
from zoo.importers.torchdistill.feature_losses import teacher_of
from zoo.importers.torchdistill.features import FeatureReader
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.output_losses import check_is_logits
from zoo.importers.torchdistill.terms import Converted, Stage, Term

FACTOR, ADAPTATION, SELF = "factor_transfer", "knowledge_adaptation", "self_supervision"
"""The names of terms whose learned parts a later stage takes over."""
PARAPHRASER, ENCODER = "paraphraser", "paraphraser.encoder"


def _module_input(reader: FeatureReader) -> str:
    """Return the feature that an auxiliary wrapper's module reads: `input_module`, or `input_module_path`."""
    if (module := reader.options.get("input_module")) is not None:
        return reader.path(module.need("path"), module.need("io").text)
    return reader.path(reader.options.need("input_module_path"), "output")


def _paraphraser(stage: Stage, term: Term) -> dict[str, Any]:
    """Return the arguments of the auto-encoder of `Teacher4FactorTransfer`."""
    teacher = teacher_of(term, stage)
    kwargs = teacher.options.need("paraphraser_kwargs")
    for name, expected in (("kernel_size", 3), ("stride", 1), ("padding", 1)):
        if (item := kwargs.get(name)) is not None and item.plain not in (expected, [expected, expected]):
            raise item.blocked(f"zoo's paraphraser has {name} {expected}")
    options: dict[str, Any] = {"rate": kwargs.need("k").number}
    uses = kwargs.get("uses_bn")
    return {**options, **({} if uses is None or uses.flag else {"batch_norm": False})}


def reconstruction(term: Term, norm: Term | None, stage: Stage) -> Converted:
    """Convert the first stage of factor transfer, or of knowledge adaptation, which may add the norm of the code."""
    path = _module_input(teacher_of(term, stage))
    options = {"teacher": path, **_paraphraser(stage, term)}
    weight = term.weight * _sum_factor(term, stage, path)
    if norm is None and not stage.later_keys & {"KTALoss", "AffinityLoss"}:
        return Converted(name=FACTOR, loss={"use": "Paraphrase", **options}, weight=weight, keeps=True, is_shared=True)
    term.check(reductions=("mean", "sum"))
    if norm is not None:
        norm.check("module_path", "io", "io_type", "is_from_teacher", "p")
    if norm is not None and norm.number("p", 1.0) != 1:
        raise norm.blocked("zoo has the L1 norm of the code; write p: 1")
    l1 = norm.weight * stage.rows / weight if norm else 0.0
    if norm is not None:
        stage.found.differ(
            f"{norm.name}: torchdistill takes one norm of the whole batch of a process; the recipe has the mean over"
            f" its {stage.rows} rows, with {stage.rows} times the weight: l1 = {l1:g}"
        )
    loss = {"use": "KnowledgeTranslation", **options, **({"l1": l1} if l1 else {})}
    return Converted(name=ADAPTATION, loss=loss, weight=weight, keeps=True, is_shared=True)


def _sum_factor(term: Term, stage: Stage, path: str) -> float:
    """Return the number of values that torchdistill sums over, of which the recipe has the mean; 1 for a mean."""
    if term.word("reduction", "mean") == "mean":
        return 1.0
    if term.word("reduction", "mean") != "sum" or not stage.side:
        raise term.blocked("write reduction: mean; the number of values that are summed is not known")
    teacher = teacher_of(term, stage)
    values = stage.rows * feature_values(teacher.model, path, stage.side, teacher.config)
    stage.found.differ(
        f"{term.name}: torchdistill sums over the {values:,} values of a batch of a process; the recipe has their mean"
        f" with {values:,} times the weight, so a smaller last batch weighs more"
    )
    return float(values)


def factor_transfer(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `FTLoss`."""
    term.check("p", "paraphraser_path", "translator_path", reductions=("mean",))
    p = int(term.number("p", 1.0))
    if p not in (1, 2) or p != term.number("p", 1.0):
        raise term.kwargs.need("p").blocked(f"{term.name}: p of zoo's FactorTransfer is 1 or 2")
    options = _paraphraser(stage, term)
    translator = stage.student.options.need("translator_kwargs")
    uses = translator.get("uses_bn")
    if (uses is None or uses.flag) == (options.get("batch_norm") is False):
        raise translator.blocked("paraphraser and translator of a recipe both have BatchNorm, or neither has")
    paths = {"student": _module_input(stage.student), "teacher": _module_input(teacher_of(term, stage))}
    loss = {"use": "FactorTransfer", **paths, **options, "p": p}
    yield Converted(name=FACTOR, loss=loss, weight=term.weight, is_shared=True)


def knowledge_adaptation(terms: Sequence[Term], stage: Stage) -> Converted:
    """Convert `KTALoss` and `AffinityLoss`."""
    by_key = {term.key: term for term in terms}
    first = terms[0]
    weights = {name: by_key[key].weight if key in by_key else 0.0
               for name, key in (("adaptation", "KTALoss"), ("affinity", "AffinityLoss"))}  # fmt: skip
    for term in terms:
        sides = [f"{side}_module_{part}" for side in ("student", "teacher") for part in ("path", "io")]
        own = ("p", "q", "knowledge_translator_path", "feature_adapter_path") if term.key == "KTALoss" else sides
        term.check(*own, reductions=("mean",))
        if term.number("p", 1.0) != 1 or term.number("q", 2.0) != 2:
            raise term.blocked("KnowledgeAdaptation of a recipe has p = 1 and q = 2")
    for name in ("feature_adapter_config", "affinity_adapter_config"):
        conv = stage.student.options.need(name).need("conv_kwargs", "conv")
        if conv.need("kernel_size").plain not in (3, [3, 3]):
            raise conv.blocked("zoo's adapters are 3x3 convolutions")
    paths = {"student": _module_input(stage.student), "teacher": _module_input(teacher_of(first, stage))}
    loss = {"use": "KnowledgeAdaptation", **paths, **_paraphraser(stage, first), **weights}
    return Converted(name=ADAPTATION, loss=loss, is_shared=True)


def knowledge_review(terms: Sequence[Term], stage: Stage) -> Converted:
    """Convert the `HierarchicalContextLoss` of each fusion of `Student4KnowledgeReview`."""
    first = terms[0]
    teacher = teacher_of(first, stage)
    fusions = stage.student.options.need("abfs").list
    if len({term.weight for term in terms}) != 1:
        raise first.blocked("KnowledgeReview of a recipe has one weight for all layers")
    by_fusion = {term.kwargs.need("student_module_path").text.rpartition(".")[2]: term for term in terms}
    names = [str(number) for number in reversed(range(len(fusions)))]  # torchdistill stores them from deep to shallow
    if sorted(by_fusion) != sorted(names):
        raise first.blocked(f"{len(fusions)} fusions, but losses for {', '.join(sorted(by_fusion))}")
    for term in terms:
        term.check("student_module_path", "student_module_io", "teacher_module_path", "teacher_module_io",
                   "output_sizes", reductions=("mean",))  # fmt: skip
        sizes = term.kwargs.get("output_sizes")
        if sizes is not None and sizes.plain != [4, 2, 1]:
            raise sizes.blocked("zoo pools to the sizes [4, 2, 1]")
    theirs = [teacher.path(by_fusion[name].kwargs.need("teacher_module_path"),
                           by_fusion[name].word("teacher_module_io", "output")) for name in names]  # fmt: skip
    ours = [stage.student.path(fusion.need("path"), fusion.need("io").text) for fusion in fusions]
    channels = {fusion.need("kwargs").need("mid_channels").whole for fusion in fusions}
    if len(channels) != 1:
        raise first.blocked("KnowledgeReview of a recipe has one number of channels inside all fusions")
    loss = {"use": "KnowledgeReview", "student": ours, "teacher": theirs, "mid_channels": channels.pop()}
    return Converted(name="review", loss=loss, weight=first.weight)


def self_supervision(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `AuxSSKDLoss`, the first stage of SSKD."""
    term.check("module_path", "module_io", reductions=("mean",))
    loss = {"use": "SelfSupervision", "teacher": _module_input(teacher_of(term, stage))}
    yield Converted(name=SELF, loss=loss, weight=term.weight, keeps=True, is_shared=True)


def sskd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `SSKDLoss`."""
    modules = [f"{side}_{what}_module" for side in ("student", "teacher") for what in ("linear", "ss")]
    term.check(*(f"{module}_{part}" for module in modules for part in ("path", "io")), "kl_temp", "ss_temp", "tf_temp",
               "ss_ratio", "tf_ratio", "loss_weights", reductions=("batchmean",))  # fmt: skip
    if term.number("kl_temp") != term.number("tf_temp"):
        raise term.blocked("SSKD of a recipe has one temperature for all predictions; kl_temp and tf_temp differ")
    for side, reader in (("student", stage.student), ("teacher", teacher_of(term, stage))):
        check_is_logits(term, reader, f"{side}_linear_module")
    weights = [item.number for item in found.list] if (found := term.kwargs.get("loss_weights")) else [1.0] * 4
    paths = {"student": _module_input(stage.student), "teacher": _module_input(teacher_of(term, stage))}
    loss = {
        "use": "SSKD", **paths, "temperature": term.number("kl_temp"), "self_temperature": term.number("ss_temp"),
        "ratio": term.number("tf_ratio"), "self_ratio": term.number("ss_ratio"), "weights": weights,
    }  # fmt: skip
    yield Converted(name=SELF, loss=loss, weight=term.weight, is_shared=True)


def crd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `CRDLoss`, whose negatives `CRDDatasetWrapper` draws."""
    term.check("student_norm_module_path", "student_empty_module_path", "teacher_norm_module_path", "input_size",
               "output_size", "num_negative_samples", "num_samples", "temperature", "momentum", "eps")  # fmt: skip
    for reader in (stage.student, teacher_of(term, stage)):
        if (power := reader.options.get("power")) is not None and power.number != 2:
            raise power.blocked("zoo divides embeddings by their L2 norms; write power: 2")
    wrapper = stage.loader.get("dataset_wrapper")
    options = wrapper.get("kwargs") if wrapper else None
    if options is not None and (mode := options.get("mode")) is not None and mode.text != "exact":
        raise mode.blocked("zoo's positive is the row itself; write mode: exact")
    if options is not None and (ratio := options.get("ratio")) is not None and ratio.number != 1:
        raise ratio.blocked("zoo draws from all rows of other classes; write ratio: 1.0")
    stage.found.differ(f"{term.name}: torchdistill draws negatives without repetition where there are enough rows, zoo"
                       " with repetition; each process has a memory of its own in torchdistill")  # fmt: skip
    paths = {"student": _module_input(stage.student), "teacher": _module_input(teacher_of(term, stage))}
    loss = {
        "use": "CRD", **paths, "dim": int(term.number("input_size")),
        "negatives": int(term.number("num_negative_samples")), "temperature": term.number("temperature", 0.07),
        "momentum": term.number("momentum", 0.5), "eps": term.number("eps", 1e-7),
    }  # fmt: skip
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def cckd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `CCKDLoss` with the embeddings of `Linear4CCKD`."""
    term.check("student_linear_path", "teacher_linear_path", "kernel_config", reductions=("batchmean", "sum"))
    kernel = term.kwargs.need("kernel_config")
    kind = kernel.need("key").text
    widths = {reader.options.need("linear_kwargs").need("out_features").whole
              for reader in (stage.student, teacher_of(term, stage))}  # fmt: skip
    if len(widths) != 1:
        raise term.blocked("both embeddings of a recipe have one width")
    options: dict[str, Any] = {"dim": widths.pop(), "kernel": kind}
    if kind == "gaussian":
        options |= {"gamma": kernel.need("gamma").number, "order": kernel.need("max_p").whole}
    scale = 1.0 if term.word("reduction", "batchmean") == "batchmean" else float(stage.rows**2)
    stage.found.differ(
        f"{term.name}: torchdistill does not square the distance of the correlations"
        f"{', nor divide the embeddings by their lengths' if kind == 'gaussian' else ''}; the recipe does, as the"
        " paper. No weight makes the two equal"
    )
    paths = {"student": _module_input(stage.student), "teacher": _module_input(teacher_of(term, stage))}
    yield Converted(name=term.name, loss={"use": "CCKD", **paths, **options}, weight=term.weight * scale)


def pad(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `PADL2Loss` with the branch of `VarianceBranch4PAD`."""
    modules = ("student_embed_module", "teacher_embed_module", "module")
    term.check(*(f"{name}_{part}" for name in modules for part in ("path", "io")), "eps", reductions=("mean",))
    ours = stage.student.path(
        term.kwargs.need("student_embed_module_path"), term.word("student_embed_module_io", "output")
    )
    theirs = teacher_of(term, stage).path(
        term.kwargs.need("teacher_embed_module_path"), term.word("teacher_embed_module_io", "output")
    )
    loss = {"use": "PAD", "student": ours, "teacher": theirs, "eps": term.number("eps", 1e-6)}
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def srd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `SRDLoss` with the projectors of `SRDModelWrapper`."""
    modules = [f"{side}_{what}_module" for side in ("student", "teacher") for what in ("feature", "linear")]
    term.check(*(f"{module}_{part}" for module in modules for part in ("path", "io")), "exponent", "temperature",
               reductions=("batchmean",))  # fmt: skip
    teacher = teacher_of(term, stage)
    for side, reader in (("student", stage.student), ("teacher", teacher)):
        check_is_logits(term, reader, f"{side}_linear_module")
        read = term.kwargs.need(f"{side}_feature_module_path")
        if read.text != "norm_layer":
            stage.found.differ(
                f"{term.name}: the configuration compares {read.text} of the {side} itself, and its projector is never"
                " read; the recipe compares the projected and normalized features, as the paper"
            )
    eps = _norm_option(stage.student.options, "eps")
    if (affine := _norm_option(stage.student.options, "affine")) is None or affine.flag:
        stage.found.differ(f"{term.name}: BatchNorm of torchdistill's projector has parameters, that of zoo has none")
    loss = {
        "use": "SRD", "student": _module_input(stage.student), "teacher": _module_input(teacher),
        "exponent": term.number("exponent", 1.0), "temperature": term.number("temperature", 1.0),
        "eps": eps.number if eps else 1e-5,
    }  # fmt: skip
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def _norm_option(options: Item, name: str) -> Item | None:
    return options.need("norm_kwargs").get(name)
