"""Attacks by the names and arguments in an untrusted recipe. Each is refused with its reason."""

import json
import os
import resource
import signal
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
import torch
import yaml
from torch import nn

from harness.models import environment
from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import RecipeError, UsageError
from zoo.models import attention, build_watch
from zoo.recipes import catalogue
from zoo.recipes.argument_kinds import unverified_files
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.schema import load_recipe
from zoo.recipes.stage import Teacher

MODEL = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
SGD = "{use: SGD, lr: 0.1, momentum: 0.9}"
TERM = "    criterion:\n      ce: {loss: CrossEntropy}\n"
LINEAR = "{use: linear, warmup: 0.2}"
DETECTOR = """{use: transformers.PPOCRV6SmallDetForObjectDetection, config:
        {use: transformers.PPOCRV6SmallDetConfig, backbone_config: %s}}"""
CLASSIFIER = "{use: transformers.BertForSequenceClassification, config: {use: transformers.BertConfig, %s}}"
FOLDER = (
    "{use: image_folder, data: data:x, classes: 10, train_transforms: [%s], eval_transforms: [], mean: [0], std: [1]}"
)

NAMES = {
    "a command": (SGD, "{use: os.system, command: touch executed}", "no recipe may name"),
    "a process": (MODEL, "{use: subprocess.Popen, args: [touch, executed]}", "no recipe may name"),
    "eval": ("loss: CrossEntropy", "loss: {use: builtins.eval, source: 1}", "no recipe may name"),
    "an import": ("task: digits", "task: {use: importlib.import_module, name: antigravity}", "no recipe may name"),
    "a file": ("task: digits", "task: {use: pathlib.Path, args: x}", "no recipe may name"),
    "a pickle": (MODEL, "{use: pickle.loads, data: x}", "no recipe may name"),
    "a pickle of torch": (MODEL, "{use: torch.load, f: x.pt}", "cannot be named in one"),
    "a repository of torch.hub": (MODEL, "{use: torch.hub.load, repo_or_dir: evil/code}", "cannot be named in one"),
    "a command of torch": (SGD, "{use: torch.utils.collect_env.run, command: id}", "cannot be used as optimizer"),
    "a C++ extension": ("loss: CrossEntropy", "loss: {use: torch.utils.cpp_extension.load}", "cannot be named in one"),
    "a script": (MODEL, "{use: torch.jit.load, f: x.pt}", "cannot be named in one"),
    "averaged models": ("loss: CrossEntropy", "loss: {use: torch.optim.swa_utils.AveragedModel}", "cannot be used"),
    "a download": (MODEL, "{use: torchvision.datasets.MNIST, root: x, download: true}", "cannot be used as model"),
    "a method": (MODEL, "{use: transformers.AutoModelForSequenceClassification.from_pretrained}", "is a method"),
    "a pipeline": (MODEL, "{use: transformers.pipeline, model: evil/nice}", "cannot be named in one"),
    "a detector": (MODEL, "{use: transformers.PPOCRV6SmallDetForObjectDetection}", "not on the list"),
    "a trainer": (MODEL, "{use: transformers.Trainer}", "not on the list"),
    "a metric that writes": (SGD, "{use: harness.evaluate_metrics.PlainMetric, cache_dir: /x}", "not on the list"),
    "a metric by name": (SGD, "{use: evaluate.load, path: evil/metric}", "cannot be named in one"),
    "a data set": ("task: digits", "task: {use: datasets.load_dataset, path: evil/x}", "cannot be named in one"),
    "an internal function": (MODEL, "{use: zoo.models.published.published_classifier}", "not on the list"),
    "a private name": (MODEL, "{use: torch.storage._load_from_bytes, b: x}", "is private"),
    "a module in a module": (MODEL, "{use: torch.nn.functional.torch}", "not on the list"),
    "a lambda": (LINEAR, "{use: torch.optim.lr_scheduler.LambdaLR, lr_lambda: x}", "not on the list"),
    "a layer as a transform": ("task: digits", f"task: {FOLDER % '{use: torch.nn.Linear}'}", "cannot be used as train"),
    "a layer as a loss": (
        "CrossEntropy", "{use: torch.nn.Linear, in_features: 60000, out_features: 60000}", "not on the list"
    ),
    "a loss of other labels": ("CrossEntropy", "torch.nn.CTCLoss", "not on the list"),
    "a function as a transform": ("task: digits", f"task: {FOLDER % '{use: Lambda, lambd: x}'}", "has no 'Lambda'"),
    "layers by position": (MODEL, "{use: torch.nn.Sequential}", "not on the list"),
    "a foreign package": (MODEL, "{use: evil_models.Net}", "--trust evil_models allows them"),
}  # fmt: skip
ARGUMENTS = {
    "a sum over the batch": ("CrossEntropy", "{use: torch.nn.CrossEntropyLoss, reduction: sum}", "leave out reduction"),
    "a sum by its old name": ("CrossEntropy", "{use: torch.nn.L1Loss, size_average: false}", "leave out size_average"),
    "code of a repository": (MODEL, CLASSIFIER % "auto_map: {AutoModel: evil/code--mod.M}", "auto_map runs code"),
    "nested code": (MODEL, CLASSIFIER % "text_config: {a: [{auto_map: {AutoModel: x}}]}", "auto_map runs code"),
    "nested code of an unlisted model": (MODEL, DETECTOR % "{auto_map: {AutoBackbone: x}}", "auto_map runs code"),
    "remote code": (MODEL, CLASSIFIER % "trust_remote_code: true", "trust_remote_code runs code"),
    "a kernel": (MODEL, CLASSIFIER % "attn_implementation: kernels-community/evil", "code from outside a recipe"),
    "a backbone": (MODEL, CLASSIFIER % "vision_config: {backbone: evil/backbone}", "backbone loads by name"),
    "a split outside of the run": (
        "task: digits",
        "task: {use: text_classification, data: {a/../x: 'file:r.csv'}, text: text, scored: [a/../x]}\n"
        "tokenizer: {use: transformers.ByT5Tokenizer}", "cannot be the name of a split"
    ),
    "another repository": (MODEL, CLASSIFIER % "_name_or_path: evil/x", "_name_or_path loads by name"),
    "a file of GGUF": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.ByT5Tokenizer, gguf_file: t}", "gguf_file loads"
    ),
    "a tokenizer by name": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.ByT5Tokenizer, name_or_path: evil/tok}", "loads by"
    ),
    "a vocabulary": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.BertTokenizer, vocab: /etc/passwd}", "looks like a"
    ),
    "a vocabulary in this folder": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.BertTokenizer, vocab: secret.txt}", "opened as a"
    ),
    "pieces in this folder": (MODEL, CLASSIFIER % "target_spm: secret.txt", "target_spm reads or writes files"),
    "merges in this folder": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.GPT2Tokenizer, merges: secret.txt}", "opened as "
    ),
    "a token of the Hub": (
        "task: digits", "task: digits\ntokenizer: {use: transformers.ByT5Tokenizer, use_auth_token: x}", "reads or wri"
    ),
    "a folder": (MODEL, CLASSIFIER % "cache_dir: victim", "cache_dir reads or writes files"),
    "a kernel behind a prefix": (MODEL, CLASSIFIER % "attn_implementation: paged|owner/kernel", "code from outside"),
    "a kernel by part": (MODEL, CLASSIFIER % "_attn_implementation: {text: a/b}", "code from outside a recipe"),
    "experts of a repository": (MODEL, CLASSIFIER % "experts_implementation: a/b", "code from outside a recipe"),
    "other flash attention": (MODEL, CLASSIFIER % "attn_implementation: flash_attention_3", "write flash_attention_2"),
    "a paged flash attention": (MODEL, CLASSIFIER % "attn_implementation: paged|flash_attention_2", "names code from"),
    "a mapping of kernels": (MODEL, CLASSIFIER % "kernel_config: {RMSNorm: a/b}", "kernel_config runs code"),
    "code among labels": (MODEL, CLASSIFIER % "id2label: {'0': {auto_map: {AutoModel: x}}}", "auto_map runs code"),
    "a file among labels": (MODEL, CLASSIFIER % "label2id: {a: {vocab: /etc/passwd}}", "looks like a file"),
    "a file in options": (MODEL, CLASSIFIER % "mecab_option: -r /etc/passwd", "looks like a file"),
    "a scheme in capitals": (MODEL, CLASSIFIER % "hidden_act: HF-HUB:owner/m", "looks like a file"),
    "a folder in capitals": (MODEL, CLASSIFIER % "hidden_act: LOCAL-DIR:x", "looks like a file"),
    "a folder after a blank": (MODEL, CLASSIFIER % "hidden_act: ' local-dir:x'", "looks like a file"),
    "a folder with a tab in its scheme": (MODEL, CLASSIFIER % 'hidden_act: "local\\t-dir:x"', "looks like a file"),
    "a repository": (MODEL, CLASSIFIER % "text_model_name: owner/model", "looks like a file or a repository"),
    "a repository at a commit": (MODEL, CLASSIFIER % "processor: owner/model@main", "looks like a file or a repos"),
    "a file in options of this folder": (MODEL, CLASSIFIER % "mecab_option: -r folder/dicrc", "looks like a file"),
    "a file after a word": (MODEL, CLASSIFIER % "problem_type: use ~/x", "looks like a file"),
    "this folder": (MODEL, CLASSIFIER % "hidden_act: .", "looks like a file"),
    "a path": (MODEL, CLASSIFIER % "hidden_act: ../../x", "looks like a file"),
    "pretrained weights": (MODEL, "{use: resnet18, weights: DEFAULT}", "write weights: null"),
    "a Hub model of timm": (MODEL, "{use: resnet18, weights: null, pretrained_cfg: {hf_hub_id: a/b}}", "loads by name"),
}  # fmt: skip


