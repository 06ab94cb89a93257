"""Published sentence encoders: what their settings may say, and embeddings of padded texts."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch.nn import functional as F

from tests.helpers.glue_hub import write_files
from tests.helpers.sentence_encoders import MODULES, POOLING, SETTINGS, TYPES, bert, encoder_files
from zoo.errors import IntegrityError, ZooError
from zoo.fetch.sources import Source, Sources
from zoo.models.sentence_encoder import sentence_encoder
from zoo.models.sentence_pooling import SentenceEncoder

PROMPTS = "config_sentence_transformers.json"


def pooled(**changed: Any) -> dict[str, Any]:
    """Return changed settings of the pooling."""
    return {"1_Pooling/config.json": {**POOLING, **changed}}


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "pooling": (pooled(pooling_mode_mean_tokens=False, pooling_mode_cls_token=True),
                "pools by cls, but the recipe says mean; write pooling: cls"),
    "pooling, as newer files have it": ({"1_Pooling/config.json": {"embedding_dimension": 16, "pooling_mode": "max"}},
                                        "pools by max, but the recipe says mean; write pooling: max"),
    "two ways of pooling": (pooled(pooling_mode_cls_token=True),
                            "pools by cls and mean, but the recipe says mean; not supported"),
    "no pooling": ({"1_Pooling/config.json": {}}, "pools by nothing, but"),
    "the width": (pooled(word_embedding_dimension=8), "expects 8 features, but"),
    "no normalization": ({"modules.json": MODULES[:2]}, "embeddings are not normalized: write normalize: false"),
    "another module": ({"modules.json": [*MODULES, {"type": f"{TYPES}Dense"}]}, "Normalize, Dense; only"),
    "code": ({"modules.json": [{"type": "custom_st.Transformer"}]}, "modules.json has custom_st.Transformer"),
    "another folder": ({"modules.json": [{**MODULES[0], "path": "../0"}, *MODULES[1:]]}, "in the folders '../0' and"),
    "no list": ({"modules.json": {}}, "modules.json: not a JSON list"),
    "no types": ({"modules.json": [1]}, "not a list of modules with a type"),
    "a prompt": ({PROMPTS: {"default_prompt_name": "query"}}, "adds the prompt 'query' to"),
    "another similarity": ({PROMPTS: {"similarity_fn_name": "dot"}}, "compares texts by 'dot'"),
    "lower case": ({"sentence_bert_config.json": {"do_lower_case": True}}, "converts texts to lower case before"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_published_settings_that_contradict_the_recipe_are_refused(name: str, tmp_path: Path) -> None:
    changed, message = CONTRADICTIONS[name]
    (tmp_path / "1_Pooling").mkdir()
    for file, content in encoder_files({**SETTINGS, **changed}).items():
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ZooError, match=re.escape(message)):
        sentence_encoder(init=Source(Sources(), f"file:{tmp_path}"), pooling="mean", normalize=True)


def test_an_encoder_without_all_of_its_weights_is_refused(tmp_path: Path) -> None:
    state = {name: value for name, value in bert().state_dict().items() if "layer.1.output.dense" not in name}
    write_files(tmp_path / "x", {**encoder_files({}), "model.safetensors": save(state, {"format": "pt"})})
    with pytest.raises(IntegrityError, match=r"lacks encoder\.layer\.1\.output\.dense"):
        sentence_encoder(init=Source(Sources(), f"file:{tmp_path / 'x'}"), pooling="mean")


def test_padding_on_either_side_changes_no_embedding() -> None:
    ids, mask = torch.tensor([[2, 7, 8, 3]]), torch.ones(1, 4, dtype=torch.int64)
    for pooling in ("mean", "cls", "max"):
        model = SentenceEncoder(bert(), pooling)  # type: ignore[arg-type]
        with torch.no_grad():
            alone = model.embed(attention_mask=mask, input_ids=ids)
            right = model.embed(attention_mask=F.pad(mask, (0, 3)), input_ids=F.pad(ids, (0, 3)))
            left = model.embed(
                attention_mask=F.pad(mask, (3, 0)), input_ids=F.pad(ids, (3, 0)),
                position_ids=torch.tensor([[0, 0, 0, 0, 1, 2, 3]]),
            )  # fmt: skip
        assert torch.allclose(alone, right, atol=1e-6)
        assert torch.allclose(alone, left, atol=1e-6)
