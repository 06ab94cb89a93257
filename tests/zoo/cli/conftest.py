"""Fixtures of tests that upload."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import TOKEN, LocalHub
from tests.helpers.project import Zoo


@pytest.fixture
def writable_hub(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub to which the user may upload."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with LocalHub() as server:
        use_hub(server, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
        yield server