ATTENTION = """{use: bert_classifier, layers: 1, hidden: 4, heads: 1, intermediate: 4, vocab_size: 9, num_labels: 10,
    attn_implementation: %s}"""


@pytest.mark.parametrize(
    "model", [CLASSIFIER % "attn_implementation: flash_attention_2", ATTENTION % "flash_attention_2"]
)
def test_flash_attention_needs_its_package_and_never_a_kernel(
    model: str, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_file(TINY, (MODEL, model)))
    monkeypatch.setattr(attention, "find_spec", lambda _: None)
    with pytest.raises(RecipeError, match=r"attn_implementation: flash_attention_2 needs the package flash-attn"):
        check_recipe(recipe, Builder())
    monkeypatch.setattr(attention, "is_flash_attn_2_available", lambda: True)
    with pytest.raises(RecipeError, match="FlashAttention2 has been toggled on"):  # transformers does not find it
        check_recipe(recipe, Builder())
    with pytest.raises(
        RecipeError, match=r"flash_attention_2 computes in half precision, on a GPU: pass --device cuda"
    ):
        environment.check_attention(recipe, torch.device("cpu"), "bf16")
    environment.check_attention(recipe, torch.device("cuda"), "bf16")


BERT = "{use: bert_classifier, layers: %s, hidden: %s, heads: 1, intermediate: 8, vocab_size: 300, num_labels: 2}"
COPIES = """{use: torch.nn.TransformerEncoder, num_layers: 90000, encoder_layer:
        {use: torch.nn.TransformerEncoderLayer, d_model: 2048, nhead: 8}}"""
