"""Runs with unchanged inputs are not repeated: inputs are compared by size and time, then content, then identity."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import BertTokenizer

from harness.runs import cache, reproduce
from harness.runs.experiment import Experiment
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.recipes.catalogue import Entry

WEIGHTS = f"file:{ROOT}/zoo/starter/digits-resnet8.safetensors"
RECIPE = f"""\
name: mine
task: digits
model: {{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}}
weights: {WEIGHTS}
claims:
  - {{of: weights, split: test, metric: accuracy, value: 0.9788, decimals: 4, source: mine}}
"""


TEXT_RECIPE = """\
name: mine
task: entailment
tokenizer: {use: published, of: "TOKENIZER"}
model: {use: bert_classifier, layers: 2, hidden: 32, heads: 8, intermediate: 64, vocab_size: 70, num_labels: 3}
weights: embedded:entail-bert-l2h32.safetensors
claims:
  - {of: weights, split: test, metric: accuracy, value: 0.8008333, decimals: 7, source: mine}
"""


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the entries that were not found in the run cache."""
    names: list[str] = []
    prepare = reproduce.prepare

    def counted(entry: Entry, *arguments: Any) -> Experiment:
        names.append(entry.name)
        return prepare(entry, *arguments)

    monkeypatch.setattr(reproduce, "prepare", counted)
    return names


def created(out: str) -> list[str]:
    """Return when the runs were made that the JSON output of a verification names."""
    records = [Path(path) for entry in json.loads(out)["entries"] for path in entry["records"]]
    return [f"{path.stat().st_mtime_ns} {json.loads(path.read_text())['created']}" for path in records]


def test_a_second_verification_loads_neither_torch_nor_scipy_stats(
    zoo: Zoo, zoo_process: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("digits-resnet8", "entail-bert-l2h32")
    first = zoo("verify", *names, "--json")
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "heavy = ('torch', 'scipy.stats', 'sklearn', 'transformers', 'datasets', 'pandas')\n"
        "atexit.register(lambda: print('loaded', [m for m in heavy if m in sys.modules], file=sys.stderr))\n"
    )
    again = zoo_process("verify", *names, "--json", root=f"{ROOT}{os.pathsep}{tmp_path}")
    assert (first.code, again.code, again.err) == (0, 0, "loaded []\n")
    assert json.loads(again.out) == json.loads(first.out)


def test_a_value_that_is_no_share_is_reported_before_the_evaluation_which_is_recorded(
    zoo: Zoo, recipe_file: Write
) -> None:
    path = recipe_file(RECIPE, ("value: 0.9788", "value: 0.5123"))
    done = zoo("verify", path, "--json")
    assert "accuracy on test: 0.5123 is no share of 898 examples, so it cannot be compared" in done.err
    (claim,) = json.loads(done.out)["entries"][0]["claims"]
    assert (claim["verdict"], round(claim["measured"], 4)) == ("not-compared", 0.9788)


def test_a_second_training_comes_from_the_cache(zoo: Zoo, recipe_file: Write, prepared: list[str]) -> None:
    path = recipe_file(
        TINY + "claims: [{of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.2, source: x}]"
    )
    first = zoo("verify", path, "--train", "--seeds", "2", "--json")
    assert prepared == ["tiny"]
    again = zoo("verify", path, "--train", "--seeds", "2", "--json")
    assert (prepared, again.out) == (["tiny"], first.out)
    more = zoo("verify", path, "--train", "--seeds", "3", "--json")
    assert prepared == ["tiny", "tiny"]
    assert created(more.out)[:2] == created(first.out)


