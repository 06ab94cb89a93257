"""One plan on two machines that share no folder: the commands of docs/cluster.md, and what differs between machines."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet.plan_file import FILE, Plan, read_plan
from harness.fleet.plan_here import plan_here
from harness.fleet.units import plan_units
from tests.helpers.device import device
from tests.helpers.fleet_worker import copy_predictions, write_record
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.fetch.checksum import sha256
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

PAGE = ROOT / "docs" / "cluster.md"
HEADING = "## Two machines without a shared folder"


def commands_of_page() -> list[list[str]]:
    """Return the commands of the section, in the order of the page."""
    section = PAGE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    blocks = [block.partition("```")[0] for block in section.split("```sh\n")[1:]]
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_commands_of_the_page_make_and_judge_all_runs(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, to_box2, first_half, second_half, back, collect, verify = commands_of_page()
    box1, box2, away = tmp_path / "box1", tmp_path / "box2" / "work", tmp_path / "away"

    def on(box: Path, words: list[str]) -> str:
        monkeypatch.chdir(box)
        done = zoo(*[word.replace("PLAN", name) for word in words[1:]])
        assert done.code == 0, done.err
        return done.out + done.err

    box1.mkdir()
    monkeypatch.chdir(box1)
    data = json.loads(zoo(*plan[1:], "--device", device(), "--json").out)
    name = Path(data["file"]).parent.name
    assert to_box2 == ["rsync", "-aR", "runs/.fleet/PLAN", "box2:work/"]
    shutil.copytree(box1 / "runs", box2 / "runs")
    box1.rename(away)  # the second machine does not see the folders of the first one
    moved = f"using the working directory {box2}: {box1}, where the plan was made, does not exist on this machine"
    assert moved in on(box2, first_half)
    away.rename(box1)
    on(box1, second_half)
    assert len(list(box1.glob("runs/*/*/record.json"))) == 3
    assert back == ["rsync", "-a", "box2:work/runs/", "runs-of-box2/"]
    box2.joinpath("runs").rename(box1 / "runs-of-box2")
    on(box1, collect)
    records = {path: path.read_bytes() for path in box1.glob("runs/*/*/record.json")}
    assert len(records) == data["units"] == 6
    judged = on(box1, [*verify, "--device", device()])
    assert judged.count("reproduced") >= 6
    assert {path: path.read_bytes() for path in box1.glob("runs/*/*/record.json")} == records


@pytest.fixture
def plan(tmp_path: Path, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan of one training of the recipe `tiny.yaml`, made in the folder `a`."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    recipe_file(TINY, name="a/tiny.yaml")
    options = RunOptions(train=True, seeds=1, records=Path("runs"), device=device())
    made = plan_units([catalogue.local(tmp_path / "a" / "tiny.yaml")], options, SourceOptions())
    made.write()
    monkeypatch.chdir(tmp_path)
    return made


def moved(plan: Plan, tmp_path: Path) -> Path:
    """Move the folder in which a plan was made, and return the plan's new file."""
    (tmp_path / "a").rename(tmp_path / "b")
    return tmp_path / "b" / plan.file.relative_to(tmp_path / "a")


def test_a_plan_that_lies_in_another_folder_of_runs_uses_that_folder(plan: Plan, tmp_path: Path) -> None:
    file = moved(plan, tmp_path)
    for path in (file, file.parent):
        read = read_plan(path)
        assert (read.file, read.id) == (file, plan.id)
    assert read_plan(file, tmp_path / "c").file == tmp_path / "c" / ".fleet" / plan.id / FILE
    earlier = shutil.copytree(file.parent, file.parent.with_name("id-of-an-earlier-version"))
    assert read_plan(earlier).home == earlier  # its journals are found
    alone = shutil.copy(file, tmp_path / "alone.json")
    assert read_plan(Path(alone)).file == plan.file


def test_the_folder_of_the_records_does_not_identify_a_plan(plan: Plan, tmp_path: Path) -> None:
    elsewhere = replace(plan, options=replace(plan.options, records=tmp_path / "other"))
    assert elsewhere.id == plan.id
    assert elsewhere.file != plan.file
    assert read_plan(elsewhere.write()) == elsewhere


