"""Published GLUE models: how they are loaded, what is refused, and whether their classes are in the expected order."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertTokenizer

from harness.records.arrays import read_arrays
from tests.helpers.device import device
from tests.helpers.glue_hub import (
    SIZES,
    VOCABULARY,
    WriteGlueRecipe,
    classifier,
    glue_data,
    messages,
    parquet,
    pickled,
    results,
    write_files,
)
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from zoo.models.published import published_classifier

MRPC = "yoshitomo-matsubara/bert-base-uncased-mrpc"
WEIGHTS = f"weights: hub:{MRPC}"
Files = dict[str, bytes]


def state_of(files: Files) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(io.BytesIO(files["pytorch_model.bin"]), weights_only=True)
    return state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["fp32", "fp16"])
def test_a_model_of_2021_gives_the_logits_of_plain_transformers(dtype: torch.dtype, tmp_path: Path) -> None:
    """A pickle with `LayerNorm.gamma`, `LayerNorm.beta` and `position_ids`; `vocab.txt` is the only tokenizer file."""
    files = classifier("base", 2, seed=3)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state_of(files).items()}
    folder = write_files(tmp_path / "model", {**files, "pytorch_model.bin": pickled(state)})
    ours = published_classifier(folder, "pytorch_model.bin", {"num_labels": 2}).eval()
    plain = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = BertTokenizer.from_pretrained(folder)("the old cat", "a new dog", return_tensors="pt")
    assert next(ours.parameters()).dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(ours(**inputs).logits, plain(**inputs).logits)
    layer = "bert.encoder.layer.0.output.LayerNorm."
    assert torch.equal(dict(ours.named_parameters())[f"{layer}weight"], state[f"{layer}gamma"].float())


class RunsACommand:
    """An object whose pickle runs a command when it is loaded without care."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch executed",)


