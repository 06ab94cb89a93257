"""Look at the data that a user names: tables, folders of images, or a data set of the Hub."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from zoo.errors import SIMILAR, SourceError, UsageError, did_you_mean
from zoo.fetch.fetched import Fetched
from zoo.fetch.source_types import FILE, HUB, HUB_NAME
from zoo.files import is_hidden
from zoo.first_recipe.columns import are_numbers, choose_label, choose_text, classes_of
from zoo.first_recipe.found import FoundData
from zoo.first_recipe.header import guess_header
from zoo.first_recipe.read_table import read_table
from zoo.tasks.dialect import Dialect
from zoo.tasks.image_split import image_files
from zoo.tasks.labels import to_text
from zoo.tasks.tables import ENDINGS, SEPARATORS, Table, read_repository, splits_of_repository
from zoo.text_tables import counted, first_of

DATASETS = "datasets/"
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "test": "test"}  # fmt: skip
"""The name of a file or a folder -> the split that it is."""
MOST_LISTED = 50
"""Up to this many classes a recipe lists their names."""
FEWEST_ROWS = 4


def look_at(
    data: str, folder: Path, fetch: Callable[[str], Fetched], *, text: Sequence[str], label: str | None,
    encoding: str | None,
) -> FoundData:  # fmt: skip
    """Return what the data are.

    Args:
        data: A file, a folder, or `[hub:datasets/]OWNER/NAME` of a data set of the Hub.
        folder: The folder of the recipe, which paths in it refer to.
        fetch: Fetches a data set of the Hub.
        text: The columns with the texts. Empty to guess.
        label: The column with the label. None to guess.
        encoding: The encoding of CSV, TSV and JSON. None for UTF-8.

    Raises:
        UsageError: The data cannot be used, with the reason.
        SourceError: A file is missing or damaged.
    """
    path = Path(data).expanduser()
    name = data.removeprefix(HUB).removeprefix(DATASETS)
    if path.is_file():
        return _tables(_files_beside(path), folder, text, label, encoding)
    if path.is_dir():
        files = {SPLITS[file.stem.lower()]: file for file in sorted(path.iterdir()) if _is_split(file)}
        if not files and (
            tables := [
                file for file in sorted(path.iterdir()) if file.suffix.lower() in (*SEPARATORS, ".jsonl", ".parquet")
            ]
        ):
            names = first_of([file.name for file in tables], 3)
            raise UsageError(
                f"{path}: no table here is named like a split, such as train.csv; name one file of {names}"
            )
        return _tables(files, folder, text, label, encoding) if files else _images(path, folder)
    if path.suffix.lower() in ENDINGS or path.is_absolute() or HUB_NAME.fullmatch(name) is None:
        hint = _similar_file(path) or f", and {data!r} is not OWNER/NAME of the Hub"
        raise SourceError(f"{path.absolute()}: no such file or folder{hint}")
    return _repository(f"{HUB}{DATASETS}{name}", fetch, text, label)


def local_source(path: Path, folder: Path) -> str:
    """Return the source of a file as a recipe in a folder writes it: relative if the file is below the folder."""
    whole, base = path.absolute(), folder.absolute()
    return f"file:{whole.relative_to(base).as_posix() if whole.is_relative_to(base) else os.fspath(whole)}"


def _similar_file(path: Path) -> str:
    """Return a hint if the folder of a path has a file or folder of nearly this name."""
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, names)
    return hint if hint.startswith(SIMILAR) else ""


def _is_split(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in ENDINGS and path.stem.lower() in SPLITS


def _files_beside(path: Path) -> dict[str, Path]:
    """Return a file as the split `train`; if that is its name, also the files of the other splits beside it."""
    if SPLITS.get(path.stem.lower()) != "train":
        return {"train": path}
    others = {SPLITS[file.stem.lower()]: file for file in sorted(path.parent.iterdir()) if _is_split(file)}
    same = {split: file for split, file in others.items() if file.suffix.lower() == path.suffix.lower()}
    return {"train": path, **{split: file for split, file in same.items() if split != "train"}}


def _tables(
    files: Mapping[str, Path], folder: Path, text: Sequence[str], label: str | None, encoding: str | None
) -> FoundData:
    first = files.get("train") or next(iter(files.values()))
    has_header = True
    notes: list[str] = []
    if first.suffix.lower() in SEPARATORS:
        columns = read_table(first, Dialect(encoding=encoding, header=False)).columns.values()
        has_header, notes = guess_header([(values[0], values[1:]) for values in columns], {*text, label})
    dialect = Dialect(encoding=encoding, header=has_header)
    tables = {split: read_table(file, dialect) for split, file in files.items()}
    data: dict[str, Any] = {split: local_source(file, folder) for split, file in files.items()}
    settings: dict[str, Any] = {} if has_header else {"header": False}
    settings |= {"encoding": encoding} if encoding else {}
    return _texts(tables, {"data": data}, settings, notes, text, label, numbered=not has_header)


def _texts(
    tables: Mapping[str, Table], arguments: dict[str, Any], settings: dict[str, Any], notes: list[str],
    text: Sequence[str], label: str | None, *, numbered: bool = False,
) -> FoundData:  # fmt: skip
    """Return the task over the texts of tables."""
    split = "train" if "train" in tables else next(iter(tables))
    table, columns = tables[split], tables[split].columns
    rows = {name: len(next(iter(each.columns.values()), [])) for name, each in tables.items()}
    if rows[split] < FEWEST_ROWS:
        of_split = arguments["data"][split] if isinstance(arguments["data"], Mapping) else arguments["data"]
        source = str(of_split).removeprefix(FILE)
        raise UsageError(f"{source}: {counted(rows[split], 'row')} of {split}; a recipe needs at least {FEWEST_ROWS}")
    label_column = choose_label(columns, label)
    if _holds_images(columns):
        image = next(name for name, values in columns.items() if isinstance(values[0], dict | bytes))
        classes = table.classes.get(label_column) or classes_of(label_column, columns[label_column])
        unused = _unused(tables, split, (image, label_column), classes)
        arguments, rows, notes = _without(unused, arguments, rows, notes)
        found = {**arguments, "image": image, "label": label_column, **_listed(classes, columns[label_column])}
        return FoundData(
            task="image_classification", arguments=found, rows=rows, classes=tuple(classes), notes=tuple(notes)
        )
    names = choose_text(columns, label_column, text)
    table.texts(names)  # a value that is no text is an error here, with its row
    classes = table.classes.get(label_column) or classes_of(label_column, table.labels(label_column))
    unused = _unused(tables, split, (*names, label_column), classes)
    arguments, rows, notes = _without(unused, arguments, rows, notes)
    shown = [int(name) if numbered else name for name in names]
    guessed = [f"text: {first_of(list(names), 2)}; label: {label_column}; read from the data"] if not text else []
    found = {
        **arguments, "text": shown if len(shown) > 1 else shown[0],
        "label": int(label_column) if numbered else label_column, **settings,
        **({} if classes else {"kind": "regression"}), **_listed(classes, columns[label_column]),
    }  # fmt: skip
    texts = tuple(value for name in names for value in columns[name])
    return FoundData(
        task="text_classification", arguments=found, rows=rows, classes=tuple(classes),
        notes=(*notes, *guessed), texts=texts,
    )  # fmt: skip


def _unused(
    tables: Mapping[str, Table], training: str, columns: Sequence[str], classes: Sequence[str]
) -> dict[str, str]:
    """Return the splits that cannot be scored with these columns and classes, and why. Hidden labels are common."""
    unused = {}
    for split, table in tables.items():
        if split == training:
            continue
        if missing := [name for name in columns if not table.has_column(name)]:
            unused[split] = f"it has no column {missing[0]}"
            continue
        labels = {to_text(value) or "" for value in table.labels(columns[-1])}
        if not labels:
            unused[split] = "it has no rows"
        elif "" in labels:
            unused[split] = "a label is empty"
        elif classes and (unknown := sorted(labels - {*classes, *map(str, range(len(classes)))})):
            unused[split] = f"the label {unknown[0]!r} is no class of {training}"
        elif not classes and (wrong := [label for label in sorted(labels) if not are_numbers([label])]):
            unused[split] = f"the label {wrong[0]!r} is no number"
    return unused


def _without(
    splits: Mapping[str, str], arguments: Mapping[str, Any], rows: Mapping[str, int], notes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, int], list[str]]:
    """Return the arguments of a task and the rows without some splits, and the notes with the reasons."""
    data = arguments["data"]
    if isinstance(data, Mapping):
        kept: dict[str, Any] = {"data": {name: file for name, file in data.items() if name not in splits}}
    else:
        kept = {"splits": [name for name in arguments["splits"] if name not in splits]}
    left_out = [f"{name} is left out: {reason}" for name, reason in splits.items()]
    return (
        {**arguments, **kept}, {name: count for name, count in rows.items() if name not in splits},
        [*notes, *left_out],
    )  # fmt: skip


def _listed(classes: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return the argument `classes`: not for many names, which the task finds in the data in the same order."""
    numbers = all(name.isdecimal() for name in classes)
    is_counted = numbers and list(classes) == [str(number) for number in range(len(classes))]
    if not classes:
        return {}
    if is_counted:
        return {"classes": len(classes)}
    return {"classes": list(classes)} if len(classes) <= MOST_LISTED or numbers else {}


