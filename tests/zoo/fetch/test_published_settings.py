"""Settings and indexes beside published weights load nothing that was not verified, and real ones load as before."""

import builtins
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification
from transformers.dynamic_module_utils import resolve_trust_remote_code
from transformers.integrations import hub_kernels

from tests.helpers.project import Write
from zoo import tokenizers
from zoo.api.session import Session
from zoo.errors import IntegrityError
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import read_settings, verified_view
from zoo.fetch.repository_files import INDEX
from zoo.fetch.sources import Source, Sources
from zoo.models.published import published_classifier
from zoo.recipes import catalogue
from zoo.recipes.options import SourceOptions

WEIGHTS = "model.safetensors"
REFUSED: dict[str, tuple[str, Any]] = {
    "code": ("auto_map", {"model_type": "mine", "auto_map": {"AutoModel": "evil/code--mod.M"}}),
    "code of no type": ("auto_map", {"model_type": ["bert"], "auto_map": {"AutoModel": "evil/code--mod.M"}}),
    "nested code": ("auto_map", {"vision_config": {"model_type": "bert", "auto_map": {"AutoModel": "evil/code--m.M"}}}),
    "code in a list": ("auto_map", {"parts": [{"auto_map": {"AutoModel": "x"}}]}),
    "consent": ("trust_remote_code", {"text_config": {"trust_remote_code": True}}),
    "a pipeline": ("custom_pipelines", {"custom_pipelines": {"x": {"impl": "mod.P"}}}),
    "a backbone": ("backbone", {"backbone_config": {"backbone": "evil/backbone"}}),
    "a timm backbone": ("use_pretrained_backbone", {"use_pretrained_backbone": True}),
    "a GGUF file": ("gguf_file", {"gguf_file": "t.gguf"}),
    "an attention by part": ("_attn_implementation", {"_attn_implementation": {"text": "a/b"}}),
    "a paged kernel": ("attn_implementation", {"text_config": {"attn_implementation": "paged|owner/kernel"}}),
    "experts": ("experts_implementation", {"experts_implementation": "owner/kernel"}),
    "kernels": ("kernel_config", {"kernel_config": {"kernel_mapping": {"RMSNorm": "owner/kernel"}}}),
    "a function": ("custom_generate", {"custom_generate": "evil/decoding"}),
    "a Hub model of timm": ("hf_hub_id", {"a": [{"hf_hub_id": "a/b"}]}),
    "pretrained weights": ("pretrained", {"pretrained": True}),
    "a checkpoint": ("checkpoint", {"backbone_config": {"checkpoint": "x"}}),
    "weights": ("weights", {"weights": "DEFAULT"}),
    "a vocabulary": ("entity_vocab_file", {"entity_vocab_file": "/etc/passwd"}),
    "a vocabulary in this folder": ("vocab", {"vocab": "secret.txt"}),
    "options of a program": ("mecab_option", {"mecab_kwargs": {"mecab_option": "-r /etc/passwd"}}),
    "a folder": ("mecab_dic", {"mecab_dic": " ~/dictionary"}),
    "a source in capitals": ("model", {"model": "HF-HUB:owner/model"}),
    "code among labels": ("auto_map", {"id2label": {"0": {"auto_map": "evil/code--m.M"}}}),
    "a file among labels": ("vocab", {"id2label": {"0": {"vocab": "/etc/passwd"}}}),
    "endless labels": ("num_labels", {"num_labels": 1_000_000_000}),
    "a kernel": ("attn_implementation", {"attn_implementation": "evil/kernel"}),
    "a community kernel": ("hidden_act", {"hidden_act": "kernels-community/activation"}),
}
HARMLESS = {
    "_name_or_path": "someone/base", "name_or_path": "/home/author/run", "backbone": None, "trust_remote_code": False,
    "text_config": {"_name_or_path": ""}, "id2label": {"0": "a/b", "1": "../c"}, "transformers_version": "4.1.0",
    "dataset": "a/b", "sep_token": "/", "chat_template": "{{ a }} // b/c", "drop_path": 0.1, "cache_dir": None,
    "attn_implementation": "flash_attention_2", "_attn_implementation_autoset": True, "finetuning_task": "glue/sst2",
    "training_data": "and/or",
    "prompt": "It was {} . See ~5 km / 3 mi, data: n/a, on 1/2/2024",
    "block_size": 131_072, "weights": [0.3, 0.7],
}  # fmt: skip


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with a published classifier."""
    folder = tmp_path / "published"
    torch.manual_seed(0)
    sizes = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    BertForSequenceClassification(BertConfig(**sizes, intermediate_size=4, num_labels=2)).save_pretrained(folder)
    return folder


def change(path: Path, **settings: Any) -> None:
    """Change settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_name_code_or_other_repositories_are_refused_with_file_and_key(
    name: str, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("somebody was asked for consent"))
    key, settings = REFUSED[name]
    change(published / "config.json", **settings)
    with pytest.raises(IntegrityError, match=f"config.json: {key}: "):
        published_classifier(published, WEIGHTS, {})


