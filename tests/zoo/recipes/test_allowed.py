"""Recipes may name everything ordinary in the libraries, and nothing that takes code or other tensors."""

import inspect

import pytest
import torch
import transformers
from torch import nn
from torch.optim import lr_scheduler
from torchvision.transforms import v2

from zoo.recipes import allowed
from zoo.recipes.allowed import ALLOWED, names_in

LEFT_OUT = {
    "loss": {
        "CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "LinearCrossEntropyLoss",
        "MarginRankingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",  # compare more than two tensors
        "KLDivLoss", "NLLLoss2d",  # zoo's KL compares with a teacher; an old name
    },
    "optimizer": {"Optimizer"},
    "schedule": {"LRScheduler", "LambdaLR", "MultiplicativeLR"},  # take functions
    "train_transforms": {"Lambda", "SetClampingMode", "Transform"},
    "model": {
        "Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "RNNBase", "RNNCellBase",
        "Sequential",  # take modules by position
        "AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyOptions", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
    },
}  # fmt: skip
LIBRARIES = {
    "loss": (nn, nn.modules.loss.__all__, "torch.nn"),
    "optimizer": (torch.optim, torch.optim.__all__, "torch.optim"),
    "schedule": (lr_scheduler, lr_scheduler.__all__, "torch.optim.lr_scheduler"),
    "train_transforms": (v2, dir(v2), "torchvision.transforms.v2"),
    "model": (nn, [name for name in nn.modules.__all__ if name not in nn.modules.loss.__all__], "torch.nn"),
}


@pytest.mark.parametrize("field", LIBRARIES)
def test_every_class_of_a_library_is_listed_or_left_out_for_a_reason(field: str) -> None:
    module, public, path = LIBRARIES[field]
    classes = {name for name in public if name[0].isupper() and inspect.isclass(getattr(module, name, None))}
    assert classes - names_in(path, field) == LEFT_OUT[field] & classes


def test_every_listed_name_exists_and_is_callable() -> None:
    for field, modules in ALLOWED.items():
        for path in modules:
            if path.startswith(("torch.", "torchvision.transforms", "sklearn", "scipy")):
                module = __import__(path, fromlist=["x"])
                assert all(callable(getattr(module, name)) for name in names_in(path, field)), path


ORDINARY = {
    "model": """AutoModelForSequenceClassification AutoModelForImageClassification AutoModelForSemanticSegmentation
        AutoConfig BertForSequenceClassification DistilBertForSequenceClassification RobertaForSequenceClassification
        DebertaV2ForSequenceClassification ElectraForSequenceClassification AlbertForSequenceClassification
        XLMRobertaForSequenceClassification ModernBertForSequenceClassification GPT2ForSequenceClassification
        LlamaForSequenceClassification Qwen2ForSequenceClassification MistralForSequenceClassification
        T5ForSequenceClassification ViTForImageClassification DeiTForImageClassification SwinForImageClassification
        ConvNextForImageClassification Dinov2ForImageClassification ResNetForImageClassification
        SegformerForSemanticSegmentation UperNetForSemanticSegmentation BertConfig DistilBertConfig RobertaConfig
        DebertaV2Config ElectraConfig ModernBertConfig GPT2Config LlamaConfig Qwen2Config ViTConfig SwinConfig
        ConvNextConfig Dinov2Config SegformerConfig UperNetConfig ResNetConfig""",
    "tokenizer": "BertTokenizer BertTokenizerFast RobertaTokenizer GPT2Tokenizer T5Tokenizer ByT5Tokenizer",
    "schedule": "get_scheduler get_cosine_schedule_with_warmup get_linear_schedule_with_warmup",
    "optimizer": "Adafactor",
}


@pytest.mark.parametrize("field", ORDINARY)
def test_ordinary_names_of_transformers_are_listed(field: str) -> None:
    listed = names_in("transformers", field)
    missing = [name for name in ORDINARY[field].split() if name not in listed]
    assert [name for name in missing if hasattr(transformers, name)] == []
    assert not any(name.endswith(("Trainer", "Pipeline", "Processor")) for name in listed)
    assert not {"pipeline", "AutoModel", "AutoTokenizer", "AutoBackbone"} & listed
    assert allowed.is_allowed(f"transformers.{next(iter(listed))}", field)