def test_a_recipe_is_read_in_the_current_directory_if_the_recorded_one_does_not_exist(
    plan: Plan, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = moved(plan, tmp_path)
    refused = zoo("run-unit", file, "--index", "0")
    assert refused.code == 2
    assert f"{file}: its working directory {tmp_path / 'a'} does not exist on this machine" in refused.err
    assert f"neither does the recipe {tmp_path / 'tiny.yaml'}; copy the recipes to these paths, or run" in refused.err
    monkeypatch.chdir(tmp_path / "b")
    made = zoo("run-unit", "runs/.fleet/" + plan.id, "--index", "0")
    assert made.code == 0, made.err
    assert made.lines[0].startswith(f"using the working directory {tmp_path / 'b'}: {tmp_path / 'a'}, where the plan")
    assert made.out.startswith(f"{tmp_path / 'b' / 'runs' / 'tiny'}/")
    assert "1 done" in zoo("status", "runs/.fleet/" + plan.id).out


def test_the_recorded_directory_is_used_if_it_has_the_recipes(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    monkeypatch.chdir(tmp_path / "b")
    messages = list[str]()
    assert plan_here(read_plan(plan.file), messages.append).folder == tmp_path / "a"
    assert messages == []
    (tmp_path / "a" / "tiny.yaml").unlink()
    assert plan_here(read_plan(plan.file), messages.append).units[0].entry.path == tmp_path / "b" / "tiny.yaml"
    assert [message.endswith("where the plan was made, lacks its recipes") for message in messages] == [True]


def test_local_data_may_lie_in_another_folder_that_zoo_data_names(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "images").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    sources = SourceOptions(data={"images": tmp_path / "images"})
    options = RunOptions(records=tmp_path / "runs", device=device())
    made = plan_units([catalogue.select_one("digits-resnet8")], options, sources)
    made.write()
    (tmp_path / "images").rmdir()
    refused = zoo("run-unit", made.file, "--index", "0")
    assert refused.code == 2
    assert f"reads the data set images from {tmp_path / 'images'}, which this machine does not have" in refused.err
    assert zoo("status", made.file).code == 3  # needs no data
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "here"))
    read = read_plan(made.file)
    assert (read.sources.data["images"], read.id) == (tmp_path / "here" / "images", made.id)
    assert zoo("run-unit", made.file, "--index", "0", "--records", tmp_path / "other").code == 0
    (copy,) = (tmp_path / "other").glob(f".fleet/{made.id}/{FILE}")
    copy.rename(tmp_path / "alone.json")
    assert read_plan(tmp_path / "alone.json").id == made.id  # by its content


def test_after_a_move_status_and_collect_find_trusted_code_and_missing_teachers(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a student exists, with a module beside its recipe; that of its teacher does not."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "code_of_a_user.py").write_text("")
    recipe_file(TINY, ("name: tiny", "name: teacher"), name="a/teacher.yaml")
    student = ("  - epochs: 1", "  - teacher: {run: teacher.yaml, seed: 1}\n    epochs: 1")
    recipe = recipe_file(TINY, student, name="a/tiny.yaml")
    monkeypatch.chdir(tmp_path / "a")
    options = RunOptions(train=True, seeds=1, records=Path("runs"), device="cpu")
    made = plan_units([catalogue.local(recipe)], options, SourceOptions())
    made.write()
    file, record = write_record(made, made.units[1])
    sources = {**record.identity.sources, "files": {"code:code_of_a_user": sha256(Path("code_of_a_user.py"))}}
    identity = replace(record.identity, sources=sources)
    changed = file.parent.with_name(identity.folder)
    file.parent.rename(changed)
    (changed / file.name).write_text(replace(record, identity=identity).sealed({}).to_json())
    copy_predictions(changed)
    monkeypatch.chdir(tmp_path)
    plan = moved(made, tmp_path)
    for folder, exists in (("b", True), (".", False)):  # without the recipes, the module is not found either
        monkeypatch.chdir(tmp_path / folder)
        states = [unit["state"] for unit in json.loads(zoo("status", plan, "--json").out)["units"]]
        assert states == ["waiting", "done" if exists else "waiting"]
        collected = json.loads(zoo("collect", tmp_path / "b" / "runs", "--plan", plan, "--check", "--json").out)
        assert [unit["entry"] for unit in collected["missing"]] == ["teacher", *["tiny"] * (not exists)]
