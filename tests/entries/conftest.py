"""A test Hub with everything that the GLUE entries read, started once per process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.glue_hub import WriteGlueRecipe, fill_hub, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo


@pytest.fixture(scope="session")
def glue_hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        yield fill_hub(server)


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub_cache")


@pytest.fixture
def glue(zoo: Zoo, glue_hub: LocalHub, hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run commands with that Hub, an empty lock and a cache that all tests share."""
    return use_hub(glue_hub, zoo, cache=hub_cache, lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.fixture
def glue_recipe(tmp_path: Path) -> WriteGlueRecipe:
    """Write a copy of a GLUE entry's recipe in which some texts are replaced, and return its file name."""

    def write(name: str, *replacements: tuple[str, str], entry: str = "bert-base-uncased-mrpc") -> str:
        text = (ROOT / "configs" / "glue" / f"{entry}.yaml").read_text(encoding="utf-8")
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return f"{name}.yaml"

    return write
