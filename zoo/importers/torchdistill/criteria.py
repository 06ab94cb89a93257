"""The criterion of a stage: each of torchdistill's losses, alone or with those that one loss of a recipe covers."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from zoo.errors import did_you_mean
from zoo.importers.torchdistill import feature_losses, method_losses, output_losses, relation_losses
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.terms import MODEL, Converted, Stage, Term, terms_of

Convert = Callable[[Term, Stage], Iterator[Converted]]
LOSSES: Mapping[str, Convert] = {
    "CrossEntropyLoss": output_losses.cross_entropy,
    MODEL: output_losses.loss_of_model,
    "KDLoss": output_losses.kd,
    "LogitStdKDLoss": output_losses.kd,
    "DISTLoss": output_losses.dist,
    "SKDInstanceLoss": output_losses.skd_instance,
    "SKDDirectionLoss": output_losses.skd_direction,
    "MSELoss": feature_losses.mean_squared_error,
    "ATLoss": feature_losses.attention_transfer,
    "AltActTransferLoss": feature_losses.activation_boundaries,
    "VIDLoss": feature_losses.vid,
    "ChSimLoss": feature_losses.ickd,
    "FSPLoss": relation_losses.fsp,
    "PKTLoss": relation_losses.pkt,
    "RKDLoss": relation_losses.rkd,
    "SPKDLoss": relation_losses.spkd,
    "DISTPlusLoss": relation_losses.dist_plus,
    "FTLoss": method_losses.factor_transfer,
    "AuxSSKDLoss": method_losses.self_supervision,
    "SSKDLoss": method_losses.sskd,
    "CRDLoss": method_losses.crd,
    "CCKDLoss": method_losses.cckd,
    "PADL2Loss": method_losses.pad,
    "SRDLoss": method_losses.srd,
}
"""torchdistill's losses that are converted one by one."""
TOGETHER: Mapping[tuple[str, ...], Callable[[Sequence[Term], Stage], Converted]] = {
    ("HierarchicalContextLoss",): method_losses.knowledge_review,
    ("KTALoss", "AffinityLoss"): method_losses.knowledge_adaptation,
}
"""torchdistill's losses that are converted together."""
_KNOWN = (*LOSSES, *(key for keys in TOGETHER for key in keys), "RegularizationLoss")


def loss_keys(config: Item) -> frozenset[str]:
    """Return the losses that a stage's criterion names; the problems of reading it are left to its conversion."""
    criterion = config.get("criterion")
    terms: list[Term] = []
    found = Findings()
    with found.part():
        terms = terms_of(criterion, found) if criterion else []
    return frozenset(term.key for term in terms)


def convert_criterion(stage: Stage) -> list[Converted]:
    """Return the terms of a stage. A term that cannot be converted is left out, and its problem added."""
    terms = terms_of(stage.config.need("criterion"), stage.found)
    converted: list[Converted] = []
    for keys, convert in TOGETHER.items():
        if group := [term for term in terms if term.key in keys]:
            terms = [term for term in terms if term.key not in keys]
            with stage.found.part():
                converted.append(convert(group, stage))
    for term in _without_reconstructions(terms, stage, converted):
        with stage.found.part():
            _check_known(term)
            converted += LOSSES[term.key](term, stage)
    return converted


def check_losses(config: Item, found: Findings) -> None:
    """Add a problem for each loss of a stage that is not converted; this needs no models."""
    for term in terms_of(config.need("criterion"), found):
        with found.part():
            if term.key not in _KNOWN:
                _check_known(term)


def _check_known(term: Term) -> None:
    if term.key not in LOSSES:
        raise term.blocked(f"{term.key} has no equal among zoo's losses{did_you_mean(term.key, list(_KNOWN))}")


def _without_reconstructions(terms: Sequence[Term], stage: Stage, converted: list[Converted]) -> list[Term]:
    """Convert the terms that train a paraphraser, and return the others."""
    trains = next((term for term in terms if _reads_only(term, method_losses.PARAPHRASER)), None)
    norm = next((term for term in terms if term.key == "RegularizationLoss"), None)
    if trains is None:
        return list(terms)
    with stage.found.part():
        converted.append(method_losses.reconstruction(trains, norm, stage))
    return [term for term in terms if term not in (trains, norm)]


def _reads_only(term: Term, module: str) -> bool:
    """Return whether a term compares the output of a learned module of the teacher with the teacher's feature."""
    source = term.reads.get("input") if term.key == "MSELoss" and term.reads else None
    path = source.get("module_path") if source else None
    return path is not None and path.text == module
