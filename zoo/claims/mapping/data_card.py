"""Read the card of a data set of the Hub: its configurations, splits, columns, and the mapping of `train-eval-index`.

Nothing of the data is downloaded. `zoo.tasks.dataset_cards` reads the rows, by the same card.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from huggingface_hub import DatasetCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.errors import did_you_mean, first_line
from zoo.fetch.card_files import CARD
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources

ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".json")
TEXT_TYPES = ("string", "large_string")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One configuration of a data set, as its card and the names of its files describe it."""

    name: str | None
    """None if the data set has no configurations."""
    splits: tuple[str, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of each split that the card declares."""
    texts: tuple[str, ...] = ()
    """The columns of texts."""
    images: tuple[str, ...] = ()
    """The columns of images."""
    columns: tuple[str, ...] = ()
    """All columns; empty if the card does not list them."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the classes of each column that holds class numbers."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of lists of texts or class numbers, with the names of the classes; none for texts."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Column -> role, such as `text1` or `target`, of the `train-eval-index`."""
    mapped_task: str = ""
    """The kind of task that the `train-eval-index` names."""
    eval_split: str = ""
    """The split to evaluate on, of the `train-eval-index`."""


def read_data_card(repo: HubRepo, config: str, sources: Sources) -> DataConfig:
    """Return one configuration of a data set.

    Args:
        repo: The data set.
        config: The configuration that a claim names; empty for the default one, or the only one.
        sources: Fetches the card.

    Raises:
        UnmappedError: There is no such configuration, or several.
        SourceError: The data set cannot be read.
    """
    pinned = replace(repo, revision=repo.revision or sources.known_pin(repo).revision)
    names = repository_files(pinned, sources, f"data/{config}" if config else "data")
    card = _card(repo, sources) if CARD in names else {}
    files = [name for name in names if name.lower().endswith(ENDINGS)]
    listed = {str(each.get("config_name", "default")): each for each in _mappings(card.get("configs"))}
    infos = {str(each.get("config_name", "default")): each for each in _mappings(card.get("dataset_info"))}
    known = list(listed) or list(infos) or sorted({name.split("/")[0] for name in files if _is_config(name)})
    chosen = _choose(config, known, listed)
    info = infos.get(chosen or "default") or (next(iter(infos.values())) if len(infos) == 1 else {})
    index = _index_of(card, chosen)
    features = list(_mappings(info.get("features")))
    sizes = {str(each["name"]): each["num_examples"] for each in _mappings(info.get("splits")) if _has_rows(each)}
    splits = list(_listed_splits(listed.get(chosen or "", {}))) or _splits_of_files(files, chosen, listed)
    is_named = chosen in listed or any(name.startswith(f"{chosen}/") for name in files)
    return DataConfig(
        name=chosen if is_named else None,
        splits=tuple(dict.fromkeys(splits or sizes)),
        rows=sizes,
        texts=tuple(str(each.get("name")) for each in features if each.get("dtype") in TEXT_TYPES),
        images=tuple(str(each.get("name")) for each in features if _is_image(each.get("dtype"))),
        columns=tuple(str(each.get("name")) for each in features),
        classes={str(each.get("name")): found for each in features if (found := _class_names(each.get("dtype")))},
        lists={str(each.get("name")): _class_names(item) for each in features if (item := _item_type(each))},
        mapping=_text_mapping(index.get("col_mapping")),
        mapped_task=str(index.get("task_id") or index.get("task") or ""),
        eval_split=_text_mapping(index.get("splits")).get("eval_split", ""),
    )  # fmt: skip


def repository_files(repo: HubRepo, sources: Sources, *used: str) -> list[str]:
    """Return the names of the files of a repository.

    Offline, or if it was used before, these are the files in use, so that no request is needed.

    Args:
        repo: The repository.
        sources: Lists the files.
        *used: What was fetched of a repository that was used before, see `zoo.fetch.sources.Sources.fetch`.
    """
    pin = sources.known_pin(repo)
    has_no_list = sources.hub.offline and sources.cache is None
    if has_no_list or {*used} <= pin.wants.keys():
        return list(pin.files)
    return list(sources.hub.listing(repo, pin.revision or sources.hub.commit(repo)))


def _card(repo: HubRepo, sources: Sources) -> dict[str, Any]:
    path = sources.fetch(repo, CARD).path / CARD
    text = path.read_text(encoding="utf-8", errors="replace")
    if not REGEX_YAML_BLOCK.search(text):  # huggingface_hub would log a warning
        return {}
    try:
        content: dict[str, Any] = vars(DatasetCard(text, ignore_metadata_errors=True).data)
    except Exception as error:  # yaml raises its own exceptions
        raise UnmappedError(
            Reason.NO_CONFIGURATION, f"{repo.name}: {CARD} cannot be read: {first_line(error)}"
        ) from None
    return content


def _choose(config: str, known: Sequence[str], listed: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the name of the configuration to read; None if the data set has no configurations."""
    found = next((name for name in known if name.lower() == config.lower()), None)
    if found is not None or not known:
        return found
    if config and config.lower() != "default":
        raise UnmappedError(Reason.NO_CONFIGURATION, f"{config!r}{did_you_mean(config, list(known))}")
    default = next((name for name, each in listed.items() if each.get("default") is True or name == "default"), None)
    if default is None and len(known) > 1:
        raise UnmappedError(Reason.NO_CONFIGURATION, f"known: {', '.join(list(known)[:12])}")
    return default or known[0]


def _index_of(card: Mapping[str, Any], config: str | None) -> Mapping[str, Any]:
    """Return the entry of the `train-eval-index` for a configuration; an empty one if there is none."""
    index = list(_mappings(card.get("train_eval_index")))
    return next((each for each in index if str(each.get("config", "default")) in (config or "default", "default")), {})


def _listed_splits(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the splits that a configuration of a card lists with their files."""
    files = settings.get("data_files")
    for each in _mappings(files) if isinstance(files, list) else ():
        yield str(each.get("split", "train"))
    if isinstance(files, Mapping):
        yield from map(str, files)


def _splits_of_files(files: Sequence[str], config: str | None, listed: Mapping[str, Any]) -> list[str]:
    """Return the splits by the names of their files, as `zoo.tasks.dataset_cards` finds them."""
    base = f"{config}/" if config and not listed and any(name.startswith(f"{config}/") for name in files) else ""
    below = [name for name in files if name.startswith(base)]
    return [re.split(r"[-.]", posixpath.basename(name))[0] for name in below]


def _is_config(name: str) -> bool:
    return "/" in name and name.split("/", maxsplit=1)[0] != "data"


def _has_rows(split: Mapping[str, Any]) -> bool:
    rows = split.get("num_examples")
    return "name" in split and isinstance(rows, int) and rows > 0


def _is_image(dtype: Any) -> bool:
    """Return whether a column has images; the card writes `image`, or `{image: {mode: RGB}}`."""
    return dtype == "image" or (isinstance(dtype, Mapping) and list(dtype) == ["image"])


def _item_type(feature: Mapping[str, Any]) -> Any:
    """Return the type of the items of a column of lists of texts or classes, which the card writes in several ways."""
    item = feature.get("sequence", feature.get("list"))
    item = item.get("dtype", item) if isinstance(item, Mapping) else item
    return item if item in TEXT_TYPES or _class_names(item) else None


def _class_names(dtype: Any) -> tuple[str, ...]:
    """Return the names of a class label; the card has them as a list, or by their numbers."""
    label = dtype.get("class_label") if isinstance(dtype, Mapping) else None
    names = label.get("names") if isinstance(label, Mapping) else None
    if isinstance(names, Mapping):
        return tuple(str(names[key]) for key in sorted(names, key=lambda key: (len(str(key)), str(key))))
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _mappings(value: Any) -> Iterable[Mapping[str, Any]]:
    """Return the mappings in a list; a single mapping counts as a list of one."""
    items = [value] if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def _text_mapping(value: Any) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}