ON_CPU = "{use: torch.nn.Linear, in_features: 40000, out_features: 40000, device: %s}"
LSTM = "{use: torch.nn.LSTM, input_size: 1, hidden_size: 1, num_layers: %s}"
HUGE = {
    "real memory": (MODEL, ON_CPU % "cpu", "leave out device; the option --device chooses it"),
    "real memory inside": (MODEL, f"{{use: torch.nn.ReLU, x: [{ON_CPU % '{type: cpu}'}]}}", "leave out device"),
    "a deep LSTM": (MODEL, LSTM % 100_000, "num_layers: more than 20,000 parameter tensors; ZOO_MAX_MODULES raises"),
    "a rather deep LSTM": (MODEL, LSTM % 5001, "num_layers: more than 20,000 parameter tensors; ZOO_MAX_MODULES rai"),
    "endless layers": (MODEL, BERT % (10**9, 8), "layers: 1,000,000,000 is more than 100,000; ZOO_MAX_LAYERS"),
    "endless depth": (MODEL, "{use: cifar_resnet, depth: 1000000002}", "depth: 1,000,000,002 is more than"),
    "very many layers": (MODEL, BERT % (90_000, 8), "more than 2,000 modules; ZOO_MAX_MODULES raises"),
    "a huge width": (MODEL, BERT % (1, 10**7), "more than 2,000,000,000 parameters; ZOO_MAX_PARAMETERS raises"),
    "a huge architecture": (MODEL, CLASSIFIER % "vocab_size: 9000000000", "ZOO_MAX_PARAMETERS raises"),
    "copied layers": (MODEL, COPIES, "more than 2,000,000,000 parameters; ZOO_MAX_PARAMETERS raises"),
    "endless labels": (MODEL, CLASSIFIER % "num_labels: 1000000000", "num_labels: 1,000,000,000 is more than 100,000"),
    "endless classes": (MODEL, "{use: torchvision.models.resnet18, weights: null, num_classes: 1000000000}", "_LAYERS"),
    "endless layers in a mapping": (MODEL, CLASSIFIER % "a: {num_hidden_layers: 99999999}", "ZOO_MAX_LAYERS raises"),
    "endless epochs": ("epochs: 1", "epochs: 1000000000", "epochs is more than 100,000; ZOO_MAX_EPOCHS raises"),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_recipe_is_refused_at_once_and_without_memory(
    name: str, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, reason = HUGE[name]
    if name == "very many layers":  # so many that it takes seconds to count them
        monkeypatch.setenv("ZOO_MAX_MODULES", "2000")
    path, memory = recipe_file(TINY, (before, after)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(path), Builder())
    assert reason in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 500_000  # kilobytes


LOOPS = "{use: transformers.LevitForImageClassification, config: {use: transformers.LevitConfig, image_size: %s}}"
"""A model that lists all pairs of points of an image."""


@pytest.mark.parametrize(("most", "reason"), [("MOST_MEMORY", "GB of memory"), ("SECONDS", "more than 1 s")])
def test_a_build_that_loops_is_interrupted(
    most: str, reason: str, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_watch, "INTERVAL", 0.05)
    if most == "MOST_MEMORY":
        monkeypatch.setattr(build_watch, most, 10_000_000)
    monkeypatch.setenv("ZOO_MAX_BUILD_SECONDS", "1" if most == "SECONDS" else "60")
    handler = signal.getsignal(signal.SIGALRM)
    with pytest.raises(RecipeError, match=f"tiny.yaml:3:.*building takes .*{reason}"):
        check_recipe(load_recipe(recipe_file(TINY, (MODEL, LOOPS % 4096))), Builder())
    assert (signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)) == ((0.0, 0.0), handler)


def test_an_interrupted_build_is_not_lost_in_a_callback_of_a_weak_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_watch, "INTERVAL", 0.0005)
    monkeypatch.setenv("ZOO_MAX_BUILD_SECONDS", "0")
    values = WeakKeyDictionary[nn.Module, int]()

    def build_without_end() -> None:
        while True:
            values[nn.Module()] = 1

    for _ in range(200):  # pytest fails the test if Python prints an error instead of raising it
        with pytest.raises(UsageError, match="building takes more than 0 s"):
            build_watch.watched(build_without_end)
        assert not any(signal.getitimer(signal.ITIMER_REAL))


