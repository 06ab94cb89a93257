"""Turn a card of the Trainer into a recipe that trains the model again and judges it."""

import re
from collections.abc import Iterator
from typing import Any

from zoo.claims.data_sets import find_data_set
from zoo.claims.mapping.map_claims import ClaimGroup, MappedClaim, MappedClaims, map_claims
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.fetch.sources import Sources
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.settings import Notes
from zoo.importers.trainer.card import TrainerCard, find_card
from zoo.importers.trainer.hyperparameters import convert_stage, precision_of
from zoo.importers.trainer.model import base_model, facts_about
from zoo.importers.trainer.weight_decay import undecayed_paths
from zoo.safe_text import one_line

TOOL = "the Trainer of transformers"
TRAIN = "train"
MAX_NAME, MAX_TEXT = 100, 200
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def import_card(target: str, sources: Sources, name: str | None = None) -> ImportedRecipe:
    """Return the recipe of a training that a card of the Trainer describes.

    Args:
        target: The file `README.md`, beside the `config.json` of the model, or a repository of the Hub.
        sources: Fetches the files of repositories. No weights and no rows are downloaded.
        name: The name of the recipe. Default: that of the repository, or of the folder with the card.

    Raises:
        RecipeError: With everything that blocks the conversion.
        SourceError: A file or repository cannot be read.
        UsageError: The target is no card.
    """
    notes = Notes()
    card = find_card(target, sources, notes)
    base = base_model(card, sources, notes)
    model = facts_about(card, base, sources, notes) if base else None
    group, rows = _claims(card, model, sources, notes) if model else (None, None)
    decays = model is not None and card.hyperparameters.number("weight_decay", 0.0, least=0) > 0
    undecayed = undecayed_paths(card, model.inputs, notes) if model is not None and decays else ()
    stage = convert_stage(card.hyperparameters, model.kind if model else "classification", rows, notes, undecayed)
    precision = precision_of(card.hyperparameters, notes)
    task = _task(group, model, card, notes) if group and model else {}
    notes.require_none()
    assert group is not None
    assert model is not None
    recipe = {
        "name": name or _name(card), "task": task, **_tokenizer(model), "model": dict(model.model),
        **({"weights": str(card.repository)} if card.repository else {}),
        "metrics": [_metric(each) for each in {each.metric.name: each for each in group.claims}.values()],
        "stages": [stage],
        "claims": [*_recipe_claims(group, card, precision)],
    }  # fmt: skip
    return ImportedRecipe(
        tool=TOOL, source=card.shown, recipe=recipe, assumptions=tuple(notes.assumptions),
        differences=tuple(notes.differences),
    )  # fmt: skip


def _claims(
    card: TrainerCard, model: ModelFacts, sources: Sources, notes: Notes
) -> tuple[ClaimGroup | None, int | None]:
    """Return the claims on the first data set that zoo has a task for, and the rows of its split `train` if known."""
    mapped = map_claims(card.published, sources, model)
    if not mapped.groups:
        _refuse_claims(mapped, card, notes)
        return None, None
    for each in mapped.unmapped:
        notes.differ(f"not judged: {each.claim.metric[:60]} = {each.claim.text[:60]}: {each.error}")
    group, *others = mapped.groups
    if others:
        notes.differ(f"the card has scores on {', '.join(other.target.name for other in others)} too; the recipe trains"
                     f" and is judged on {group.target.name}")  # fmt: skip
    notes.assume(f"the model was trained on the split {TRAIN} of {group.target.name}, the data set of the scores")
    for claim in group.claims:
        if claim.split.why != "declared":
            notes.assume(
                f"{claim.split.why.removeprefix('assumed: ')}; chosen: {claim.split.name} ({claim.metric.name})"
            )
        if claim.metric.assumed:
            notes.assume(f"{claim.claim.metric} is {claim.metric.assumed}")
    known = find_data_set(group.claims[0].claim)
    return group, group.target.rows.get(TRAIN) or (known.rows.get(TRAIN) if known else None)


def _refuse_claims(mapped: MappedClaims, card: TrainerCard, notes: Notes) -> None:
    """Add the reason why no score of the card can be judged, for each score: then the data set is not known either."""
    for each in mapped.unmapped:
        message = f"{each.claim.metric[:60]} = {each.claim.text[:60]}: {each.error}"
        notes.refuse(each.claim.mark, f"{message}; correct the model-index in a copy of the card")
    if not mapped.unmapped:
        message = (
            "the card has no scores in a model-index, which name the data set; add them, or write the recipe by hand"
        )
        notes.refuse(card.start, message)


def _task(group: ClaimGroup, model: ModelFacts, card: TrainerCard, notes: Notes) -> dict[str, Any]:
    target = group.target
    task = dict(target.task)
    if target.chooses_splits:
        scored = list(dict.fromkeys(each.split.name for each in group.claims))
        if TRAIN not in target.splits:
            message = f"the data set {target.name} has no split {TRAIN!r}, but {', '.join(target.splits) or 'none'}"
            notes.refuse(card.start, f"{message}; write the recipe by hand, with `split` in its stage")
        task |= {"splits": [TRAIN, *(split for split in scored if split != TRAIN)], "scored": scored}
    if model.inputs == "image":
        notes.assume("the card does not say how images were cropped and flipped at random; the recipe does neither. Add"
                     " train_transforms to its task")  # fmt: skip
    return {**task, **({"max_length": model.max_length} if model.max_length else {})}


def _tokenizer(model: ModelFacts) -> dict[str, Any]:
    return {"tokenizer": {"use": "published", "of": str(model.repo)}} if model.inputs != "image" else {}


def _metric(each: MappedClaim) -> Any:
    arguments = dict(each.metric.arguments)
    return {"use": each.metric.use, **arguments} if arguments else each.metric.use


def _recipe_claims(group: ClaimGroup, card: TrainerCard, precision: str | None) -> Iterator[dict[str, Any]]:
    """Yield two claims for each score: of the published weights, if there are some, and of the training."""
    place = card.repository.name if card.repository else card.shown
    common = {"precision": precision} if precision else {}
    for each in group.claims:
        source = one_line(f"{place}, README.md, line {each.claim.mark.line}")[:MAX_TEXT]
        claim = {"split": each.split.name, "metric": each.metric.name, "value": float(each.score.value), **common}
        claim |= {"n": each.claim.n} if each.claim.n else {}
        claim |= {"decimals": each.score.decimals, "source": source}
        if card.repository is not None:
            yield {"of": "weights", **claim}
        yield {"of": "retrain", **claim}


def _name(card: TrainerCard) -> str:
    """Return the name of the repository, or of the folder with the card."""
    found = card.repository.short_name if card.repository else card.folder.resolve().name
    return _UNSAFE.sub("-", found).strip("-.")[:MAX_NAME] or "trainer"
