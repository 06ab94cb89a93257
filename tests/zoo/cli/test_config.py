"""The configuration file: where it is found, what it can set, and what comes before it."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.project import Zoo
from zoo.cli.config_defaults import ALLOWED
from zoo.cli.config_file import find_config, read_config
from zoo.files import is_of_stranger

WEIGHTS = "digits-resnet8"


def write(text: str, name: str = "zoo.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_pyproject_sets_options_of_a_command_in_subfolders(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[project]\nname = "x"\n[tool.zoo.verify]\njunit = "reports/zoo.xml"\njson = true\n', "pyproject.toml")
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    completed = zoo("verify", WEIGHTS)
    assert json.loads(completed.out)["summary"]["reproduced"] == 1
    assert Path("../reports/zoo.xml").is_file()
    assert not zoo("list", WEIGHTS).out.startswith("{")


def test_the_nearest_file_with_settings_is_used(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.zoo]\ndevice = "cpu"\n')
    (tmp_path / "zoo.toml").write_text('[slurm]\npartition = "x"\n')
    (tmp_path / "a" / "pyproject.toml").write_text("this is the file of another tool")
    found = find_config(tmp_path / "a" / "b")
    assert found is not None
    assert (found.path, found.settings) == (tmp_path / "pyproject.toml", {"device": "cpu"})
    (tmp_path / "a" / "zoo.toml").write_text("[tool.zoo.verify]\nseeds = 2\n")
    found = find_config(tmp_path / "a" / "b")
    assert found is not None
    assert (found.path.parent.name, found.settings) == ("a", {"verify": {"seeds": 2}})


def test_json_and_json_lines_of_the_command_line_come_before_those_of_the_file(zoo: Zoo) -> None:
    write("[verify]\njson-lines = true\n")
    assert len(zoo("verify", WEIGHTS).out.splitlines()) > 2
    assert json.loads(zoo("verify", WEIGHTS, "--json").out)["summary"]["reproduced"] == 1
    write("[verify]\njson = true\n")
    *_, last = zoo("verify", WEIGHTS, "--json-lines").out.splitlines()
    assert json.loads(last)["event"] == "result"


def test_options_for_all_commands_come_after_those_of_a_command(zoo: Zoo) -> None:
    write("json = true\n[suite]\njson = false\n")
    assert zoo("list", WEIGHTS).out.startswith("{")
    assert not zoo("suite").out.startswith("{")


def test_the_command_line_and_the_environment_come_first(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    write('records = "a"\nfail-on = "inconclusive"\n')
    assert "a/digits" not in zoo("--no-config", "verify", WEIGHTS, "--json").out
    with_home = json.loads(zoo("verify", WEIGHTS, "--json").out)["entries"][0]["records"][0]
    assert "/home/runs/" in with_home
    monkeypatch.delenv("ZOO_HOME")
    assert "/a/digits" in json.loads(zoo("verify", WEIGHTS, "--json").out)["entries"][0]["records"][0]
    assert "b/digits" in json.loads(zoo("verify", WEIGHTS, "--json", "--records", "b").out)["entries"][0]["records"][0]


def test_a_named_file_replaces_the_one_that_is_found(zoo: Zoo) -> None:
    write("[list]\nnothing = 1\n")
    other = write("[list]\njson = true\n", "other/settings.toml")
    assert zoo("list", WEIGHTS).code == 2
    assert zoo("--config", other, "list", WEIGHTS).out.startswith("{")
    assert zoo("--no-config", "list", WEIGHTS).code == 0
    assert zoo("--config", "nowhere.toml", "list").code == 4


def test_env_prints_the_file_that_is_used(zoo: Zoo) -> None:
    assert "config    no configuration file\n" in zoo("env").out
    write('device = "cpu"\n')
    assert json.loads(zoo("env", "--json").out)["config"].endswith("/zoo.toml")
    assert "/zoo.toml\n" in zoo("env").out


def test_the_table_that_a_message_suggests_for_a_command_is_accepted(zoo: Zoo) -> None:
    write("[verify]\nquiet = true\n[runs.list]\nquiet = true\n")
    assert (zoo("verify", WEIGHTS).code, zoo("runs").code) == (0, 0)


def test_train_is_an_option_too_and_not_only_a_command(zoo: Zoo) -> None:
    write("train = 3")
    assert "train = 3: expected true or false" in zoo("verify", WEIGHTS).err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[verify]\nfail_on = "none"', "zoo.toml:2: unknown option 'fail_on' in [verify]; did you mean fail-on?"),
        ("[verfy]\na = 1", "zoo.toml:1: [verfy]: 'verfy' is no command of zoo; did you mean verify?"),
        ("[attest.sgn]\na = 1", "zoo.toml:1: [attest.sgn]: 'sgn' is no command of zoo; did you mean sign?"),
        ("tool.zoo = 3", "zoo.toml:1: tool.zoo must be a table"),
        ("[verify]\n\nseeds = 0", "zoo.toml:3: seeds = 0: the number must be at least 1"),
        ("verify = 1", "zoo.toml:1: 'verify' is a command, so its options stand in a table: write [verify], and below"),
        (
            "[runs]\nlist = 3",
            "zoo.toml:2: 'list' is a command, so its options stand in a table: write [runs.list], and",
        ),
        ('[verify]\nprecision = "fp99"', "zoo.toml:2: precision = 'fp99': 'fp99' is not one of 'fp32', "),
        ('strict = "yes"', "zoo.toml:1: strict = 'yes': expected true or false"),
        ('suite = "starter"', "zoo.toml:1: suite = 'starter': expected a list of texts"),
        ("device = [1]", "zoo.toml:1: device = [1]: expected a text or number"),
        ("jobs = true", "zoo.toml:1: jobs = True: expected a text or number"),
        ('data = {"a=/etc" = "d"}', "zoo.toml:1: data: 'a=/etc' is no name of a data set"),
        ("data = 3", "zoo.toml:1: data = 3: expected a table such as"),
        ("[run-unit]\njson = true", "zoo.toml:1: [run-unit]: 'run-unit' cannot be configured"),
        ("\na = \nb = 1", "zoo.toml:2:5: not a TOML file: Invalid value; `zoo --no-config COMMAND` goes without it"),
        ('[verify]\ntime-limit = "soon"', "--time-limit is set in "),
        ('[verify]\nfail-on = "not-reproducd"', "zoo.toml:2)"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, message: str, zoo: Zoo) -> None:
    write(text)
    completed = zoo("verify", WEIGHTS)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert message in completed.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = [" + b"[" * 100_000, b"\0"])
def test_a_file_that_is_no_text_is_one_line(content: bytes, zoo: Zoo) -> None:
    Path("zoo.toml").write_bytes(content)
    completed = zoo("list")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "not a TOML file" in completed.err


@pytest.mark.parametrize(
    "option", ["trust", "on", "slurm-config", "ray-address", "lock", "log-to", "fresh", "records-to"]
)
def test_a_file_of_strangers_cannot_run_code_or_choose_trusted_bytes(option: str, zoo: Zoo) -> None:
    write(f'[verify]\n{option} = ["os"]\n')
    completed = zoo("verify", WEIGHTS)
    assert completed.code == 2
    assert f"zoo.toml:2: '{option}' cannot be set" in completed.err or f"unknown option '{option}'" in completed.err
    assert option not in ALLOWED


@pytest.mark.parametrize("path", ["../x.xml", "/etc/x.xml", "link/x.xml", "a/../../x.xml"])
def test_a_file_of_strangers_writes_and_reads_only_in_its_folder(path: str, zoo: Zoo, tmp_path: Path) -> None:
    Path("project").mkdir()
    Path("project/link").symlink_to(tmp_path)
    config = write(f'junit = "{path}"\n', "project/zoo.toml")
    completed = zoo("--config", config, "verify", WEIGHTS)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "can only name paths in its own folder; pass --junit" in completed.err
    write(f'data = {{cifar10 = "{path}"}}\n', "project/zoo.toml")
    assert "can only name paths in its own folder; pass --data" in zoo("--config", config, "list").err


def test_options_of_trainings_have_no_effect_on_evaluations(zoo: Zoo) -> None:
    write("[verify]\nseeds = 3\nscore-epochs = true\n")
    assert zoo("verify", WEIGHTS).code == 0
    assert json.loads(zoo("verify", WEIGHTS, "--train", "--dry-run", "--json").out)["plan"][0]["seeds"] == [0, 1, 2]


def test_help_is_shown_with_a_malformed_file(zoo: Zoo) -> None:
    write("a = ")
    assert zoo("verify", "--help").code == 0


def test_an_option_after_the_command_is_corrected(zoo: Zoo) -> None:
    assert zoo("verify", "--config", "x").err == "--config comes before the command: zoo --config FILE verify\n"


def test_lines_are_found_in_nested_and_quoted_tables(tmp_path: Path) -> None:
    path = tmp_path / "zoo.toml"
    path.write_text('[tool.zoo]\n"device" = "cpu" # x\n[ tool . "zoo".verify ]\nseeds=1\n[tool.zoo.x]\ny = {a = 1}\n')
    config = read_config(path)
    places = [config.where(*keys).rpartition(":")[2] for keys in (("device",), ("verify", "seeds"), ("x", "y", "a"))]
    assert places == ["2", "4", "6"]


STRANGER, OTHER = 12345, 54321
needs_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can change owners")


def suggested(message: str) -> list[list[str]]:
    """Return the arguments of the commands that an error suggests, with `list` as the command."""
    commands = re.findall("`zoo (.*?) COMMAND`", message)
    return [[*shlex.split(command), "list", WEIGHTS] for command in commands]


@needs_root
@pytest.mark.parametrize("name", ["zoo.toml", "pyproject.toml"])
def test_a_file_of_a_stranger_above_the_working_folder_is_an_error_that_names_what_to_do(
    name: str, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that ignored it would pass without the `fail-on` of the file."""
    os.chown(write("[tool.zoo]\njson = true\n", name), STRANGER, -1)
    Path("it's mine").mkdir()
    monkeypatch.chdir("it's mine")
    completed = zoo("list", WEIGHTS)
    assert (completed.code, completed.out, len(completed.lines)) == (2, "", 1)
    assert "belongs neither to you nor to the owner of the working folder" in completed.err
    reading, without = suggested(completed.err)
    assert zoo(*reading).out.startswith("{")
    assert zoo(*without).out.startswith("starter")
    os.chown(".", OTHER, -1)
    assert zoo("list", WEIGHTS).code == 2


