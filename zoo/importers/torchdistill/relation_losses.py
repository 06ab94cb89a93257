"""Losses of relations between features, or between rows, as losses of a recipe."""

from collections.abc import Iterator

from zoo.importers.torchdistill.feature_losses import feature_path, teacher_of
from zoo.importers.torchdistill.output_losses import DIST_EPS, check_eps, check_is_logits
from zoo.importers.torchdistill.terms import Converted, Stage, Term


def fsp(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `FSPLoss`."""
    term.check("fsp_pairs")
    teacher = teacher_of(term, stage)
    student_flows, teacher_flows, weights = [], [], set()
    for pair in term.kwargs.need("fsp_pairs").mapping.values():
        student_flows.append(
            [feature_path(stage.student, pair.need(name)) for name in ("student_first", "student_second")]
        )
        teacher_flows.append([feature_path(teacher, pair.need(name)) for name in ("teacher_first", "teacher_second")])
        weights.add(item.number if (item := pair.get("weight")) else 1.0)
    if len(weights) != 1:
        raise term.blocked("FSP of a recipe has one weight for all pairs")
    stage.found.differ(
        f"{term.name}: torchdistill adds up the norms of the columns of the differences, the recipe their squares, as"
        " equation 2 of the paper; no weight makes the two equal"
    )
    loss = {"use": "FSP", "student": student_flows, "teacher": teacher_flows}
    yield Converted(name=term.name, loss=loss, weight=term.weight * weights.pop())


def _named(term: Term, stage: Stage, student: str, teacher: str) -> dict[str, str]:
    """Return the feature paths of `STUDENT_path` and `TEACHER_path`; their io is the output by default."""
    ours = stage.student.path(term.kwargs.need(f"{student}_path"), term.word(f"{student}_io", "output"))
    theirs = teacher_of(term, stage).path(term.kwargs.need(f"{teacher}_path"), term.word(f"{teacher}_io", "output"))
    return {"student": ours, "teacher": theirs}


def _names(*modules: str) -> tuple[str, ...]:
    return tuple(f"{module}_{part}" for module in modules for part in ("path", "io"))


def pkt(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `PKTLoss`."""
    term.check(*_names("student_module", "teacher_module"), "eps")
    loss = {"use": "PKT", **_named(term, stage, "student_module", "teacher_module"), "eps": term.number("eps", 1e-7)}
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def rkd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `RKDLoss`."""
    term.check(*_names("student_output", "teacher_output"), "dist_factor", "angle_factor", reductions=("mean",))
    factors = {"distance": term.number("dist_factor", 0.0), "angle": term.number("angle_factor", 0.0)}
    loss = {"use": "RKD", **_named(term, stage, "student_output", "teacher_output"), **factors}
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def spkd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `SPKDLoss`."""
    term.check(*_names("student_output", "teacher_output"), reductions=("batchmean", "sum"))
    paths = _named(term, stage, "student_output", "teacher_output")
    scale = 1.0 if term.word("reduction", "batchmean") == "batchmean" else float(stage.rows**2)
    stage.found.differ(
        f"{term.name}: torchdistill divides the rows of the similarities by their L1 norms, the recipe by their L2"
        " norms, as the paper; no weight makes the two equal"
    )
    loss = {"use": "SPKD", "student": [paths["student"]], "teacher": [paths["teacher"]]}
    yield Converted(name=term.name, loss=loss, weight=term.weight * scale)


def dist_plus(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `DISTPlusLoss`."""
    modules = [f"{side}_{what}_module" for side in ("student", "teacher") for what in ("logit", "feature")]
    term.check(*_names(*modules), "beta", "gamma", "iota", "kappa", "tau", "eps")
    check_eps(term, DIST_EPS)
    for side, reader in (("student", stage.student), ("teacher", teacher_of(term, stage))):
        check_is_logits(term, reader, f"{side}_logit_module")
    paths = _named(term, stage, "student_feature_module", "teacher_feature_module")
    factors = {name: term.number(name, 1.0) for name in ("beta", "gamma", "iota", "kappa")}
    if factors["iota"]:
        stage.found.differ(
            f"{term.name}: torchdistill adds the correlation over channels, which drives student and teacher apart; the"
            f" recipe subtracts it from 1, as the paper. `iota: {-factors['iota']:g}` has torchdistill's gradient"
        )
    loss = {"use": "DISTPlus", **paths, "temperature": term.number("tau", 1.0), **factors}
    yield Converted(name=term.name, loss=loss, weight=term.weight)
