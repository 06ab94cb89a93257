"""What makes a run's folder useful without this project: configuration and tokenizer beside the weights, and a card."""

import copy
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from tabulate import tabulate
from torch import nn

from harness.record import Record
from zoo.tasks.base import Task

CARD, CONFIG = "README.md", "config.json"
FROM_PRETRAINED = """\
```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
```"""
STATE_DICT = """\
`model.safetensors` is the state dict of `{model}`:

```python
from safetensors.torch import load_file

model.load_state_dict(load_file("model.safetensors"))
```"""


def export(model: nn.Module, task: Task, tokenizer: Any, folder: Path) -> None:
    """Write what `from_pretrained` reads beside the weights of a model of transformers; nothing for any other.

    The configuration names the classes of the task.
    """
    if not hasattr(getattr(model, "config", None), "save_pretrained"):
        return
    config: Any = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    if len(task.label_names) == config.num_labels:
        config.id2label = dict(enumerate(task.label_names))
        config.label2id = {name: number for number, name in enumerate(task.label_names)}
    config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
    config.save_pretrained(folder)
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(folder)


def model_card(record: Record, *, pretrained: bool) -> str:
    """The README.md of a run's folder: metadata as the Hub reads it, scores, how it was made, and how to load it."""
    recipe, identity = record.recipe, record.identity
    task = recipe["task"]["use"]
    results = [
        EvalResult(
            task_type="text-classification" if pretrained else "image-classification",
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
    rows = [
        [r.dataset_split, r.metric_name, "-" if r.metric_value is None else f"{r.metric_value:.4f}"] for r in results
    ]
    table = tabulate(rows, headers=["split", "metric", "value"], tablefmt="github", disable_numparse=True)
    load = FROM_PRETRAINED if pretrained else STATE_DICT.format(model=recipe["model"]["use"])
    return f"""\
---
{data.to_yaml().strip()}
---

# {recipe["name"]}

Trained by `zoo train` from [recipe.yaml](recipe.yaml), seed {identity.seed}, on `{task}`. [record.json](record.json)
tells what was computed, from which bytes and where; its key is `{identity.key}`.

{table}

## Load it

{load}
"""
