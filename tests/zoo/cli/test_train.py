"""train and evaluate."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.api.session import Session
from zoo.tasks import digits


def test_train_does_not_write_into_a_folder_with_other_files(zoo: Zoo, recipe_file: Write) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    completed = zoo("train", recipe_file(), "--out", "mine")
    assert (completed.code, completed.err) == (2, "mine exists and is not empty; --out needs a new folder\n")


def test_a_finished_training_is_not_repeated_and_says_how_to_train_another(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file()
    first = [json.loads(zoo("train", path, *out, "--json").out) for out in ((), ("--out", "mine"))]
    assert first[0]["results"] == first[1]["results"]
    assert [data["existed"] for data in first] == [False, False]
    monkeypatch.setattr(Session, "experiment", None)  # the run cache answers
    for out, data in zip(((), ("--out", "mine")), first, strict=True):
        again = zoo("train", path, *out)
        assert (again.code, again.err) == (0, "")
        made = data["created"].replace("T", " ").replace("Z", " UTC")
        assert again.out.startswith(f"tiny: the run with seed 0 exists, made at {made}; nothing was trained.")
        assert f"record: {data['record']}\nnext: zoo train {path} --seed 1" in again.out
    assert again.out.endswith("--out mine-seed1\n")
    monkeypatch.undo()


def test_scores_at_chance_level_are_noted_by_train_and_evaluate(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace("lr: 0.1", "lr: 0.0"))
    trained, scored = zoo("train", path, "--out", "run"), zoo("evaluate", "run", "--as", path)
    for completed in (trained, scored):
        assert "\nnote: chance level: " in completed.out
    (finding,) = json.loads(Path("run/record.json").read_text())["findings"]
    assert json.loads(zoo("evaluate", "run", "--as", path, "--json").out)["findings"] == [finding]


def test_an_undefined_score_never_wins_the_selection_of_the_best_epoch(zoo: Zoo, recipe_file: Write) -> None:
    Path("odd_metrics.py").write_text("def odd(predictions, labels):\n    return float('nan')\n")
    best = "    selection: best\n    criterion"
    text = recipe_file().read_text().replace("epochs: 1", "epochs: 2").replace("    criterion", best)
    path = recipe_file(text.replace("stages:", "metrics: [{use: odd_metrics.odd}]\nstages:"))
    completed = zoo("train", path, "--trust", "odd_metrics", "--out", "out")
    assert completed.code == 0, completed.err
    assert "odd on test is not defined in epoch 1" in completed.err


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".npz"])
def test_a_users_predictions_are_scored_on_an_entrys_task(ending: str, zoo: Zoo) -> None:
    labels = digits().load("test").labels.numpy()
    predictions = labels.copy()
    predictions[:9] = (predictions[:9] + 1) % 10
    path = Path(f"mine{ending}")
    if ending == ".npz":
        np.savez(path, predictions=predictions)
    else:
        rows = [{"id": i, "prediction": int(p)} for i, p in enumerate(predictions)][::-1]
        lines = [json.dumps(row) for row in rows]
        if ending != ".jsonl":
            separator = "\t" if ending == ".tsv" else ","
            lines = [separator.join(("id", "prediction")), *(separator.join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    completed = zoo("evaluate", path, "--as", "digits-resnet8", "--json")
    assert completed.code == 0, completed.err
    (result,) = json.loads(completed.out)["results"]
    assert result["measured"] == pytest.approx(1 - 9 / 898)
    assert (result["n"], result["claimed"]) == (898, 0.9788419)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prediction\n1\n2\n", "2 predictions for 898 examples"),
        ("guess\n1\n", "no column 'prediction'"),
        ("id,prediction\n" + "".join(f"{i},1\n" for i in range(1, 899)), "0 is missing"),
        ("prediction\n" + "1.5\n" * 898, "mine.csv: row 0: '1.5' is not one of the classes"),
        ("prediction\n" + "nine\n" * 898, "'nine'"),
        ("prediction\n" + "\n" * 898, "predictions"),
    ],
)
def test_predictions_that_do_not_fit_are_exit_2(content: str, message: str, zoo: Zoo) -> None:
    Path("mine.csv").write_text(content)
    completed = zoo("evaluate", "mine.csv", "--as", "digits-resnet8")
    assert completed.code == 2
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_a_users_weights_are_scored_and_weights_of_another_model_are_refused(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    for path in ("run", "run/model.safetensors"):
        assert zoo("evaluate", path, "--as", recipe_file()).code == 0
    completed = zoo("evaluate", "run", "--as", "digits-resnet8")
    assert completed.code == 2
    assert "do not fit the model" in completed.err
    Path("junk.safetensors").write_bytes(b"junk")
    assert zoo("evaluate", "junk.safetensors", "--as", "digits-resnet8").code == 2


def test_a_text_model_evaluated_on_images_is_exit_2_and_one_line(zoo: Zoo) -> None:
    Path("train.csv").write_text("title,body,stars\nold,dog,bad\nnew,dog,good\n")
    Path("validation.jsonl").write_text('{"title": "a", "body": "b", "stars": "bad"}\n')
    completed = zoo("train", ROOT / "tests" / "recipes" / "reviews.yaml", "--out", "run")
    assert completed.code == 0, completed.err
    completed = zoo("evaluate", "run", "--as", "digits-resnet8")
    assert (completed.code, len(completed.lines)) == (2, 1)


def test_fresh_trains_a_run_again_and_refuses_to_lose_anything_else(zoo: Zoo, recipe_file: Write) -> None:
    path, log = recipe_file(), Path("mine/log.jsonl")
    first = json.loads(zoo("train", path, "--out", "mine", "--json").out)
    again = zoo("train", path, "--out", "mine", "--score-epochs")
    assert "--score-epochs has no effect on 1 run that exists" in again.err and '"scores"' not in log.read_text()
    score = f"{first['results'][0]['metrics']['accuracy']:.4f}"
    fresh = zoo("train", path, "--out", "mine", "--score-epochs", "--fresh", "--json")
    assert f"it is replaced once the new run is complete: accuracy on test {score}\n" in fresh.err
    assert json.loads(fresh.out)["results"] == first["results"] and not json.loads(fresh.out)["existed"]
    assert '"scores"' in log.read_text()
    assert "--score-epochs" not in zoo("train", path, "--out", "mine", "--score-epochs").err
    kept = Path("mine/notes.txt")
    kept.touch()
    for words, message in ((("--seed", "1"), "another seed"), ((), "did not write all of it (notes.txt)")):
        refused = zoo("train", path, "--out", "mine", "--fresh", *words)
        assert (refused.code, message in refused.err, kept.exists()) == (2, True, True)
    kept.unlink()
    Path("mine/record.json").write_text("{}")
    assert zoo("train", path, "--out", "mine").code == 2
    refused = zoo("train", path, "--out", "mine", "--fresh")
    assert (refused.code, "cannot be read" in refused.err, log.exists()) == (2, True, True)
    completed = json.loads(zoo("train", path, "--json", "--records", "runs").out)
    Path(completed["record"]).write_text("{}")
    assert zoo("train", path, "--records", "runs", "--fresh").code == 0
