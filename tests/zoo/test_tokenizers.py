"""A published tokenizer can be changed by the arguments of a recipe."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.glue_hub import TOKENIZER
from tests.helpers.hub_server import LocalHub
from zoo.errors import UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tokenizers import published


def test_the_case_and_the_padding_of_a_published_tokenizer_can_be_changed(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("models", "someone/tokenizer", {**TOKENIZER, "config.json": b'{"model_type": "bert"}'})
        with pytest.MonkeyPatch.context() as patch:
            template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
            patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            client = Hub()
            client.endpoint, client.cache = hub.url, tmp_path / "cache"
            sources = Sources(lock=Lock(tmp_path / "no.lock", {}, tmp_path / "trusted.json"), hub=client)
            of = Source(sources, "hub:someone/tokenizer")
            unchanged, cased, left, padded, special = (
                published(of=of),
                published(of=of, lowercase=False),
                published(of=of, padding_side="left"),
                published(of=of, pad_token="[SEP]"),  # noqa: S106
                published(of=of, pad_token="unk"),  # noqa: S106
            )
            with pytest.raises(UsageError, match="has no token '<pad>' to pad with; it has unk"):
                published(of=of, pad_token="<pad>")  # noqa: S106
    assert unchanged("The cat")["input_ids"] == unchanged("the cat")["input_ids"] != cased("The cat")["input_ids"]
    assert [tokenizer.pad_token for tokenizer in (unchanged, padded, special)] == ["[PAD]", "[SEP]", "[UNK]"]
    assert (unchanged.padding_side, cased.do_lower_case, left.padding_side) == ("right", False, "left")
