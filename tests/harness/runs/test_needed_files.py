"""The files that a recipe names: copied into the folder of its run, or listed in its model card."""

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

from harness.records.arrays import read_arrays
from harness.records.record import read_record
from harness.runs.needed_files import MOST_BYTES, NeededFiles, copy_needed_files
from tests.helpers.project import TINY, Write, Zoo
from zoo.recipes import catalogue

TEXTS = """\
name: NAME
task:
  use: text_classification
  data: {train: "file:rows.csv", validation: "file:rows.csv"}
  text: text
  max_length: 50
tokenizer: {use: wordpiece, vocab: "file:VOCABULARY"}
model: {use: bert_classifier, layers: 1, hidden: 8, heads: 2, intermediate: 8, vocab_size: 9, num_labels: 2,
        max_length: 12}
stages:
  - epochs: 1
    batch_size: 4
    optimizer: {use: AdamW, lr: 0.1}
    TEACHER
    criterion: {ce: {loss: LOSS}}
claims:
  - {of: retrain, split: validation, metric: accuracy, value: 0.5, decimals: 6, source: an example}
"""
TEACHER = (("NAME", "teacher"), ("VOCABULARY", "../words/vocab.txt"), ("    TEACHER\n", ""), ("LOSS", "CrossEntropy"))
STUDENT = (("NAME", "tiny"), ("VOCABULARY", "words/vocab.txt"), ("TEACHER", "teacher: {run: teachers/teacher.yaml}"),
           ("LOSS", "KL"))  # fmt: skip


TAKEN = "another file of the run has this name; rename it, also in the recipe"
ROWS = {"a b": "no", "c d": "yes", "a a c": "no", "d": "yes"}


def test_the_folder_of_a_run_trains_it_again_and_its_code_predicts_what_zoo_measured(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the data have to be added: the recipe of the teacher and the vocabulary are copied."""
    for folder in ("teachers", "words"):
        Path(folder).mkdir()
    Path("words/vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"]))
    Path("rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS.items()))
    recipe_file(TEXTS, *TEACHER, name="teachers/teacher.yaml")
    completed = zoo("train", recipe_file(TEXTS, *STUDENT), "--out", "run")
    assert completed.code == 0, completed.err
    assert re.search(r"accuracy  +\d\.\d{6} ", completed.out)
    assert zoo("train", "tiny.yaml", "--out", "run", "--fresh").code == 0, "the copies are files of the run"
    card = Path("run/README.md").read_text()
    assert re.search(r"\| \d\.\d{6} ", card)
    assert re.findall("^- .*$", card.split("```sh")[1], re.MULTILINE) == ["- `rows.csv`"]
    assert {"teachers/teacher.yaml", "words/vocab.txt"} <= set(read_record(Path("run/record.json")).files)

    shutil.copytree("run", "copy")
    shutil.copy("rows.csv", "copy")
    weights = Path("run/model.safetensors").read_bytes()
    for name in ("run", "teachers", "words"):
        Path(name).rename(f"moved-{name}")
    monkeypatch.setenv("ZOO_HOME", str(Path.cwd() / "other"))
    monkeypatch.chdir("copy")
    _, *command = shlex.split(card.split("```sh\n")[1].split("```")[0])
    again = zoo(*command, "--out", "again")
    assert again.code == 0, again.err
    assert Path("again/model.safetensors").read_bytes() == weights

    code = card.split("```python\n")[1].split("```")[0]
    assert "max_length=12" in code
    assert "cut to 12 tokens" in card
    measured = read_arrays(Path("predictions-validation.npz"))["logits"]
    for text, expected in zip([*ROWS, "a " * 40], [*measured, None], strict=True):
        Path("code.py").write_text(code.replace("A text.", text))
        logits = runpy.run_path("code.py")["logits"][0]
        assert expected is None or logits.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_only_small_visible_files_below_the_folder_of_a_recipe_are_copied(
    recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose recipe names another file is no failure: its model card lists the file."""
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]")
    for hidden in (".netrc", ".ssh/key"):
        (tmp_path / "inside" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "inside" / hidden).write_text("[UNK]")
    (tmp_path / "inside" / "large.txt").write_bytes(bytes(MOST_BYTES + 1))
    (tmp_path / "inside" / "linked.txt").symlink_to(tmp_path / "vocab.txt")
    (tmp_path / "inside" / "record.json").write_text("{}")
    (tmp_path / "inside" / "taken.txt").write_text("[UNK]")
    tokenizer = "tokenizer: {use: wordpiece, vocab: file:VOCABULARY}"
    text = TINY.replace("task: digits", f"task: {{use: image_folder, data: data:flowers}}\n{tokenizer}")
    text = text.replace("    criterion:", "    teacher: {run: absent.yaml}\n    criterion:")
    run = tmp_path / "run"
    run.mkdir()
    (run / "taken.txt").write_text("another")
    (tmp_path / "inside" / "kept.txt").write_text("[UNK]")
    names = (
        "kept.txt", "large.txt", "linked.txt", "record.json", "taken.txt", "../vocab.txt", "/absolute.txt", "lost",
        "vocab.txt", ".netrc", ".ssh/key",
    )  # fmt: skip
    for name in names:
        path = recipe_file(text.replace("VOCABULARY", name), name="inside/a.yaml")
        needed = copy_needed_files(catalogue.local(path), run, reserved=("record.json",))
        missing = {} if name == "kept.txt" else {name: TAKEN if name in ("record.json", "taken.txt") else ""}
        assert needed == NeededFiles(missing={**missing, "absent.yaml": ""}, data=("flowers",))
    assert sorted(path.name for path in run.iterdir()) == ["kept.txt", "taken.txt"]
