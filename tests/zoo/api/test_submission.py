"""A GLUE submission from Python, with data in a local folder."""

from pathlib import Path
from zipfile import ZipFile

import pytest

import zoo
from tests.helpers.glue_hub import ROWS, glue_data
from tests.helpers.project import Write

RTE = """\
name: my-rte
task: {use: glue, name: rte, data: "file:glue"}
tokenizer: {use: wordpiece, vocab: "embedded:entail-vocab.txt"}
model: {use: bert_classifier, layers: 1, hidden: 16, heads: 2, intermediate: 32, vocab_size: 70, num_labels: 2}
stages:
  - {epochs: 1, batch_size: 8, optimizer: {use: AdamW, lr: 1e-3}, criterion: {ce: {loss: CrossEntropy}}}
"""


@pytest.fixture(autouse=True)
def glue_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with data in the layout of the Hub in `glue`."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name, data in glue_data().items():
        if name.startswith("rte/") or name == "README.md":
            (tmp_path / "glue" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "glue" / name).write_bytes(data)
    return tmp_path / "glue"


def test_the_run_of_a_training_predicts_the_hidden_labels(recipe_file: Write) -> None:
    zoo.train(str(recipe_file(RTE)), out="run")
    submission = zoo.submit("run", out="submission")
    with ZipFile(submission.path) as archive:
        assert len(archive.read("RTE.tsv").splitlines()) == 1 + ROWS["test"]
    wrong = [problem for problem in submission.problems if not problem.endswith(": missing")]
    assert wrong == [f"RTE.tsv: {ROWS['test']} rows after the header, expected 3000"]
    assert len(submission.problems) == 11


def test_a_local_folder_without_the_configuration_is_reported(recipe_file: Write, glue_folder: Path) -> None:
    (glue_folder / "rte").rename(glue_folder / "rtee")
    (glue_folder / "README.md").unlink()
    with pytest.raises(zoo.SourceError, match="glue has no configuration 'rte'; did you mean rtee"):
        zoo.train(str(recipe_file(RTE)))


def test_a_model_without_weights_cannot_predict(recipe_file: Write) -> None:
    with pytest.raises(zoo.UsageError, match="my-rte has no published weights to predict with"):
        zoo.submit(str(recipe_file(RTE)), out="submission")
