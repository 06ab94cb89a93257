"""Find the splits that a configuration's data loaders name, in both formats."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from zoo.errors import Mark
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Called, Indexed, Item
from zoo.importers.torchdistill.transforms import Transform, transforms_of_call, transforms_of_list
from zoo.importers.torchdistill.vocabulary import DATA_SETS, SPLIT_DATA_SET

OLD_KINDS = {
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "ImageFolder": "image_folder",
    "VOCSegmentation": "voc_segmentation",
    "cocodetect": "coco_segmentation",
}
"""Data sets of the older format, and their kinds."""
TRAIN = "train"
DETECTION = "object detection is not converted; write a recipe with the task object_detection"
VOC_YEAR = "2012"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A random cut of a split in two parts."""

    share: float
    """The share of the second part."""
    seed: int | None
    is_second: bool


@dataclass(frozen=True, kw_only=True)
class DataSplit:
    """A split that a data loader can name."""

    kind: str
    """The kind of its data set: `cifar10`, `image_folder`, `glue` and so on."""
    name: str
    """The name of the split in zoo's task."""
    mark: Mark
    transforms: tuple[Transform, ...] = ()
    root: str = ""
    cut: Cut | None = None
    group: Item | None = None
    """For texts, the mapping or call that describes the data set."""


def splits_of(config: Item, findings: Findings) -> dict[str, DataSplit]:
    """Return the splits by their ids. A split that cannot be converted is left out, and its problem added."""
    datasets = config.need("datasets")
    splits: dict[str, DataSplit] = {}
    if isinstance(datasets.value, Called):
        return dict(_hub_splits(config, datasets))
    for name, item in datasets.mapping.items():
        with findings.part():
            splits |= dict(_splits_of_entry(name, item))
    return splits


def _splits_of_entry(name: str, item: Item) -> Iterator[tuple[str, DataSplit]]:
    if isinstance(item.value, Indexed):
        yield name, _part_of_cut(item)
    elif isinstance(item.value, Called):
        if item.value.name != SPLIT_DATA_SET:
            yield name, _split_of_call(item)
    elif item.get("dataset_id_map") is not None:
        for split, identity in item.need("dataset_id_map").mapping.items():
            yield identity.text, DataSplit(kind="glue", name=split, mark=identity.mark, group=item)
    else:
        yield from _old_splits(item)


def _hub_splits(config: Item, datasets: Item) -> Iterator[tuple[str, DataSplit]]:
    """Yield the splits of `datasets.load_dataset`, whose ids are keys of `preprocess.dataset_id_map`."""
    if DATA_SETS.get(datasets.shown) != "hub":
        raise datasets.blocked(f"{datasets.shown} is no data set with several splits")
    for identity, split in config.need("preprocess").need("dataset_id_map").mapping.items():
        yield identity, DataSplit(kind="hub", name=split.text, mark=split.mark, group=datasets)


def _split_of_call(item: Item) -> DataSplit:
    call = item.value
    if not isinstance(call, Called):
        raise item.blocked(f"expected a call of a data set, found {item.shown}")
    kind = DATA_SETS.get(call.name)
    if kind in (None, "hub"):
        raise item.blocked(f"{call.name} is no data set that zoo has a task for")
    kwargs = Item(value=call.kwargs, mark=item.mark)
    known = ("root", "train", "download", "transform", "transforms", "split", "image_set", "year", "img_dir_path",
             "ann_file_path", "annotated_only", "is_segment", "random_horizontal_flip", "jpeg_quality")  # fmt: skip
    kwargs.check_keys(known, call.name)
    transform = kwargs.get("transform", "transforms")
    transforms = transforms_of_call(transform) if transform else ()
    return _split(str(kind), kwargs, transforms, item.mark)


