"""The task of a recipe: the data, the transforms, the tokenizer, and the metrics that select an epoch."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from zoo.importers.torchdistill.data import TRAIN, DataSplit
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Called, Item
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.models import hub_repository
from zoo.importers.torchdistill.transforms import calls_of, cifar_arguments, pipeline_of, side_of
from zoo.tasks.glue import GLUE
from zoo.tasks.text_classification import METRICS as TEXT_METRICS

DATA = {"cifar10": "hub:datasets/uoft-cs/cifar10", "cifar100": "hub:datasets/uoft-cs/cifar100"}
GLUE_DATA = "hub:datasets/nyu-mll/glue"
HUB_DATA = {
    "ag_news": "fancyzhx/ag_news", "amazon_polarity": "fancyzhx/amazon_polarity", "emotion": "dair-ai/emotion",
    "go_emotions": "google-research-datasets/go_emotions", "imdb": "stanfordnlp/imdb",
    "rotten_tomatoes": "cornell-movie-review-data/rotten_tomatoes", "trec": "CogComp/trec",
    "tweet_eval": "cardiffnlp/tweet_eval", "yelp_polarity": "fancyzhx/yelp_polarity",
    "yelp_review_full": "Yelp/yelp_review_full",
}  # fmt: skip
"""Data sets whose old names on the Hub had no owner."""
CIFAR_ROWS = 50_000
SEGMENTATION = ("voc_segmentation", "coco_segmentation")
MAX_LENGTH = 128
HOLDOUT = "validation"
MULTILABEL = "multi_label_classification"


@dataclass(frozen=True, kw_only=True)
class TaskParts:
    """The parts of a recipe that say what is trained on, and how epochs are selected."""

    task: dict[str, Any]
    kind: str
    tokenizer: dict[str, Any] | None = None
    holdout: dict[str, Any] | None = None
    selected_on: str | None = None
    selected_by: tuple[str, ...] = ()
    has_labels: bool = True
    """Whether torchdistill passes the labels to the losses; for texts only the model gets them."""
    side: int = 0
    """The side of the images after the transforms; 0 if it is not known."""
    rows: int | None = None
    """The rows that train, if the data set tells."""


def task_parts(
    config: Item,
    train: DataSplit,
    validation: DataSplit | None,
    test: DataSplit | None,
    student: Model,
    found: Findings,
) -> TaskParts:
    """Return the task for the split to train on, the one that selects epochs, and the one that is scored."""
    if train.kind == "glue":
        return _glue(train, validation, student, found)
    if train.kind == "hub":
        return _hub_texts(config, train, validation, student, found)
    scored = next((split for split in (test, validation) if split is not None and split.cut is None), None)
    return _images(train, scored, validation, student, found)


def _images(
    train: DataSplit, scored: DataSplit | None, validation: DataSplit | None, student: Model, found: Findings
) -> TaskParts:
    if train.name != TRAIN:
        raise student.blocked(f"the split to train on is {train.name!r}; zoo's task trains on 'train'", train.mark)
    pipeline = pipeline_of(train.transforms, train.mark)
    evaluation = scored or validation or train
    plain = pipeline_of(evaluation.transforms, evaluation.mark)
    if (plain.mean, plain.std) != (pipeline.mean, pipeline.std):
        found.differ("the splits are normalized differently; the recipe normalizes all like the training split")
    normalization = {"mean": pipeline.mean, "std": pipeline.std}
    if train.kind.startswith("cifar"):
        if plain.transforms:
            raise plain.transforms[0].blocked("the task cifar has no transforms of the split that is scored")
        task = {"use": "cifar", "name": train.kind, "data": DATA[train.kind], **cifar_arguments(pipeline)}
    else:
        task = {"use": train.kind, "data": f"data:{_data_name(train, found)}"}
        task |= {"classes": student.num_classes} if train.kind == "image_folder" else {}
        task |= {"train_transforms": calls_of(pipeline), "eval_transforms": calls_of(plain)}
    on = HOLDOUT if validation is not None and validation.cut else validation.name if validation else None
    by = "mean_iou" if train.kind in SEGMENTATION else "accuracy"
    holdout = _holdout(train, validation, student, found)
    return TaskParts(
        task={**task, **normalization}, kind=train.kind, side=side_of(pipeline, train.kind), holdout=holdout,
        rows=_rows(train, holdout), selected_on=on, selected_by=(by,) if on else (),
    )  # fmt: skip


def _rows(train: DataSplit, holdout: dict[str, Any] | None) -> int | None:
    if not train.kind.startswith("cifar"):
        return None
    return CIFAR_ROWS - (round(CIFAR_ROWS * holdout["share"]) if holdout else 0)


def _data_name(split: DataSplit, found: Findings) -> str:
    folder = PurePosixPath(split.root)
    name = folder.name or split.kind
    if split.kind == "coco_segmentation":  # its images and annotations are in several folders beside each other
        folder = folder.parent
        name = folder.name or "coco2017"
    if split.kind == "voc_segmentation":
        name = "pascal_voc2012"
    found.assume(f"the folder {folder} is the data set {name}; run the recipe with --data {name}=FOLDER")
    return name


def _holdout(train: DataSplit, validation: DataSplit | None, student: Model, found: Findings) -> dict[str, Any] | None:
    cut = train.cut or (validation.cut if validation else None)
    if cut is None:
        return None
    if train.cut is not None and train.cut.is_second:
        message = "a recipe trains on the first part of a cut and holds out the second; this stage trains on the second"
        raise student.blocked(message, train.mark)
    if train.cut is None or (validation and validation.cut and not validation.cut.is_second):
        found.differ("the recipe trains on the first part of the cut and holds out the second")
    if cut.seed is None:
        found.assume("the cut has no generator_seed, so torchdistill draws other rows each time; the recipe has seed 0")
    return {"of": train.name, "share": cut.share, "seed": cut.seed or 0}


def _glue(train: DataSplit, validation: DataSplit | None, student: Model, found: Findings) -> TaskParts:
    group = train.group
    assert group is not None
    name_item = group.get("name", "key")
    name = name_item.text if name_item else ""
    if name not in GLUE:
        raise group.blocked(f"{name or 'a file of texts'} is not one of GLUE's tasks: {', '.join(GLUE)}")
    task: dict[str, Any] = {"use": "glue", "name": name, "data": GLUE_DATA, **_max_length(group)}
    return TaskParts(
        task=task, kind="glue", tokenizer=_tokenizer(student), has_labels=False,
        selected_on=validation.name if validation else None, selected_by=GLUE[name].metrics if validation else (),
    )  # fmt: skip


def _max_length(options: Item) -> dict[str, Any]:
    length = options.get("max_length")
    return {"max_length": length.whole} if length is not None and length.whole != MAX_LENGTH else {}


def _hub_texts(
    config: Item, train: DataSplit, validation: DataSplit | None, student: Model, found: Findings
) -> TaskParts:
    call = train.group.value if train.group else None
    assert isinstance(call, Called)
    kwargs = Item(value=call.kwargs, mark=train.group.mark if train.group else train.mark)
    kwargs.check_keys(("path", "name", "trust_remote_code", "revision"), call.name)
    preprocess = config.need("preprocess")
    columns = [column.text for column in preprocess.need("text_keys").list if column.value is not None]
    kind = _kind(student)
    path = kwargs.need("path").text
    if "/" not in path and path not in HUB_DATA:
        raise kwargs.need("path").blocked(f"{path!r}: write the data set with its owner, such as stanfordnlp/imdb")
    splits = [train.name, *([validation.name] if validation and validation.name != train.name else [])]
    task: dict[str, Any] = {"use": "text_classification", "data": f"hub:datasets/{HUB_DATA.get(path, path)}"}
    task |= {"config": name.text} if (name := kwargs.get("name")) else {}
    task |= {"text": columns[0] if len(columns) == 1 else columns}
    task |= {"label": label.text} if (label := preprocess.get("label_key")) and label.text != "label" else {}
    task |= {"kind": kind} if kind != "classification" else {}
    task |= {"classes": student.num_classes} if kind != "regression" else {}
    task |= {"splits": splits} if splits != [TRAIN, HOLDOUT] else {}
    metrics = TEXT_METRICS[kind]
    if (metric := _metric_name(config)) and validation is not None:
        found.differ(f"torchdistill selects the epoch by {metric}, the recipe by {', '.join(metrics)}")
    return TaskParts(
        task={**task, **_max_length(preprocess)}, kind="hub", tokenizer=_tokenizer(student), has_labels=False,
        selected_on=validation.name if validation else None, selected_by=metrics if validation else (),
    )  # fmt: skip


def _metric_name(config: Item) -> str:
    """Return the metric by which the configuration selects an epoch, or nothing."""
    evaluate = config.get("evaluate")
    main = evaluate.get("main_metric") if evaluate else None
    if (metric := config.get("metric")) is None and main is not None:
        metrics = config.get("metrics")
        metric = metrics.get(main.text) if metrics else None
    kwargs = metric.value.kwargs if metric is not None and isinstance(metric.value, Called) else {}
    return " ".join(kwargs[key].text for key in ("path", "config_name") if key in kwargs)


def _kind(student: Model) -> Any:
    if student.problem_type == MULTILABEL:
        return "multilabel"
    return "regression" if student.num_classes == 1 else "classification"


def _tokenizer(student: Model) -> dict[str, Any]:
    return {"use": "published", "of": f"hub:{hub_repository(student.tokenizer)}"}
