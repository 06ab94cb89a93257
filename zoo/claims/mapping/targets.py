"""The data set of a claim as the task of a recipe: GLUE, ImageNet, or texts or images of any data set of the Hub."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.claims.data_sets import ALIASES, find_data_set
from zoo.claims.known_data import KNOWN_DATA
from zoo.claims.mapping.columns import Columns, choose_columns, choose_image_columns
from zoo.claims.mapping.data_card import DataConfig, read_data_card
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.mapping.question_models import question_notes, question_task
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.tag_models import choose_tag_columns, tags_scheme
from zoo.claims.published import PublishedClaim
from zoo.class_names import has_names, match_classes
from zoo.errors import GatedError, MissingError, NoRepositoryError, UsageError
from zoo.fetch.source_types import HUB, HubRepo
from zoo.fetch.sources import Sources
from zoo.recipes.public_data import GLUE_REPOSITORY, PUBLIC
from zoo.tasks.entities import NO_SCHEME

IMAGENET, IMAGENET_FOLDER, IMAGENET_CLASSES = "ILSVRC/imagenet-1k", "data:ilsvrc2012", 1000
_BARE = re.compile(r"\w[\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A data set that a model can be evaluated on.

    Attributes:
        data: Its name on the Hub.
        config: Its configuration; empty if it has none.
        task: The call of the task, without the splits and the number of tokens.
        splits: The splits that can be scored.
        hidden: The splits whose labels are not public.
        rows: The number of rows of each split whose size is known.
        preferred: The split that the data set names for evaluations; may be empty.
        chooses_splits: Whether the task takes the splits to score as an argument.
        notes: How the task was found, for the comments of the recipe.
    """

    data: str
    config: str
    task: Mapping[str, Any]
    splits: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    preferred: str = ""
    chooses_splits: bool = True
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The data set with its configuration."""
        return f"{self.data}/{self.config}" if self.config else self.data


def find_target(claim: PublishedClaim, model: ModelFacts, sources: Sources) -> Target:
    """Return the data set of a claim.

    Args:
        claim: The claim.
        model: The model. Its outputs must fit the classes of the data set.
        sources: Reads the card of the data set.

    Raises:
        UnmappedError: The data set or its columns cannot be found, or its classes are not those of the model.
        SourceError: The Hub cannot be reached.
    """
    known = find_data_set(claim)
    name = known.id if known else ALIASES.get(claim.dataset.strip().lower(), claim.dataset.strip())
    config = known.config if known else claim.config.rpartition("--")[2]
    if not name:
        raise UnmappedError(Reason.NO_DATA_SET, claim.dataset_name)
    special = _special(name, config, claim, model)
    if special is not None:
        return special
    try:
        name = name if "/" in name else _canonical(name, sources)
        repo = HubRepo.parse(f"{HUB}datasets/{name}")
        return _of_card(repo, config, model, sources, tuple(known.facts.hidden) if known else ())
    except (UsageError, NoRepositoryError):
        raise UnmappedError(Reason.UNKNOWN_DATA_SET, repr(name)) from None
    except GatedError:
        raise UnmappedError(Reason.GATED, name) from None
    except MissingError as error:
        raise UnmappedError(Reason.NO_CONFIGURATION, str(error)) from None


def _special(name: str, config: str, claim: PublishedClaim, model: ModelFacts) -> Target | None:
    """Return a data set with a task of its own; None for any other."""
    if name == GLUE_REPOSITORY and model.inputs == "text":
        return _glue(config, claim, model)
    return _imagenet(model) if name == IMAGENET and model.inputs == "image" else None


def _imagenet(model: ModelFacts) -> Target:
    """Return ImageNet as a folder on this machine, since its data set on the Hub is gated."""
    if model.outputs != IMAGENET_CLASSES:
        sizes = f"the model has {model.outputs}, {IMAGENET} has {IMAGENET_CLASSES:,}"
        raise UnmappedError(Reason.LABELS_DIFFER, sizes)
    facts = KNOWN_DATA[IMAGENET, ""]
    task = {"use": "image_folder", "data": IMAGENET_FOLDER, "preprocessing": _preprocessing(model)}
    return Target(
        data=IMAGENET,
        config="",
        task={**task, "classes": IMAGENET_CLASSES},
        splits=("val",),
        hidden=tuple(facts.hidden),
        rows={"val": facts.rows["validation"], **facts.hidden},
        chooses_splits=False,
        notes=("a folder on this machine; the outputs of the model are its classes in the order of their folders",),
    )


def _preprocessing(model: ModelFacts) -> dict[str, str]:
    return {"use": "published", "of": str(model.repo)}


def _canonical(name: str, sources: Sources) -> str:
    """Return the id of a data set with its owner: the Hub redirects ids without one, which are those of before 2024."""
    if not _BARE.fullmatch(name):
        raise UnmappedError(Reason.UNKNOWN_DATA_SET, repr(name))
    return sources.hub.canonical_name(HubRepo("dataset", name))


def _glue(config: str, claim: PublishedClaim, model: ModelFacts) -> Target | None:
    """Return a task of GLUE; None for a split or a configuration that only its card describes."""
    name = config.lower().removesuffix("_matched").removesuffix("_mismatched")
    facts = PUBLIC.get(f"glue/{name}")
    if facts is None or claim.split.lower().startswith("train"):
        return None
    _check_classes(facts.classes, model, f"{GLUE_REPOSITORY}/{name}")
    splits = tuple(
        split for split in facts.rows if not config.lower().endswith("matched") or split.endswith(config[4:])
    )
    return Target(
        data=GLUE_REPOSITORY,
        config=name,
        task={"use": "glue", "name": name, "data": f"{HUB}datasets/{GLUE_REPOSITORY}"},
        splits=splits,
        hidden=tuple(facts.hidden),
        rows={**facts.rows, **facts.hidden},
        chooses_splits=False,
    )


def _of_card(repo: HubRepo, config: str, model: ModelFacts, sources: Sources, hidden: tuple[str, ...]) -> Target:
    data = read_data_card(repo, config, sources)
    if model.inputs == "question":
        return _of_questions(repo, data, model, sources, hidden)
    columns = _columns(data, model)
    if model.inputs == "sentence" and len(columns.inputs) != 2:
        raise UnmappedError(Reason.NO_TEXT, f"two are needed; columns: {', '.join(data.columns)}")
    declared = data.classes.get(columns.label) or data.lists.get(columns.label, ())
    _check_classes(declared, model, repo.name, columns.label)
    shown = ", ".join((*columns.inputs, columns.label))
    return Target(
        data=repo.name,
        config=data.name or "",
        task=_task(_pinned(repo, sources), data, columns, model),
        splits=tuple(split for split in data.splits if split not in hidden),
        hidden=hidden,
        rows=data.rows,
        preferred=data.eval_split,
        notes=(f"the columns {shown}: by {columns.found_by}",),
    )


def _columns(data: DataConfig, model: ModelFacts) -> Columns:
    if model.inputs == "image":
        return choose_image_columns(data, model.outputs)
    return choose_tag_columns(data, model) if model.inputs == "word" else choose_columns(data)


def _of_questions(
    repo: HubRepo, data: DataConfig, model: ModelFacts, sources: Sources, hidden: tuple[str, ...]
) -> Target:
    task = question_task(_pinned(repo, sources), data, repo.name, model.max_length)
    return Target(
        data=repo.name, config=data.name or "", task=task,
        splits=tuple(split for split in data.splits if split not in hidden), hidden=hidden, rows=data.rows,
        preferred=data.eval_split, notes=question_notes(task),
    )  # fmt: skip


def _pinned(repo: HubRepo, sources: Sources) -> str:
    """Return a data set as a recipe names it, at its commit if that is known."""
    commit = sources.known_pin(repo).revision
    return f"{repo}@{commit}" if commit else str(repo)


def _task(source: str, data: DataConfig, columns: Columns, model: ModelFacts) -> dict[str, Any]:
    inputs: Any = columns.inputs[0] if len(columns.inputs) == 1 else list(columns.inputs)
    config = {"config": data.name} if data.name else {}
    if model.inputs == "image":
        task = {"use": "image_classification", "data": source, "image": inputs, "label": columns.label, **config}
        return {**task, "preprocessing": _preprocessing(model)}
    if model.inputs == "word":
        classes = model.classes if has_names(model.classes) else data.lists.get(columns.label, ())
        scheme = {"scheme": NO_SCHEME} if tags_scheme(classes) == NO_SCHEME else {}
        task = {"use": "token_classification", "data": source, "tokens": inputs, "tags": columns.label}
        return {**task, **config, **scheme}
    if model.inputs == "sentence":
        return {"use": "semantic_similarity", "data": source, "text": inputs, "score": columns.label, **config}
    kind = {"kind": model.kind} if model.kind != "classification" else {}
    return {"use": "text_classification", "data": source, "text": inputs, "label": columns.label, **config, **kind}


def _check_classes(classes: tuple[str, ...], model: ModelFacts, data: str, label: str = "label") -> None:
    """Raise UnmappedError if the classes that a data set declares cannot be those of the model."""
    if not model.has_classes:
        if classes:
            raise UnmappedError(Reason.LABELS_DIFFER, f"the model predicts a number, {data} has {', '.join(classes)}")
        return
    if not classes:
        return
    if len(classes) != model.outputs:
        sizes = f"the model has {model.outputs}, the column {label!r} of {data} has {len(classes)}"
        raise UnmappedError(Reason.LABELS_DIFFER, sizes)
    try:
        match_classes(model.classes, classes, side="the model", other=data)
    except UsageError:
        listed = f"the model has {', '.join(model.classes[:8])}; {data} has {', '.join(classes[:8])}"
        raise UnmappedError(Reason.LABELS_DIFFER, listed) from None