@pytest.mark.parametrize("seconds", [build_watch.INTERVAL, 0])
def test_the_timer_of_a_build_never_outlives_it(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may come just before the build begins, or just after it has ended."""
    monkeypatch.setenv("ZOO_MAX_BUILD_SECONDS", "0")
    set_timer, handler, signals = signal.setitimer, signal.getsignal(signal.SIGALRM), [signal.SIGALRM]

    def set_timer_and_signal(which: int, first: float, interval: float = 0.0) -> None:
        set_timer(which, first, interval)
        if first == seconds and signals:
            signal.raise_signal(signals.pop())

    monkeypatch.setattr(signal, "setitimer", set_timer_and_signal)
    with pytest.raises(UsageError, match="building takes more than 0 s"):
        build_watch.watched(lambda: None)
    assert (signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)) == ((0.0, 0.0), handler)


def test_an_environment_variable_raises_a_limit(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_PARAMETERS", str(10**10))
    path = recipe_file(TINY, (MODEL, "{use: torch.nn.Linear, in_features: 60000, out_features: 60000}"))
    check_recipe(load_recipe(path), Builder())
    monkeypatch.setenv("ZOO_MAX_PARAMETERS", "many")
    with pytest.raises(UsageError, match="ZOO_MAX_PARAMETERS must be a whole number, not 'many'"):
        check_recipe(load_recipe(path), Builder())
    monkeypatch.delenv("ZOO_MAX_PARAMETERS")
    monkeypatch.setenv("ZOO_MAX_LAYERS", "5")
    with pytest.raises(RecipeError, match="depth: 8 is more than 5; ZOO_MAX_LAYERS raises this limit"):
        check_recipe(load_recipe(recipe_file(TINY)), Builder())


@pytest.mark.parametrize("name", [*NAMES, *ARGUMENTS])
def test_a_recipe_that_reaches_beyond_the_list_is_refused(
    name: str, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, after, reason = (NAMES | ARGUMENTS)[name]
    path = recipe_file(TINY, (before, after))
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(path), Builder())
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
    assert sorted(tmp_path.rglob("*")) == files


@pytest.mark.parametrize("name", [name for name, (_, _, reason) in NAMES.items() if reason == "no recipe may name"])
def test_trust_is_never_suggested_for_the_standard_library(name: str, recipe_file: Write) -> None:
    before, after, _ = NAMES[name]
    recipe = load_recipe(recipe_file(TINY, (before, after)))
    for trusted in (frozenset[str](), frozenset({"os", "subprocess", "builtins", "importlib", "pathlib", "pickle"})):
        with pytest.raises(RecipeError, match="no recipe may name") as caught:
            check_recipe(recipe, Builder(trusted))
        assert "--trust" not in str(caught.value)


@pytest.mark.parametrize("key", ["entry", "run"])
def test_a_teacher_of_a_published_recipe_is_a_shipped_entry(key: str, recipe_file: Write, tmp_path: Path) -> None:
    """A recipe file of this machine may read its other files, and its names in messages would show that it is there."""
    inner = tmp_path / "inner.txt"
    inner.write_text(TINY.replace("name: tiny", f"name: inner\nweights: file:{tmp_path}/secret.safetensors"))
    term = "    teacher: {%s: '%s'}\n    criterion:\n      kd: {loss: {use: KD, temperature: 4.0, alpha: 0.5}}\n"
    published = Builder().at(f"hub:evil/recipe@{'0' * 40}", None)
    check_recipe(load_recipe(recipe_file(TINY, (TERM, term % (key, inner)))), Builder())
    check_recipe(load_recipe(recipe_file(TINY, (TERM, term % (key, "digits-resnet14")))), published)
    for name in (inner, "/dev/zero", "inner.yaml", "../inner.yaml", tmp_path, "digits-resnet1[4]"):
        recipe = load_recipe(recipe_file(TINY, (TERM, term % (key, name))))
        with pytest.raises(RecipeError, match="is not a shipped entry; a published recipe may name no other"):
            check_recipe(recipe, published)
        with pytest.raises(UsageError, match="is not a shipped entry"):
            catalogue.teacher_entry(Teacher(**{key: str(name)}), None, published.sources.recipe_repo, ())


GOOD = {
    "torch loss": ("loss: CrossEntropy", "loss: torch.nn.CrossEntropyLoss"),
    "torch layers": (MODEL, "{use: torch.nn.Linear, in_features: 64, out_features: 10}"),
    "schedule": (LINEAR, "{use: torch.optim.lr_scheduler.StepLR, step_size: 3}"),
    "schedule of transformers": (LINEAR, "{use: transformers.get_linear_schedule_with_warmup, num_warmup_steps: 0}"),
    "builder": (MODEL, "{use: torchvision.models.resnet18, weights: null, num_classes: 10}"),
    "architecture": (MODEL, CLASSIFIER % "num_hidden_layers: 1, id2label: {'0': a/b, '1': /}, hidden_act: gelu"),
    "eager attention": (MODEL, CLASSIFIER % "attn_implementation: eager"),
    "attention of our own model": (MODEL, ATTENTION % "sdpa"),
    "Auto class": (
        MODEL,
        "{use: transformers.AutoModelForSequenceClassification,"
        " config: {use: transformers.BertConfig, num_labels: 10}}",
    ),
    "tokenizer": ("task: digits", "task: digits\ntokenizer: {use: transformers.ByT5Tokenizer, eos_token: </s>}"),
    "metric of scikit-learn": ("task: digits", "task: digits\nmetrics: [sklearn.metrics.balanced_accuracy_score]"),
    "metric of scipy": ("task: digits", "task: digits\nmetrics: [scipy.stats.spearmanr]"),
    "transforms": (
        "task: digits",
        f"task: {FOLDER % '{use: RandomCrop, size: 4}, {use: torchvision.transforms.RandomHorizontalFlip}'}",
    ),
}


TEXTS = (
    "and/or", "w/o x", "n/a", "a/b testing", "1/2/2024", "24/7", "either / or", "It was {} .", "~5 km", "x // y",
    "wait ...", "data: none", "TCP/IP, I/O", "km/h", "He said: yes", "1:2", "a\\b", "50%/50%", "AC/DC; s/he",
)  # fmt: skip
"""Ordinary texts with slashes, dots and colons."""


def test_ordinary_texts_are_no_files(recipe_file: Write) -> None:
    listed = "[" + ", ".join(map(json.dumps, TEXTS)) + "]"
    config = CLASSIFIER % f"problem_type: single_label_classification, note: {listed}, finetuning_task: glue/sst2"
    check_recipe(load_recipe(recipe_file(TINY, (MODEL, config))), Builder())
    free = f"{{additional_special_tokens: [/x, ./y, 'http://z'], labels: {listed}, chat_template: /a, sep_token: //}}"
    assert list(unverified_files(yaml.safe_load(free))) == []
    content = {"merges": ["/ s", "/s p"], "vocab": [["/a", 0.5], ["b/c", 1.0]], "entity_vocab": {"/a": 1}}
    assert list(unverified_files(content)) == []
    for key in ("model_name", "tokenizer", "vocab", "repo_id"):
        assert list(unverified_files({key: "and/or"}))


@pytest.mark.parametrize("name", GOOD)
def test_listed_names_need_no_trust(name: str, recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY, GOOD[name]))
    if name == "tokenizer":
        with pytest.raises(RecipeError, match="the task digits takes no tokenizer"):
            check_recipe(recipe, Builder())
    else:
        check_recipe(recipe, Builder())


def test_a_loss_of_torch_trains_as_ours_does(zoo: Zoo, recipe_file: Write) -> None:
    """In micro-batches too, although the mean leaves out some labels."""
    logs = []
    for loss in ("CrossEntropy", "torch.nn.CrossEntropyLoss"):
        path = recipe_file(TINY, ("CrossEntropy", f"{{use: {loss}, label_smoothing: 0.1, ignore_index: 3}}"))
        arguments = ("--device", device(), "--micro-batch", 16, "--out", loss)
        completed = zoo("train", path, *arguments)
        assert completed.code == 0, completed.err
        logs.append(json.loads(Path(loss, "record.json").read_text())["results"])
    assert logs[0] == logs[1]


def test_a_metric_of_a_library_scores_a_run(zoo: Zoo, recipe_file: Write) -> None:
    names = "[accuracy, sklearn.metrics.accuracy_score, {use: sklearn.metrics.f1_score, average: macro}]"
    text = f"{TINY}weights: embedded:digits-resnet8.safetensors\nmetrics: {names}\n".replace("width: 2", "width: 8")
    claim = "claims: [{of: weights, split: test, metric: accuracy_score, value: 0.5, decimals: 1, source: s}]\n"
    completed = zoo("reproduce", recipe_file(text + claim), "--device", device(), "--json")
    assert '"metric": "accuracy_score"' in completed.out, completed.err
    assert os.environ.get("ZOO_DEBUG") is None
    assert completed.code == 1, completed.out