def _split(kind: str, kwargs: Item, transforms: tuple[Transform, ...], mark: Mark) -> DataSplit:
    """Return a split of a data set of images, by the arguments of its class."""
    root = folder.text if (folder := kwargs.get("root", "img_dir_path", "images")) else ""
    if kind.startswith("cifar"):
        name = TRAIN if (train := kwargs.get("train")) is None or train.flag else "test"
    elif kind == "voc_segmentation":
        name = item.text if (item := kwargs.get("image_set")) else TRAIN
        if (year := kwargs.get("year")) is not None and str(year.value) != VOC_YEAR:
            raise year.blocked(f"year: zoo's task has the images of VOC {VOC_YEAR}, not of {year.shown}")
    elif kind == "coco_segmentation":
        if (masks := kwargs.get("is_segment")) is None or not masks.flag:
            raise kwargs.blocked(DETECTION)
        _check_masks(kwargs)
        name = PurePosixPath(root).name.removesuffix("2017")
        only = kwargs.get("annotated_only")
        if only is not None and only.flag != (name == TRAIN):
            message = "zoo trains on the images with objects and scores all images"
            raise only.blocked(f"annotated_only: {message}; write annotated_only: {name == TRAIN} for {name}")
    else:
        name = item.text if (item := kwargs.get("split")) else PurePosixPath(root).name
        root = root if kwargs.get("split") else str(PurePosixPath(root).parent)
    return DataSplit(kind=kind, name=name, mark=mark, transforms=transforms, root=root)


def _check_masks(kwargs: Item) -> None:
    """Raise BlockedError for arguments of COCO's masks by which torchdistill changes images that zoo leaves alone."""
    for name in ("random_horizontal_flip", "jpeg_quality"):
        if (item := kwargs.get(name)) is not None and item.value is not False:
            hint = "; write CustomRandomHorizontalFlip among the transforms" if "flip" in name else ""
            raise item.blocked(f"{name}: the task coco_segmentation has no such argument{hint}")


def _part_of_cut(item: Item) -> DataSplit:
    """Return one part of `split_dataset`."""
    part = item.value
    assert isinstance(part, Indexed)
    call = part.data.value
    if not isinstance(call, Called) or call.name != SPLIT_DATA_SET:
        raise item.blocked(f"only the parts of {SPLIT_DATA_SET} can be taken by their number")
    kwargs = Item(value=call.kwargs, mark=part.data.mark)
    whole = _split_of_call(kwargs.need("dataset"))
    number = part.key if isinstance(part.key, int) else -1
    configs = kwargs.get("sub_splits_configs")
    transforms = whole.transforms
    if configs is not None and 0 <= number < len(configs.list):
        own = configs.list[number].get("transform", "transforms")
        transforms = transforms_of_call(own) if own else transforms
    cut = _cut(kwargs, number, item)
    return DataSplit(kind=whole.kind, name=whole.name, mark=item.mark, transforms=transforms, root=whole.root, cut=cut)


def _cut(kwargs: Item, number: int, item: Item) -> Cut:
    lengths = [length.number for length in lengths.list] if (lengths := kwargs.get("lengths")) else [9, 1]
    if len(lengths) != 2 or number not in (0, 1):
        raise item.blocked("a recipe holds out one part of a split; this cuts it into another number of parts")
    seed = kwargs.get("generator_seed")
    share = round(lengths[1] / sum(lengths), 12)
    return Cut(share=share, seed=seed.whole if seed else None, is_second=number == 1)


def _old_splits(group: Item) -> Iterator[tuple[str, DataSplit]]:
    """Yield the splits of a data set in the older format: `splits`, each with its `dataset_id`."""
    key = group.need("key")
    if key.text not in OLD_KINDS:
        raise key.blocked(f"{key.text} is no data set that zoo has a task for")
    kind = OLD_KINDS[key.text]
    for split in group.need("splits").mapping.values():
        kwargs = split.get("kwargs") or split
        configs = kwargs.get("transform_configs", "transforms_configs")
        transforms = transforms_of_list(configs) if configs else ()
        whole = _split(kind, kwargs, transforms, split.mark)
        if (random := split.get("random_split")) is None:
            yield split.need("dataset_id").text, whole
            continue
        for number, part in enumerate(random.need("sub_splits_configs").list):
            own = part.get("transform_configs", "transforms_configs")
            yield part.need("dataset_id").text, DataSplit(
                kind=kind, name=whole.name, mark=part.mark, root=whole.root, cut=_cut(random, number, part),
                transforms=transforms_of_list(own) if own else transforms,
            )  # fmt: skip