REFUSED: dict[str, Callable[[Files], Files]] = {
    "a malicious pickle": lambda files: {**files, "pytorch_model.bin": pickled({"classifier.weight": RunsACommand()})},
    "no head": lambda files: {
        **files, "pytorch_model.bin": pickled({n: v for n, v in state_of(files).items() if "classifier" not in n}),
    },
    "another number of outputs": lambda files: {**files, **classifier("base", 3, seed=1)},
    "half a file": lambda files: {**files, "pytorch_model.bin": files["pytorch_model.bin"][:1000]},
    "custom code": lambda files: {
        **files, "config.json": files["config.json"].replace(
            b'"model_type": "bert"', b'"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}'
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_a_model_that_cannot_be_trusted_is_not_scored(
    change: Callable[[Files], Files], glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe, tmp_path: Path
) -> None:
    glue_hub.add("models", "someone/odd", change(classifier("base", 2, seed=1)))
    completed = glue("reproduce", glue_recipe("odd", (WEIGHTS, "weights: hub:someone/odd")), "--device", device())
    assert completed.code == 5, completed.err
    assert len(messages(completed)) == 1, completed.err
    assert "not-run" in completed.out
    assert not Path("executed").exists()
    assert not list(tmp_path.rglob("record.json"))


def test_a_model_that_names_its_classes_in_another_order_is_scored_by_name(
    glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    files, predictions = classifier("base", 2, seed=1), {}
    for name, classes in (("unnamed", None), ("swapped", ("Equivalent", "not_equivalent")), ("other", ("yes", "nay"))):
        settings = json.loads(files["config.json"])
        settings |= (
            {"id2label": dict(enumerate(classes))} if classes else {"auto_map": {"AutoModel": "evil/code--mod.M"}}
        )
        glue_hub.add("models", f"someone/{name}", {**files, "config.json": json.dumps(settings).encode()})
        recipe = glue_recipe(name, (WEIGHTS, f"weights: hub:someone/{name}"))
        completed = glue("reproduce", recipe, "--json", "--device", device())
        (entry,) = results(completed).values()
        if name == "other":
            message = "the model has yes, nay; the task has not_equivalent, equivalent"
            assert (completed.code, message in str(entry["error"])) == (2, True), completed.err
            continue
        record = Path(entry["records"][0])
        predictions[name] = read_arrays(record.with_name("predictions-validation.npz"))["predictions"].tolist()
        note = "config.json names code of the repository for this architecture; zoo uses transformers' own"
        assert (f"note: hub:someone/{name}: {note}" in completed.err) == (name == "unnamed")
        order = (
            "label order: the model and the task are taken to have their classes in the same order, since the model"
            " does not name them: LABEL_0, LABEL_1 for not_equivalent, equivalent"
        )
        noted = [finding for finding in entry["findings"] if not finding.startswith("chance level")]
        assert noted == ([f"weights: {note}", order] if name == "unnamed" else [])
    assert predictions["swapped"] == [1 - prediction for prediction in predictions["unnamed"]]


def test_predictions_that_speak_for_another_order_are_reported(
    glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    """A published model with the names LABEL_0 and LABEL_1, scored on rows that have the class it does not predict."""
    files, name = glue_data(), "mrpc/validation-00000-of-00001.parquet"
    table = pq.read_table(io.BytesIO(files[name])).to_pydict()
    rows: dict[str, list[Any]] = {column: values * 20 for column, values in table.items()}
    glue_hub.add("models", "someone/other-order", classifier("base", 2, seed=1))

    def reproduce(data: str) -> dict[str, Any]:
        glue_hub.add("datasets", f"someone/{data}", {**files, name: parquet(rows, labels=pa.int64())})
        recipe = glue_recipe(
            data,
            (WEIGHTS, "weights: hub:someone/other-order"),
            ("hub:datasets/nyu-mll/glue", f"hub:datasets/someone/{data}"),
        )
        (entry,) = results(glue("reproduce", recipe, "--json", "--device", device())).values()
        return entry

    record = Path(reproduce("any")["records"][0])
    rows["label"] = (1 - read_arrays(record.with_name("predictions-validation.npz"))["predictions"]).tolist()
    entry = reproduce("opposite")
    assert next(claim["measured"] for claim in entry["claims"] if claim["metric"] == "accuracy") == 0.0
    _, finding = entry["findings"]
    assert "if not_equivalent is equivalent, equivalent is not_equivalent" in finding


def test_a_student_keeps_the_layers_that_its_recipe_names(glue: Zoo, glue_recipe: WriteGlueRecipe) -> None:
    large, outputs = "bert-large-uncased-mrpc", "num_labels: 2}"
    assert SIZES["large"]["num_hidden_layers"] == 3
    fewer = glue_recipe("fewer", (outputs, "num_labels: 2, layers: [0, 2]}"), entry=large)
    completed = glue("train", fewer, "--out", "fewer", "--device", device())
    assert completed.code == 0, completed.err
    assert json.loads(Path("fewer/config.json").read_text())["num_hidden_layers"] == 2
    more = glue_recipe("more", (outputs, "num_labels: 2, layers: [0, 3]}"), entry=large)
    assert "layers must be numbers from 0 to 2, not [0, 3]" in glue("train", more, "--device", device()).err


def test_a_tokenizer_with_more_tokens_than_the_model_is_an_error(
    glue: Zoo, glue_hub: LocalHub, glue_recipe: WriteGlueRecipe
) -> None:
    words = [*VOCABULARY[:5], *(f"word{i}" for i in range(60)), *VOCABULARY[5:]]
    glue_hub.add("models", "someone/wordy", {**classifier("base", 2, seed=1), "vocab.txt": "\n".join(words).encode()})
    completed = glue("submit", glue_recipe("wordy", (f"of: hub:{MRPC}", "of: hub:someone/wordy")), "--out", "out")
    assert (completed.code, len(messages(completed))) == (2, 1)
    assert "tokens, but the model's embedding has 27 rows" in completed.err
