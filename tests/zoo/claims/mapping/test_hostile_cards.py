"""Cards and settings of strangers never crash the mapping: they are read, or there is a reason."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.claims.mapping import data_card, read_model
from zoo.claims.mapping.columns import choose_columns, choose_image_columns
from zoo.claims.mapping.reasons import UnmappedError
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources

DATA, MODEL = HubRepo("dataset", "a/b", "0" * 40), HubRepo("model", "a/b", "0" * 40)
KEYS = st.text(max_size=5) | st.integers(0, 9)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("label"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMED = st.fixed_dictionaries(
    {}, optional={"name": VALUES, "dtype": VALUES | st.just("image") | st.fixed_dictionaries({"class_label": VALUES})}
)
INFO = st.fixed_dictionaries(
    {}, optional={"config_name": VALUES, "features": VALUES | st.lists(NAMED), "splits": VALUES}
)
CARDS = st.fixed_dictionaries(
    {}, optional={"configs": VALUES, "dataset_info": VALUES | INFO | st.lists(INFO), "train_eval_index": VALUES}
)
OPTIONAL = ("id2label", "num_labels", "problem_type", "max_position_embeddings", "pad_token_id")
OF_TIMM = ("num_classes", "label_names", "model_args", "pretrained_cfg")
ARCHITECTURES = st.sampled_from([["BertForSequenceClassification"], ["ViTForImageClassification"]])
SETTINGS = st.fixed_dictionaries(
    {"architectures": ARCHITECTURES | VALUES}, optional=dict.fromkeys(OPTIONAL, VALUES)
) | st.fixed_dictionaries({"architecture": VALUES}, optional=dict.fromkeys(OF_TIMM, VALUES))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(card=CARDS, config=st.sampled_from(["", "default", "x"]))
def test_any_card_of_a_data_set_is_read_or_refused(
    card: dict[str, Any], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_card, "_card", lambda *_: card)
    monkeypatch.setattr(data_card, "repository_files", lambda *_: ["README.md", "x/train-0.parquet"])
    with suppress(UnmappedError):
        assert choose_columns(data_card.read_data_card(DATA, config, Sources())).inputs
    with suppress(UnmappedError):
        assert choose_image_columns(data_card.read_data_card(DATA, config, Sources()), 2).inputs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=SETTINGS)
def test_any_settings_of_a_model_are_read_or_refused(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["config.json", "model.safetensors", "preprocessor_config.json", "vocab.txt"]
    monkeypatch.setattr(read_model, "repository_files", lambda *_: names)
    monkeypatch.setattr(Sources, "fetch", lambda *_: type("Fetched", (), {"path": tmp_path}))
    with suppress(UnmappedError):
        facts = read_model.read_model(MODEL, content, Sources())
        assert facts.outputs >= 1 <= (facts.max_length or facts.inputs == "image")