@pytest.mark.parametrize("changed", ["tokenizer.json", "added_tokens.json"])
def test_a_changed_or_new_file_of_a_local_tokenizer_is_another_run(
    changed: str, zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "tokenizer"
    BertTokenizer(vocab=str(ROOT / "zoo/starter/entail-vocab.txt"), do_lower_case=False).save_pretrained(folder)
    path = recipe_file(TEXT_RECIPE, ("TOKENIZER", f"file:{folder}"))
    first = zoo("verify", path, "--json")
    assert created(zoo("verify", path, "--json").out) == created(first.out)
    file = folder / changed
    for other in ("README.md", "trainer_state.json", "events.out.tfevents.1.host", "tf_model.h5", "rust_model.ot"):
        (folder / other).write_text("{}")  # no file of a tokenizer
    assert created(zoo("verify", path, "--json").out) == created(first.out)
    file.write_text((file.read_text() if file.exists() else "{}") + "\n")
    again = zoo("verify", path, "--json")
    assert again.code == first.code == 0
    assert set(created(again.out)).isdisjoint(created(first.out))


def test_a_file_with_a_new_time_and_the_same_content_is_unchanged(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, prepared: list[str]
) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(Path(WEIGHTS.removeprefix("file:")).read_bytes())
    path = recipe_file(RECIPE, (WEIGHTS, f"file:{copy}"))
    first = zoo("verify", path, "--json")
    assert (first.code, prepared) == (0, ["mine"])
    os.utime(copy, (1, 1))
    assert zoo("verify", path, "--json").out == first.out
    assert prepared == ["mine"]


@pytest.mark.parametrize("changed", ["weights", "recipe", "conditions", "code", "run gone"])
def test_a_change_is_noticed_and_runs_again_only_if_it_makes_another_run(
    changed: str, zoo: Zoo, recipe_file: Write, tmp_path: Path, prepared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(Path(WEIGHTS.removeprefix("file:")).read_bytes())
    text = RECIPE.replace(WEIGHTS, f"file:{copy}")
    first = zoo("verify", recipe_file(text), "--json")
    before, arguments = created(first.out), list[str]()
    if changed == "weights":
        data = bytearray(copy.read_bytes())
        data[-1] ^= 1
        copy.write_bytes(data)
    elif changed == "recipe":
        text = text.replace("task: digits\n", "task: digits\nmetrics: [accuracy, {use: f1, average: macro}]\n")
    elif changed == "conditions":
        arguments = ["--precision", "bf16"]
    elif changed == "code":
        monkeypatch.setattr(cache, "project_code_digest", lambda: "another comment")
    else:
        shutil.rmtree(Path(json.loads(first.out)["entries"][0]["records"][0]).parent)
    again = zoo("verify", recipe_file(text), "--json", *arguments)
    assert again.code == 0
    assert prepared == ["mine", "mine"]
    assert (created(again.out) == before) == (changed == "code")  # a changed comment does not make another run


def test_a_relative_source_is_relative_to_the_working_directory(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders hold the same recipe, and different weights with the same name."""
    accuracies = []
    for name in ("digits-resnet8", "digits-resnet8_from_digits-resnet14"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(ROOT / "zoo" / "starter" / f"{name}.safetensors", folder / "w.safetensors")
        (folder / "mine.yaml").write_text(RECIPE.replace(WEIGHTS, "file:w.safetensors"))
        monkeypatch.chdir(folder)
        accuracies.append(json.loads(zoo("verify", "mine.yaml", "--json").out)["entries"][0]["claims"][0]["measured"])
    assert accuracies[0] != accuracies[1]


def test_a_file_that_changes_while_a_run_is_made_is_noticed(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, prepared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(Path(WEIGHTS.removeprefix("file:")).read_bytes())
    path = recipe_file(RECIPE.replace(WEIGHTS, f"file:{copy}"))
    published_model = Experiment.published_model

    def changed(experiment: Experiment) -> Any:
        loaded = published_model(experiment)
        shutil.copy(ROOT / "zoo/starter/digits-resnet8_from_digits-resnet14.safetensors", copy)
        return loaded

    monkeypatch.setattr(Experiment, "published_model", changed)
    zoo("verify", path)
    zoo("verify", path)
    assert prepared == ["mine", "mine"]


def test_a_folder_is_unchanged_if_its_listing_is_and_links_are_followed(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for folder in (root / "a", root / "b", other):
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(b"x")
    (root / "linked").symlink_to(other)
    (stamp,) = cache.file_stamps([root])
    assert cache.is_unchanged(stamp)
    (root / "a" / "x.png").rename(root / "b" / "y.png")  # the number of files and their times stay
    assert not cache.is_unchanged(stamp)
    (stamp,) = cache.file_stamps([root])
    (other / "new.png").write_bytes(b"")
    assert not cache.is_unchanged(stamp)


def test_a_missing_file_is_unchanged_until_it_exists() -> None:
    (stamp,) = cache.file_stamps([Path("nowhere")])
    assert cache.is_unchanged(stamp)
    Path("nowhere").write_text("")
    try:
        assert not cache.is_unchanged(stamp)
    finally:
        Path("nowhere").unlink()


@pytest.mark.slow
def test_the_teachers_of_a_teacher_are_inputs_of_a_training(
    zoo: Zoo, recipe_file: Write, prepared: list[str], tmp_path: Path
) -> None:
    """z learns from x, which learns from y; so a changed y makes another z."""
    claims = "claims: [{of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.2, seeds: 1, source: x}]\n"
    kd = "    criterion:\n      kd:\n        loss: {use: KD, temperature: 4, alpha: 0.5}\n"
    teacher = "    teacher: {run: %s.yaml, seed: 0}\n" + kd
    alone = "    criterion:\n      ce: {loss: CrossEntropy}\n"
    for name, text in (
        ("y", TINY),
        ("x", TINY.replace(alone, teacher % "y")),
        ("z", TINY.replace(alone, teacher % "x")),
    ):
        recipe_file(text.replace("name: tiny", f"name: {name}{name}") + claims, name=f"{name}.yaml")
    first = zoo("verify", "z.yaml", "--train", "--json")
    assert first.code in (0, 3), first.err
    assert zoo("verify", "z.yaml", "--train", "--json").out == first.out
    assert prepared == ["zz"]
    (tmp_path / "y.yaml").write_text((tmp_path / "y.yaml").read_text().replace("lr: 0.1", "lr: 0.2"))
    again = zoo("verify", "z.yaml", "--train", "--json")
    assert prepared == ["zz", "zz"]
    assert json.loads(again.out)["entries"][0]["records"] != json.loads(first.out)["entries"][0]["records"]


def test_damaged_predictions_of_a_cached_run_are_an_error(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(RECIPE)
    record = Path(json.loads(zoo("verify", path, "--json").out)["entries"][0]["records"][0])
    (record.parent / "predictions-test.npz").write_bytes(b"damaged")
    again = zoo("verify", path)
    assert again.code == 5
    assert "predictions-test.npz: expected sha256" in again.err


def test_fresh_makes_a_run_again_and_replaces_it(zoo: Zoo, recipe_file: Write, prepared: list[str]) -> None:
    path = recipe_file(RECIPE)
    first = zoo("verify", path, "--json")
    before = created(first.out)
    again = zoo("verify", path, "--json", "--fresh")
    assert (again.code, prepared) == (0, ["mine", "mine"])
    assert json.loads(again.out) == json.loads(first.out)
    assert created(again.out) != before
    folder = Path(json.loads(again.out)["entries"][0]["records"][0]).parent.parent
    assert [path.name for path in folder.iterdir()] == [
        Path(json.loads(first.out)["entries"][0]["records"][0]).parent.name
    ]


def test_a_damaged_cache_file_is_ignored(zoo: Zoo, recipe_file: Write, prepared: list[str], tmp_path: Path) -> None:
    path = recipe_file(RECIPE)
    first = zoo("verify", path, "--json")
    for number, damage in enumerate(("{", '{"inputs": []}', '{"inputs": [], "record": 5}', "[]"), 2):
        for file in (tmp_path / "home" / "runs" / cache.CACHE_FOLDER).iterdir():
            file.write_text(damage)
        assert zoo("verify", path, "--json").out == first.out
        assert prepared == ["mine"] * number


def test_a_file_from_after_a_jump_back_of_the_clock_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is in the future, so nobody knows whether it has settled."""
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    monkeypatch.setattr(cache, "time_ns", lambda: file.stat().st_mtime_ns - 3600 * 10**9)
    (stamp,) = cache.file_stamps([file])
    assert stamp[2] == 0
    assert cache.is_unchanged(stamp)
    time = file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=(time, time))
    assert not cache.is_unchanged(stamp)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_jump_of_the_clock_neither_makes_a_run_again_nor_changes_its_time(
    hours: int, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_clock, from_clock_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: from_clock() + 3600 * hours)
    monkeypatch.setattr(time, "time_ns", lambda: from_clock_ns() + 3600 * hours * 10**9)
    first, second = (zoo("train", recipe_file(), "--json") for _ in range(2))
    assert [json.loads(run.out)["existed"] for run in (first, second)] == [False, True]
    record = json.loads(Path(json.loads(first.out)["record"]).read_text())
    assert 0 < record["cost"]["seconds"] < 600
