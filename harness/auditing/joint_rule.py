"""The joint rule: scores of one result on two classes must come from one confusion matrix.

If no matrix gives all scores, the rule looks for what does: precision and recall swapped, another average, another
split, or all scores but one.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.auditing.confusion import CLASSES, JOINT, MIXED, OTHER_CLASS, MatrixFit, fit_matrices
from harness.auditing.confusion import Score as JointScore
from harness.auditing.results import Result, Score
from harness.auditing.types import Finding, evidence
from zoo.claims.data_sets import DataSet
from zoo.claims.metric_names import AVERAGES

Pair = tuple[Score, JointScore]


def check_joint(result: Result) -> None:
    """Add what the joint rule finds to the scores of a result."""
    pairs = [(score, joint) for score in result if (joint := _joint_score(score)) is not None]
    scores = [score for score, _ in pairs]
    if not pairs or any(score.has_loader_effect for score in scores) or all(j.name == "accuracy" for _, j in pairs):
        return
    data = scores[0].data_set
    splits = _splits(scores, data)
    if data is None or not splits:
        return
    fits = {split: _fit(pairs, data, split) for split in splits}
    found = {split: fit for split, fit in fits.items() if isinstance(fit, MatrixFit)}
    if found:
        split, fit = next(iter(found.items()))
        _add_fit(pairs, fit, data, f" ({split})" if len(splits) > 1 else "", alternatives=len(splits))
    elif "too many" not in fits.values():
        _explain_misfit(pairs, data, splits)


def _joint_score(score: Score) -> JointScore | None:
    """Return a score as one of a confusion matrix, or None if it is no such score, or already known to be wrong."""
    metric = score.metric
    if metric is None or score.as_right is None:
        return None
    name, value = score.as_right
    if name not in JOINT or not score.is_single or any(finding.is_bad for finding in score.findings):
        return None
    if metric.variant or metric.average == "samples":
        return None  # the threshold of each score of a similarity is its own
    definition: str | None = ""
    if metric.name in ("f1", "precision", "recall"):
        definition = _of_class(metric.of_class, score.data_set) if metric.of_class else metric.average
    elif metric.of_class:
        return None
    return JointScore(name=name, printed=value, definition=definition)


def _of_class(named: str, data: DataSet | None) -> str:
    """Return the definition of a score of one class."""
    positive = data.facts.positive if data else None
    names = [re.sub(r"[^a-z0-9]+", " ", name.lower()) for name in data.facts.classes] if data else []
    number = re.sub(r"\D", "", named)
    place = names.index(named) if named in names else int(number[:3]) if number else None
    return CLASSES[place != positive] if place is not None and positive is not None else "binary"


def _splits(scores: Sequence[Score], data: DataSet | None) -> list[str]:
    """Return the splits of two classes that all scores may be of."""
    if data is None or any(len(counts) != 2 for counts in data.facts.class_counts.values()):
        return []
    names = [name for name in scores[0].sizes if name in data.facts.class_counts]
    full = [name for name in names if scores[0].sizes[name] == data.rows[name]]
    return [name for name in full if all(name in score.sizes for score in scores)]


def _fit(pairs: Sequence[Pair], data: DataSet, split: str) -> object:
    counts, positive = data.facts.class_counts[split], data.facts.positive or 0
    return fit_matrices([joint for _, joint in pairs], counts[1 - positive], counts[positive])


def _add_fit(pairs: Sequence[Pair], fit: MatrixFit, data: DataSet, where: str, *, alternatives: int) -> None:
    """Add that the scores fit, and what follows. All scores but the accuracy are evidence together."""
    chance = min(fit.chance * alternatives, 1.0)
    verdict = evidence(chance)
    for number, (score, joint) in enumerate(pair for pair in pairs if pair[1].name != "accuracy"):
        first = number == 0
        text = (
            f"{_implied(score, joint, fit)}{where}" if first else f"follows from the same matrix{_average(joint, fit)}"
        )
        if not first and joint.definition is None and fit.definition == MIXED:
            text = "fits only if it is averaged in another way"
        score.findings.append(Finding(rule="joint", verdict=verdict, text=text, chance=chance))


def _implied(score: Score, joint: JointScore, fit: MatrixFit) -> str:
    first, last = int(fit.matrices.tp.min()), int(fit.matrices.tp.max())
    positives = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    only = f" {joint.printed.loosely}" if fit.is_loose else ""
    return f"{_name(score)}{_average(joint, fit)} implies {positives} true positives{only}"


def _name(score: Score) -> str:
    name = score.metric.name if score.metric else ""
    return {"f1": "F1", "matthews_correlation": "MCC"}.get(name, name.replace("_", " "))


def _average(joint: JointScore, fit: MatrixFit) -> str:
    """Return the average that fits, if it is not the usual one."""
    if joint.definition not in (None, "binary") or fit.definition in ("binary", MIXED):
        return ""
    if fit.definition == OTHER_CLASS:
        return f", as {fit.definition},"
    return f", averaged as {fit.definition}," if joint.definition is None else ""


def _explain_misfit(pairs: Sequence[Pair], data: DataSet, splits: Sequence[str]) -> None:
    split = splits[0]
    if _explain_by_swap(pairs, data, splits) or _explain_by_average(pairs, data, splits):
        return
    others = [name for name in data.facts.class_counts if name not in splits]
    fitting = next((name for name in others if isinstance(_fit(pairs, data, name), MatrixFit)), None)
    counts = " and ".join(f"{count:,}" for count in data.facts.class_counts[split])
    if fitting:
        fit = "the scores fit" if len(pairs) > 1 else "the score fits"
        text = f"{fit} the split {fitting}, and no confusion matrix of {split} ({counts} rows)"
        _add(pairs, Finding(rule="joint", verdict="inconsistent", text=text))
        return
    _blame(pairs, data, splits, f"no confusion matrix with {counts} rows")


def _blame(pairs: Sequence[Pair], data: DataSet, splits: Sequence[str], no_matrix: str) -> None:
    """Add the finding to the only score that does not fit the others, or to all."""
    alone = [pair for pair in pairs if all(_fit([pair], data, split) == "none" for split in splits)]
    for pair in alone:
        text = f"{no_matrix} has this {_name(pair[0])}"
        _add([pair], Finding(rule="joint", verdict="inconsistent", text=text))
    if alone:
        return
    rest = {n: [*pairs[:n], *pairs[n + 1 :]] for n in range(len(pairs))} if len(pairs) > 2 else {}
    odd = [n for n, others in rest.items() if any(isinstance(_fit(others, data, s), MatrixFit) for s in splits)]
    named = [pairs[odd[0]]] if len(odd) == 1 else pairs
    for pair in named:
        text = f"{no_matrix} has this {_name(pair[0])} and the other scores"
        _add([pair], Finding(rule="joint", verdict="impossible", text=text))
    if len(odd) == 1:
        text = f"fits one confusion matrix with the other scores but the {_name(named[0][0])}"
        _add(rest[odd[0]], Finding(rule="joint", verdict="uninformative", text=text))


def _explain_by_swap(pairs: Sequence[Pair], data: DataSet, splits: Sequence[str]) -> bool:
    """Add that precision and recall are swapped, if all scores fit then."""
    place = {joint.name: n for n, (_, joint) in enumerate(pairs)}
    if not {"precision", "recall"} <= {*place}:
        return False
    swapped, p, r = list(pairs), place["precision"], place["recall"]
    swapped[p] = (pairs[p][0], replace(pairs[p][1], name="recall"))
    swapped[r] = (pairs[r][0], replace(pairs[r][1], name="precision"))
    if not _fits(swapped, data, splits):
        return False
    text = "precision and recall fit only if they are swapped"
    _add([pairs[p], pairs[r]], Finding(rule="joint", verdict="inconsistent", text=text))
    return True


def _explain_by_average(pairs: Sequence[Pair], data: DataSet, splits: Sequence[str]) -> bool:
    """Add which score has another average than declared, or which scores contradict each other, if all fit then."""
    declared = [n for n, (_, joint) in enumerate(pairs) if joint.definition in AVERAGES]
    explained = {n: fits[0] for n in declared if (fits := _fits(_freed(pairs, [n]), data, splits))}
    chosen = [*explained] or declared
    fits = [*explained.values()] or (_fits(_freed(pairs, declared), data, splits) if declared else [])
    if not fits:
        return False
    is_clear = (len(explained) == 1 or not explained) and fits[0].definition != MIXED
    if is_clear or len(declared) == 1:
        named = "with another average" if fits[0].definition == MIXED else f"as {fits[0].definition} average"
        text = f"fits {named}, not as declared"
        right = [n for n in chosen if pairs[n][1].definition == fits[0].definition]
        _add([pairs[n] for n in chosen if n not in right], Finding(rule="joint", verdict="inconsistent", text=text))
        _add(
            [pairs[n] for n in right], Finding(rule="joint", verdict="uninformative", text=f"fits {named}, as declared")
        )
    else:
        counts = " and ".join(f"{count:,}" for count in data.facts.class_counts[splits[0]])
        blamed = [pairs[n] for n in (chosen if len(chosen) > 1 else declared)]
        are_enough = all(_fit(blamed, data, split) == "none" for split in splits)
        _contradict(blamed if are_enough else pairs, counts)
    return True


def _freed(pairs: Sequence[Pair], places: Sequence[int]) -> list[Pair]:
    """Return the scores, some of them without the average that their author declares."""
    return [
        (score, replace(joint, definition=None) if n in places else joint) for n, (score, joint) in enumerate(pairs)
    ]


def _contradict(pairs: Sequence[Pair], counts: str) -> None:
    """Add to each score which others it contradicts: nothing tells which of them is wrong.

    Args:
        pairs: Scores that no confusion matrix has together.
        counts: The sizes of the classes, in words.
    """
    for pair in pairs:
        others = [other for other, _ in pairs if other is not pair[0]]
        names = " and ".join(f"{s.metric} {s.claim.text.strip()} (line {s.claim.mark.line})" for s in others)
        together = "both" if len(pairs) == 2 else "all"
        text = f"cannot be true together with {names}: no confusion matrix with {counts} rows has {together}"
        _add([pair], Finding(rule="joint", verdict="inconsistent", text=text))


def _fits(pairs: Sequence[Pair], data: DataSet, splits: Sequence[str]) -> list[MatrixFit]:
    return [fit for name in splits if isinstance(fit := _fit(pairs, data, name), MatrixFit)]


def _add(pairs: Sequence[Pair], finding: Finding) -> None:
    for score, _ in pairs:
        score.findings.append(finding)