@needs_root
def test_a_link_of_a_stranger_to_a_file_of_the_user_is_an_error(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the folder of the link, which the stranger chose."""
    Path("shared/mine").mkdir(parents=True)
    Path("shared/zoo.toml").symlink_to(write("json = true\n").absolute())
    monkeypatch.chdir("shared/mine")
    assert zoo("list", WEIGHTS).out.startswith("{")
    os.chown("../zoo.toml", STRANGER, -1, follow_symlinks=False)
    assert "the link to it, belongs neither to you" in zoo("list", WEIGHTS).err


@needs_root
def test_files_belong_to_the_user_whose_rights_the_process_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("json = true\n", str(tmp_path / "zoo.toml"))
    os.chown(path, STRANGER, -1)
    assert is_of_stranger(path, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert not is_of_stranger(path, tmp_path)


@needs_root
def test_a_file_of_the_owner_of_the_working_folder_is_read(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as root, with a checkout of the user outside."""
    os.chown(write("json = true\n"), STRANGER, -1)
    Path("checkout").mkdir()
    os.chown("checkout", STRANGER, -1)
    monkeypatch.chdir("checkout")
    assert zoo("list", WEIGHTS).out.startswith("{")


@pytest.mark.parametrize("text", ["[tool]\nzoo = {json = true}\n", "tool = {zoo = {json = true}}\n"])
def test_an_inline_table_of_pyproject_is_read(text: str, zoo: Zoo) -> None:
    write(text, "pyproject.toml")
    assert zoo("list", WEIGHTS).out.startswith("{")
