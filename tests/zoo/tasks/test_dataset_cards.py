"""Which files of a repository belong to a split: as the Hub reads the card, and never by a pattern too wide."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fsspec.utils import glob_translate

from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.card_files import fits_pattern
from zoo.fetch.fetched import Fetched
from zoo.fetch.repository_files import choose_files
from zoo.tasks.dataset_cards import read_configuration
from zoo.tasks.tables import read_repository

FILES = ("a/train.csv", "a/test.csv", "b/train.csv", "data/train-0.csv", "data/x/train-1.csv", "data/x/y/train-2.csv")
FILES += ("data1.csv", "data[1].csv", "train.csv", "more.csv")


def one(**settings: Any) -> list[dict[str, Any]]:
    return [{"config_name": "one", **settings}]


def train(path: Any) -> list[dict[str, Any]]:
    return one(data_files=[{"split": "train", "path": path}])


TWO = [{"config_name": "one", "data_dir": "a"}, {"config_name": "two", "data_dir": "b"}]
CHOSEN: dict[str, tuple[list[dict[str, Any]], str | None, list[str]]] = {
    "a name that looks like a pattern": (train("data[1].csv"), None, ["data[1].csv"]),
    "brackets": (train("data[0-9].csv"), None, ["data1.csv"]),
    "a star in one folder": (train("data/*.csv"), None, ["data/train-0.csv"]),
    "a star for a folder": (train("data/*/*.csv"), None, ["data/x/train-1.csv"]),
    "two stars": (train("data/**"), None, ["data/train-0.csv", "data/x/train-1.csv", "data/x/y/train-2.csv"]),
    "two stars within": (train("**/train-2.csv"), None, ["data/x/y/train-2.csv"]),
    "a question mark": (train("data?train-0.csv"), "one", []),
    "several": (train(["train.csv", "more.csv", "t*.csv"]), None, ["train.csv", "more.csv"]),
    "a text": (one(data_files="train.csv"), None, ["train.csv"]),
    "a list of texts": (one(data_files=["more.csv", "./train.csv"]), None, ["more.csv", "train.csv"]),
    "a folder and a text": (one(data_dir="a", data_files="*.csv"), None, ["a/test.csv", "a/train.csv"]),
    "a folder": (TWO, None, ["a/train.csv"]),
    "another folder": (TWO, "two", ["b/train.csv"]),
    "a default": ([TWO[0], {**TWO[1], "default": True}], None, ["b/train.csv"]),
    "a default by name": ([TWO[0], {**TWO[1], "config_name": "default"}], None, ["b/train.csv"]),
    "no card": ([], "b", ["b/train.csv"]),
    "a file outside": (train("../train.csv"), None, []),
}


def read(folder: Path, configs: list[dict[str, Any]], config: str | None) -> list[str]:
    (folder / "README.md").write_text(f"---\n{json.dumps({'configs': configs} if configs else {})}\n---\n")
    return list(read_configuration(folder, FILES, config).files.get("train", ()))


@pytest.mark.parametrize(("configs", "config", "expected"), CHOSEN.values(), ids=CHOSEN)
def test_the_files_of_a_split_are_those_of_the_hub(
    configs: list[dict[str, Any]], config: str | None, expected: list[str], tmp_path: Path
) -> None:
    assert read(tmp_path, configs, config) == expected


@pytest.mark.parametrize(
    ("configs", "config", "message"),
    [
        (TWO, "three", "no configuration 'three'; known: one, two"),
        ([], "c", "no configuration 'c'; known: a, b, data"),
        (train(["train.csv", "gone.csv"]), None, r"README.md: cannot be read as data: .* no file 'gone.csv'"),
        (train("data/**.csv"), None, "README.md: cannot be read as data"),
        ([{**TWO[0], "default": True}, {**TWO[1], "default": True}], None, "several default configs"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_an_error(
    configs: list[dict[str, Any]], config: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, SourceError), match=message):
        read(tmp_path, configs, config)


def chosen(card: object, config: str) -> tuple[str, ...]:
    text = f"---\n{json.dumps(card)}\n---\n"
    return choose_files(f"data/{config}", [*FILES, "README.md"], {}, "someone/answers at 1234567", lambda: text)


def test_a_configuration_without_a_folder_of_its_name_has_the_files_that_the_card_lists() -> None:
    for configs, config, expected in CHOSEN.values():
        if configs and expected and "default" not in str(configs):
            assert {*expected, "README.md"} <= {*chosen({"configs": configs}, config or "one")}
    assert chosen({"configs": TWO}, "two") == ("README.md", "b/train.csv")
    splits = [{"split": "train", "path": ["train.csv"]}, {"split": "test", "path": "data/*.csv"}]
    assert chosen({"configs": one(data_files=splits)}, "one") == ("README.md", "data/train-0.csv", "train.csv")
    with pytest.raises(MissingError, match="someone/answers at 1234567 has no configuration 'three'; known: one, two"):
        chosen({"configs": TWO}, "three")
    with pytest.raises(MissingError, match=r"has no files for the configuration 'one': its card lists gone\.csv"):
        chosen({"configs": train("gone.csv")}, "one")
    with pytest.raises(MissingError, match=r"has no configuration 'one'"):
        chosen({"configs": "one"}, "one")


@pytest.mark.parametrize("want", ["data", "data/one"])
def test_files_of_data_are_chosen_with_their_endings_in_capitals_too(want: str) -> None:
    names = ["one/DATA.CSV", "one/a.Parquet", "one/b.JSONL", "one/c.TSV", "one/d.json", "README.md"]
    others = ["one/readme.MD", "one/e.CSV.GZ", "one/CSV"]
    assert choose_files(want, [*names, *others], {}, "a/b") == tuple(sorted(names))


def test_the_classes_are_those_of_the_configuration(tmp_path: Path) -> None:
    def info(name: str, *classes: str) -> dict[str, Any]:
        dtype = {"class_label": {"names": dict(enumerate(classes))}}
        return {"config_name": name, "features": [{"name": "label", "dtype": dtype}]}

    card = {"configs": TWO, "dataset_info": [info("one", "bad", "good"), info("two", "no", "yes")]}
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    for name in ("a/train.csv", "b/train.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("label\n1\n")
    fetched = Fetched("hub:datasets/a/b", tmp_path, "", {f"hub:datasets/a/b/{n}": "" for n in FILES[::2][:2]})
    for config, names in ((None, ("bad", "good")), ("one", ("bad", "good")), ("two", ("no", "yes"))):
        assert read_repository(fetched, config, "train").classes == {"label": names}


PATTERNS = ("*", "**", "a*", "*b", "a/*", "a/**", "**/b", "**/*.csv", "*/b", "[ab]/?", "a/**/b", "a*b*.csv", "**/a/**")
NAMES = ("a", "b", "ab.csv", "a/b", "b/b", "a/b.csv", "a/b/b", "x/a/y", "a/x/y/b", "a-b-b.csv", "a/.csv")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_fits_the_files_that_it_fits_for_fsspec(pattern: str) -> None:
    expected = [name for name in NAMES if re.match(glob_translate(pattern), name)]
    assert [name for name in NAMES if fits_pattern(name, pattern)] == expected


def test_a_hostile_pattern_takes_no_time() -> None:
    """As one regular expression it would take longer than the universe has lasted."""
    assert not fits_pattern("a" * 200, "*a" * 60 + "b")
    assert not fits_pattern("a/" * 100 + "a", "**/a/" * 50 + "b")
    with pytest.raises(ValueError, match="stands for whole folders"):
        fits_pattern("a/b", "a**/b")