def test_code_for_an_architecture_of_transformers_is_left_out_and_reported(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("somebody was asked for consent"))
    before = published_classifier(published, WEIGHTS, {})
    code = {"AutoConfig": "mod.C", "AutoModelForSequenceClassification": "evil/code--mod.M"}
    change(published / "config.json", auto_map=code)
    after = published_classifier(published, WEIGHTS, {})
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    assert not hasattr(after.config, "auto_map")
    note = "config.json names code of the repository for this architecture; zoo uses transformers' own"
    assert (before.code_note, after.code_note) == (None, note)
    assert "auto_map" not in read_settings(published / "config.json")


@pytest.mark.parametrize("attention", [None, "sdpa", "eager"])
def test_the_attention_of_a_recipe_is_used_for_published_weights(attention: str | None, published: Path) -> None:
    model = published_classifier(published, WEIGHTS, {"attn_implementation": attention})
    assert model.config._attn_implementation == (attention or "sdpa")


@pytest.mark.parametrize(
    ("model_type", "tokenizer_class", "is_loaded"),
    [
        ("bert", "BertTokenizerFast", True),
        ("bert", None, True),
        ("bert", "MineTokenizer", False),
        ("mine", None, False),
    ],
)
def test_the_tokenizer_is_transformers_own_or_is_refused(
    model_type: str, tokenizer_class: str | None, is_loaded: bool, tmp_path: Path
) -> None:
    names = ["config.json", "tokenizer_config.json", "vocab.txt"]
    settings = (
        {"model_type": model_type},
        {"tokenizer_class": tokenizer_class, "auto_map": {"AutoTokenizer": ["m.T", None]}},
    )
    for name, content in zip(names, settings, strict=False):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    reported: list[str] = []
    source = Source(Sources(report=reported.append), f"file:{tmp_path}")
    if not is_loaded:
        with pytest.raises(IntegrityError, match=r"tokenizer_config.json: auto_map: names code of a repository"):
            tokenizers.published(of=source)
        return
    assert tokenizers.published(of=source)("a")["input_ids"] == [2, 5, 3]
    tokenizers.published(of=source)
    (message,) = reported
    assert "tokenizer_config.json names code of the repository" in message


@pytest.mark.parametrize("content", ["[]", "{", '{"a": ' * 100_000, "\ufffe"])
def test_settings_that_are_no_json_object_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(IntegrityError, match=r"not (a )?JSON"):
        read_settings(path)


def test_origins_in_ordinary_settings_are_ignored(published: Path) -> None:
    before = published_classifier(published, WEIGHTS, {})
    change(published / "config.json", **HARMLESS)
    after = published_classifier(published, WEIGHTS, {})
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    assert after.config.id2label == {0: "a/b", 1: "../c"}
    assert after.config.name_or_path == str(published)


@pytest.mark.parametrize(
    "outside", ["../outside.safetensors", "{folder}/outside.safetensors", "outside.safetensors", 7]
)
def test_an_index_names_only_parts_in_its_own_folder(outside: object, published: Path, tmp_path: Path) -> None:
    state = load_file(published / WEIGHTS)
    for folder in (tmp_path, published):
        save_file({name: value * 7 for name, value in state.items()}, folder / "outside.safetensors", {"format": "pt"})
    place = outside.format(folder=tmp_path) if isinstance(outside, str) else outside
    (published / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(state, place)}))
    with pytest.raises(IntegrityError, match="weight_map names"):
        published_classifier(published, INDEX, {})


def test_files_that_were_not_verified_are_not_seen_by_transformers(published: Path) -> None:
    (published / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}')
    with verified_view(published, ["config.json", WEIGHTS]) as view:
        assert sorted(path.name for path in view.iterdir()) == ["config.json", WEIGHTS]
    published_classifier(published, WEIGHTS, {})


def test_libraries_are_offline_while_they_build_and_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("somebody was asked for consent"))
    with offline():
        with offline():
            assert constants.is_offline_mode()
        with ThreadPoolExecutor(1) as pool:  # another thread fetches meanwhile
            assert not pool.submit(lambda: bool(constants.is_offline_mode())).result()
        with pytest.raises(LocalEntryNotFoundError):
            hf_hub_download("evil/backbone", "config.json")
        with pytest.raises(ValueError, match="custom code"):
            resolve_trust_remote_code(None, "evil/code", has_local_code=False, has_remote_code=True)
        monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda: True)
        with pytest.raises(ValueError, match="the kernel kernels-community/flash is code of the Hub"):
            hub_kernels.load_and_register_attn_kernel("kernels-community/flash")
    assert constants.HF_HUB_OFFLINE is False


def test_a_downloaded_recipe_is_not_on_the_import_path(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe_file()
    published = catalogue.local(path, "hub:evil/shadow@1", "hub:evil/shadow")
    session = Session(sources=SourceOptions(trust=["my_losses"]))
    for entry, is_importable in ((published, False), (catalogue.local(path), True)):
        monkeypatch.setattr(sys, "path", ["before"])
        monkeypatch.chdir("/")
        session.builder([entry])
        assert (str(path.parent.resolve()) in sys.path) == is_importable
        assert sys.path[-1] == "before"
