"""Make a run's folder useful without this project: configuration and tokenizer beside the weights, and a model card."""

import copy
import inspect
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from tabulate import tabulate
from torch import nn

from harness.records.record import Record
from zoo.recipes.names import module_of
from zoo.safe_text import markdown
from zoo.tasks.base import Task
from zoo.text_tables import number
from zoo.trusted_code import STANDALONE_FILES, comes_from

CARD, CONFIG = "README.md", "config.json"
PROBLEM_TYPES = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
"""The names of transformers for the kinds of tasks."""
FROM_PRETRAINED = """\
```python
from transformers import {imports}

model = {model}.from_pretrained("."){tokenizer}
```"""
LOAD_TOKENIZER, TOKENIZER_CONFIG = '\ntokenizer = AutoTokenizer.from_pretrained(".")', "tokenizer_config.json"
STATE_DICT = """\
```python
from safetensors.torch import load_file
from {module} import {function}

model = {function}({arguments})
model.load_state_dict(load_file("model.safetensors"))
```"""


def export(model: nn.Module, task: Task, tokenizer: Any, folder: Path) -> None:
    """Write the files into a run's folder that load the model without this project.

    For a model of transformers, these are the configuration, with the classes of the task, and the tokenizer, which
    `from_pretrained` reads. For another model of this project it is the file with its code, which imports only torch.

    Args:
        model: The trained model.
        task: The task that it was trained for.
        tokenizer: The recipe's tokenizer, or None.
        folder: The run's folder.
    """
    if not hasattr(getattr(model, "config", None), "save_pretrained"):
        if comes_from(model, STANDALONE_FILES):
            shutil.copy(str(inspect.getsourcefile(type(model))), folder)
        return
    config: Any = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    names = task.class_names or [f"LABEL_{number}" for number in range(config.num_labels)]
    if len(names) == config.num_labels:  # the names of a model that the training started from are wrong now
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = PROBLEM_TYPES[task.kind]
    config.save_pretrained(folder)
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(folder)


def model_card(record: Record, folder: Path) -> str:
    """Return the README.md of a training run: metadata for the Hub, scores, how it was trained, and how to load it."""
    has_tokenizer = (folder / TOKENIZER_CONFIG).exists()
    recipe, identity = record.recipe, record.identity
    task = recipe["task"]["use"]
    results = [
        EvalResult(
            task_type=_task_type(task, reads_texts=has_tokenizer),
            dataset_type=task,
            dataset_name=task,
            dataset_split=result.split,
            metric_type=metric,
            metric_name=f"{metric}, {result.selection} epoch",
            metric_value=score["value"],
        )
        for result in record.results
        for metric, score in result.metrics.items()
    ]
    data = ModelCardData(model_name=recipe["name"], tags=["zoo-reproduce"], eval_results=results)
    rows = [[markdown(r.dataset_split), markdown(r.metric_name), number(r.metric_value)] for r in results]
    table = tabulate(rows, headers=["split", "metric", "value"], tablefmt="github", disable_numparse=True)
    if (folder / CONFIG).exists():
        model = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["architectures"][0]
        imports = f"AutoTokenizer, {model}" if has_tokenizer else model
        load = FROM_PRETRAINED.format(imports=imports, model=model, tokenizer=LOAD_TOKENIZER if has_tokenizer else "")
    else:
        load = _loading_code(recipe["model"], folder)
    selected = record.results[-1].selection
    return f"""\
---
{data.to_yaml().strip()}
---

# {markdown(recipe["name"])}

Trained by `zoo train` from [recipe.yaml](recipe.yaml), seed {identity.seed}, on `{task}`. [record.json](record.json)
lists the inputs with their checksums, the environment and the scores; its key is `{identity.key}`. The weights are
those of the {selected} epoch.

{table}

## How to load it

{load}
"""


def _task_type(task: str, *, reads_texts: bool) -> str:
    """Return the Hub's name for the type of a task."""
    if reads_texts:
        return "text-classification"
    return "image-segmentation" if task.endswith("segmentation") else "image-classification"


def _loading_code(model: Mapping[str, Any], folder: Path) -> str:
    """Return the lines that load a model that is not of transformers, with the code beside it or its own package."""
    while model["use"] == "pretrained":  # the run's weights replace those it started from
        model = model["model"] if isinstance(model["model"], Mapping) else {"use": model["model"]}
    module, _, function = str(model["use"]).rpartition(".")
    code = next(folder.glob("*.py"), None)
    arguments = ", ".join(f"{name}={value!r}" for name, value in model.items() if name != "use")
    module = module or (code.stem if code else module_of(function, "model").__name__)
    return STATE_DICT.format(module=module, function=function, arguments=arguments)
