"""The models of a configuration as calls of a recipe, and where their weights come from."""

from dataclasses import replace

from zoo.importers.torchdistill.cifar_models import cifar_model
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.torchvision_models import torchvision_model

HUB_MODELS = {
    "bert-base-uncased": "google-bert/bert-base-uncased", "bert-large-uncased": "google-bert/bert-large-uncased",
    "bert-base-cased": "google-bert/bert-base-cased", "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased", "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large", "albert-base-v2": "albert/albert-base-v2",
}  # fmt: skip
"""Models whose old names on the Hub had no owner."""
KEYS = (
    "key", "name", "kwargs", "src_ckpt", "dst_ckpt", "ckpt", "experiment", "repo_or_dir", "quantized", "sync_bn",
    "model_name_or_path", "num_labels", "config_kwargs", "tokenizer_kwargs", "model_kwargs",
)  # fmt: skip


def convert_model(item: Item, data: str, found: Findings, *, is_teacher: bool) -> Model:
    """Return a model; raises BlockedError if a recipe has no equal.

    Args:
        item: The model's entry in `models`.
        data: The kind of the data set that it is trained on.
        found: Gets assumptions.
        is_teacher: Whether it is the teacher, which needs trained weights.
    """
    item.check_keys(KEYS, "a model")
    if (quantized := item.get("quantized")) is not None and quantized.flag:
        raise quantized.blocked("quantized models are not converted")
    if item.get("model_kwargs", "model_name_or_path") is not None:
        return _text_model(item, found)
    key = item.need("key", "name")
    kwargs = item.get("kwargs") or Item(value={}, mark=item.mark)
    if (repository := item.get("repo_or_dir")) is not None:
        message = f"{key.text} comes from torch.hub ({repository.text}), whose code zoo does not run"
        raise repository.blocked(
            f"{message}; write a recipe with a model of your own package, and pass --trust PACKAGE"
        )
    if (sync := item.get("sync_bn")) is not None and sync.flag:
        found.differ(f"sync_bn: in torchdistill BatchNorm of {key.text} sees the batches of all processes together; a"
                     " recipe run as one process sees one batch, run as several each process sees its own")  # fmt: skip
    model = cifar_model(key, kwargs, data, found) or torchvision_model(key, kwargs)
    if is_teacher and model.load is not None and "aux_logits" in model.call:
        model = replace(model, call={**model.call, "aux_logits": True}, load=None)  # a teacher never computes them
    model = _with_checkpoint(model, item, found, is_teacher=is_teacher)
    if is_teacher and model.weights is None:
        message = f"the teacher {key.text} has no weights: torchdistill publishes none for this model and data set"
        raise key.blocked(f"{message}, so it would teach with random weights; train it first and name its checkpoint")
    return model


def _with_checkpoint(model: Model, item: Item, found: Findings, *, is_teacher: bool) -> Model:
    """Return the model with the weights of its checkpoint, `src_ckpt`, or in the older format `ckpt` of a teacher."""
    checkpoint = item.get("src_ckpt") or (item.get("ckpt") if is_teacher else None)
    if checkpoint is None:
        return model
    path = checkpoint.text
    if model.weights is not None:
        found.assume(f"{path} was not there when torchdistill started: it would load that checkpoint in place of the"
                     " published weights")  # fmt: skip
        return model
    is_url = path.startswith(("https://", "http://"))
    source = path if is_url else f"file:{path.removeprefix('./')}"
    found.assume(f"{path} has the first weights of {model.key}; torchdistill goes on without them if it is missing")
    return replace(model, weights=source, load=None)


def _text_model(item: Item, found: Findings) -> Model:
    model_kwargs = item.get("model_kwargs") or item
    name = model_kwargs.need("pretrained_model_name_or_path", "model_name_or_path").text
    config = item.get("config_kwargs") or Item(value={}, mark=item.mark)
    labels = item.get("num_labels") or config.get("num_labels")
    if labels is None:
        raise item.blocked("the key 'num_labels' is missing")
    tokenizer = item.get("tokenizer_kwargs")
    tokenizer_name = tokenizer.need("pretrained_model_name_or_path").text if tokenizer else name
    problem = config.get("problem_type")
    call = {"use": "sequence_classifier", "init": f"hub:{hub_repository(name)}", "num_labels": labels.whole}
    return Model(
        key=name, family="text", call=call, mark=item.mark, weights=f"hub:{hub_repository(name)}",
        num_classes=labels.whole, tokenizer=tokenizer_name, problem_type=problem.text if problem else "",
    )  # fmt: skip


def hub_repository(name: str) -> str:
    """Return the repository of the Hub for a model's name, with its owner."""
    return HUB_MODELS.get(name, name)
