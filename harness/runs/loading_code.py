"""The Python code in a model card that loads a trained model and prepares its inputs, without this project."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.runs.answering_code import answering_code
from harness.runs.card_metadata import CONFIG, CardFacts
from zoo.recipes.names import module_of
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.image_defaults import with_defaults
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.splits import TextSplit
from zoo.tasks.tagged_words import TaggedWords

TOKENIZER_CONFIG = "tokenizer_config.json"
FROM_PRETRAINED = """\
import torch
from transformers import {imports}

model = {model}.from_pretrained("."){tokenizer}"""
STATE_DICT = """\
import torch
from safetensors.torch import load_file
from {module} import {function}

model = {function}({arguments})
model.load_state_dict(load_file("model.safetensors"))
model.eval()"""
CLASSIFY_TEXT = """

inputs = tokenizer(
    {texts}, truncation="longest_first", max_length={max_length}, return_tensors="pt"
)
with torch.no_grad():
    logits = model(**inputs).logits
{result}"""
TAG_WORDS = """

words = ["These", "are", "words"]
inputs = tokenizer(
    words, is_split_into_words=True, truncation=True, max_length={max_length}, return_tensors="pt"
)
with torch.no_grad():
    tags = model(**inputs).logits[0].argmax(dim=-1).tolist()
of_words = inputs.word_ids()
for number, word in enumerate(words):
    if number in of_words:  # the first token of a word has its tag
        print(word, model.config.id2label[tags[of_words.index(number)]])"""
TRANSFORM = """

from torchvision.transforms import v2

transform = v2.Compose(
    [
{steps}
    ]
)  # for a PIL image in RGB; then logits = model(transform(image).unsqueeze(0)){attribute}"""
NORMALIZE = (
    "v2.ToImage()", "v2.ToDtype(torch.float32, scale=True)", "v2.Normalize(mean={mean}, std={std})",
)  # fmt: skip
SHORTER_SIDE = "zoo.tasks.transforms.ShorterSide"
DETECT = """

from PIL import Image
from torchvision.transforms.functional import to_tensor

image = to_tensor(Image.open("image.jpg").convert("RGB"))
with torch.no_grad():
    detections = model(image[None], torch.tensor([image.shape[1:]]))[0]  # each x1, y1, x2, y2, score, class"""
DIGITS = """

pixels = torch.zeros(1, 1, 8, 8)  # gray images of scikit-learn's digits, 0 to 16
logits = model((pixels / 16 - 0.3) / 0.38)"""


def loading_code(facts: CardFacts) -> str:
    """Return the code that loads the model from the working directory, and prepares an input if that is known."""
    if facts.is_transformers:
        model = json.loads((facts.folder / CONFIG).read_text(encoding="utf-8"))["architectures"][0]
        has_tokenizer = (facts.folder / TOKENIZER_CONFIG).exists()
        imports = ", ".join(sorted(["AutoTokenizer", model])) if has_tokenizer else model
        tokenizer = '\ntokenizer = AutoTokenizer.from_pretrained(".")' if has_tokenizer else ""
        load = FROM_PRETRAINED.format(imports=imports, model=model, tokenizer=tokenizer)
        return load + (_text_code(facts) if has_tokenizer else _image_code(facts))
    if "init" in facts.recipe["model"]:  # an encoder of transformers in a model that is none
        return ""
    return _state_dict_code(facts) + _image_code(facts)


def max_length(facts: CardFacts) -> int | None:
    """Return the number of tokens that longer texts are cut to: that of the exported tokenizer, or of the task."""
    lengths = [split.max_length for split in facts.task.loaded.values() if isinstance(split, TextSplit)]
    file = facts.folder / TOKENIZER_CONFIG
    if lengths and file.exists():
        lengths.append(json.loads(file.read_text(encoding="utf-8")).get("model_max_length", lengths[0]))
    return min(lengths, default=None)


def _text_code(facts: CardFacts) -> str:
    length, loaded = max_length(facts), next(iter(facts.task.loaded.values()), None)
    if length is None:
        return ""
    if isinstance(loaded, TaggedWords):
        return TAG_WORDS.format(max_length=length)
    if isinstance(loaded, QuestionSplit) and isinstance(facts.task.readout, AnswerReadout):
        return answering_code(loaded, facts.task.readout, length)
    is_pair = isinstance(loaded, TextSplit) and len(loaded.texts[0]) == 2
    result = {
        "regression": "print(logits.item())",
        "multilabel": "print([model.config.id2label[i] for i in (logits[0] > CUT).nonzero().flatten().tolist()])",
    }.get(facts.task.kind, "print(model.config.id2label[logits.argmax().item()])")
    result = result.replace("CUT", f"{facts.record.results[-1].cut:g}")
    texts = '"The first text.", "The second text."' if is_pair else '"A text."'
    return CLASSIFY_TEXT.format(texts=texts, max_length=length, result=result)


def _image_code(facts: CardFacts) -> str:
    task = with_defaults(facts.recipe["task"])
    if task["use"] == "digits":
        return DIGITS
    if facts.task.hub_type == "object-detection":
        return DETECT
    steps = transform_steps(task)
    attribute = ".logits" if facts.is_transformers else '["out"]' if facts.task.kind == "segmentation" else ""
    return "" if steps is None else TRANSFORM.format(
        steps="\n".join(f"        {step}," for step in steps), attribute=attribute
    )  # fmt: skip


def transform_steps(task: Mapping[str, Any]) -> list[str] | None:
    """Return the transforms of a scored image as calls of torchvision; None if one of them is not torchvision's."""
    if "mean" not in task or "std" not in task:
        return None
    transforms = [_transform(call) for call in task.get("eval_transforms", [])]
    if None in transforms:
        return None
    normalize = [step.format(mean=task["mean"], std=task["std"]) for step in NORMALIZE]
    return [*filter(None, transforms), *normalize]


def _transform(call: Any) -> str | None:
    use, arguments = (call["use"], {**call}) if isinstance(call, Mapping) else (call, {})
    arguments.pop("use", None)
    if use == SHORTER_SIDE and set(arguments) == {"min_size"}:
        use, arguments = "Resize", {"size": arguments["min_size"]}
    name = str(use).removeprefix("torchvision.transforms.v2.")
    is_simple = all(isinstance(value, bool | int | float | str | None | Sequence) for value in arguments.values())
    return f"v2.{name}({arguments_text(arguments)})" if "." not in name and is_simple else None


def _state_dict_code(facts: CardFacts) -> str:
    """Return the lines that load a model that is not of transformers, with the code beside it or its own package."""
    model = facts.recipe["model"]
    while model["use"] == "pretrained":  # the run's weights replace those it started from
        model = model["model"] if isinstance(model["model"], Mapping) else {"use": model["model"]}
    module, _, function = str(model["use"]).rpartition(".")
    code = next(facts.folder.glob("*.py"), None)
    module = module or (code.stem if code else module_of(function, "model").__name__)
    arguments = arguments_text({name: value for name, value in model.items() if name != "use"})
    return STATE_DICT.format(module=module, function=function, arguments=arguments)


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Return keyword arguments as Python code."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
