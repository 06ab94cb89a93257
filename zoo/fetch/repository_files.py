"""Choose the files of a repository to read for a purpose."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from zoo.errors import MissingError, did_you_mean
from zoo.fetch.card_files import CARD, files_in_card
from zoo.fetch.lock import FilePin

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
MODULES, POOLING_CONFIG, SENTENCE_CONFIG, ENCODER_CONFIG = (
    "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json",
)  # fmt: skip
"""The settings of sentence-transformers."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of weights, in order of preference; a file that the lock names comes first."""
ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".th", ".ckpt")
"""Endings of files of weights. Under another name than `WEIGHTS`, a file is read if it is the only one."""
INDEX = "model.safetensors.index.json"
"""Names the parts of weights that are split over several files."""
PARTS = "model-*-of-*.safetensors"
"""The names of these parts."""
CLAIMS = "card"
"""The purpose of reading the claims of a model."""
WANTS: Mapping[str, tuple[str, ...]] = {
    "config": (CONFIG,),
    "preprocessing": (CONFIG, PREPROCESSOR),
    "sentence_encoder": (MODULES, POOLING_CONFIG, SENTENCE_CONFIG, ENCODER_CONFIG),
    "tokenizer": (
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    ),
    CLAIMS: ("README.md", "config.json", ".eval_results/*.yaml"),
    "data": ("README.md", "*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json"),
}  # fmt: skip
"""Patterns of the files for a purpose, besides `weights` and `data/NAME`."""
PATH = "./"
"""The beginning of `./PATH:WANT`: the file at a path, or what is read of the folder at a path for a purpose."""
MAX_SHOWN = 12


def choose_files(
    want: str, names: list[str], locked: Mapping[str, FilePin], where: str, read_card: Callable[[], str] = str
) -> tuple[str, ...]:
    """Choose the files of a repository to read.

    Args:
        want: The purpose: `weights`, a key of `WANTS`, `data/NAME` for one configuration of a data set, `./PATH:WANT`
            for a file or for this purpose of a folder, or the name of one file.
        names: All files of the repository.
        locked: The files that the lock names.
        where: The repository and its commit, for messages.
        read_card: Returns the text of the card, which is read if no folder has the name of a configuration.

    Returns:
        The names, sorted.

    Raises:
        MissingError: The repository lacks a file that is needed.
    """
    if want == "weights":
        chosen = _weights(names, locked, where)
    elif want.startswith("data/"):
        chosen = _configuration(want.removeprefix("data/"), names, where, read_card)
    elif want in WANTS:
        chosen = [name for name in names if _matches(name, want)]
        if not chosen:
            raise MissingError(f"{where} has no {want}; it has {_some(names)}")
    elif want.startswith(PATH):
        chosen = _at_path(want, names, where)
    else:
        chosen = [want]
    for name in chosen:
        if name not in names:
            raise MissingError(f"{where} has no file {name!r}; it has {_some(names)}")
    return tuple(sorted(chosen))


def weights_among(names: Iterable[str]) -> str | None:
    """Return the file of weights among the files that were chosen for `weights`: the index, if there are several."""
    names = list(names)
    return INDEX if INDEX in names else next((name for name in names if name.lower().endswith(ENDINGS)), None)


def is_part(name: str) -> bool:
    """Return whether a file name is one that a part of weights has: no path."""
    return fnmatchcase(name, PARTS) and "/" not in name and "\\" not in name


def _weights(names: list[str], locked: Mapping[str, FilePin], where: str) -> list[str]:
    pinned = [name for name in WEIGHTS if name in locked]
    if pinned and pinned[0] not in names:
        raise MissingError(f"{where} does not have {pinned[0]}, which the lock names; it has {_some(names)}")
    weights = next((name for name in (*pinned, *WEIGHTS) if name in names), None)
    settings = [CONFIG] if CONFIG in names else []
    if weights is not None:
        return [*settings, weights]
    if parts := [name for name in names if is_part(name)]:
        return [*settings, INDEX, *parts]
    others = [name for name in names if "/" not in name and name.lower().endswith(ENDINGS)]
    if len(others) == 1:
        return [*settings, *others]
    if others:
        raise MissingError(f"{where} has several files of weights, {_some(others)}, and none is called {WEIGHTS[0]}")
    raise MissingError(f"{where} has neither {' nor '.join(WEIGHTS)}; it has {_some(names)}")


def _configuration(config: str, names: list[str], where: str, read_card: Callable[[], str]) -> list[str]:
    data = [name for name in names if _matches(name, "data") and name != CARD]
    below = [name for name in data if name.startswith(f"{config}/")]
    if not below and CARD in names and (card := read_card()):
        below = files_in_card(card, config, data, where)
    if not below:
        folders = sorted({name.split("/")[0] for name in names if "/" in name})
        reason = "without a card that lists it, a configuration is a folder"
        raise MissingError(f"{where} has no configuration {config!r}{did_you_mean(config, folders)}; {reason}")
    return [*below, *(name for name in names if name == CARD)]


def _at_path(want: str, names: list[str], where: str) -> list[str]:
    """Choose the file at a path, or what is read of the folder at it; as data, these are all files of the folder."""
    path, _, purpose = want.removeprefix(PATH).partition(":")
    below = [name.removeprefix(f"{path}/") for name in names if name.startswith(f"{path}/")]
    if path in names or not below:
        return [path]
    chosen = below if purpose == "data" else choose_files(purpose, below, {}, f"{where}: the folder {path}")
    return [f"{path}/{name}" for name in chosen]


def _matches(name: str, want: str) -> bool:
    """Return whether a file fits a pattern. Endings may be in capitals, whole names may not."""
    return any(fnmatchcase(name.lower() if pattern[0] == "*" else name, pattern) for pattern in WANTS[want])


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:MAX_SHOWN]) or "no file"