def _holds_images(columns: Mapping[str, Sequence[Any]]) -> bool:
    return any(values and isinstance(values[0], dict | bytes) for values in columns.values())


def _repository(source: str, fetch: Callable[[str], Fetched], text: Sequence[str], label: str | None) -> FoundData:
    fetched = fetch(source)
    splits = splits_of_repository(fetched, None)
    tables = {split: read_repository(fetched, None, split) for split in splits}
    if not tables:
        raise UsageError(f"{source}: no split was found; name files instead")
    return _texts(tables, {"data": source, "splits": list(splits)}, {}, [], text, label)


def _images(path: Path, folder: Path) -> FoundData:
    """Return the task over a folder of images: SPLIT/CLASS/ or CLASS/."""
    names = [child.name for child in sorted(path.iterdir()) if child.is_dir() and not is_hidden(child.name)]
    splits = {SPLITS[name.lower()]: name for name in names if name.lower() in SPLITS}
    root, chosen = (path, splits) if splits else (path.absolute().parent, {"train": path.absolute().name})
    counts = {name: _count(root / name) for name in chosen.values()}
    training = chosen.get("train") or next(iter(chosen.values()))
    classes = tuple(counts[training])
    if len(classes) < 2:
        raise UsageError(
            f"{root / training}: {len(classes)} folders with images; put the images of each class into a folder of its"
            " own, at least two of them"
        )
    others = [chosen[name] for name in ("validation", "test") if name in chosen]
    unknown = {name: sorted({*counts[name]} - {*classes}) for name in others}
    scored = next((name for name in others if counts[name] and not unknown[name]), None)
    notes = [f"{name} is left out: {new[0]!r} is no class of {training}" for name, new in unknown.items() if new]
    data = local_source(root, folder) if root.absolute() != folder.absolute() else "file:."
    found: dict[str, Any] = {"data": data, "train": training, "val": scored if scored != training else None}
    found |= {"classes": list(classes)} if len(classes) <= MOST_LISTED else {"classes": len(classes)}
    rows = {name: sum(of_class.values()) for name, of_class in counts.items() if name in (training, scored)}
    return FoundData(
        task="image_folder", arguments=found, rows={training: rows[training], **rows}, classes=classes,
        notes=tuple(notes), side=_side(root / training / classes[0]),
    )  # fmt: skip


def _count(split: Path) -> dict[str, int]:
    """Return the number of images of each class of a split; classes without images are left out."""
    counts = {}
    for child in sorted(split.iterdir()):
        if child.is_dir() and not is_hidden(child.name):
            try:
                counts[child.name] = len(image_files(child))
            except SourceError:
                continue
    return counts


def _side(folder: Path) -> int:
    file = image_files(folder)[0]
    try:
        with Image.open(file) as image:
            return min(image.size)
    except OSError as error:
        raise SourceError(f"{file}: cannot be read as an image: {error}") from None
