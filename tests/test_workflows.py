"""The workflows of this repository: they are safe to run for strangers, and every command in them exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tests.helpers.project import ROOT
from zoo.cli.app import app

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
TARGETS = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMMANDS = set(getattr(get_command(app), "commands"))  # noqa: B009 - typer's group has its own class
"""The commands of zoo."""


def loaded(name: str) -> dict[Any, Any]:
    data: dict[Any, Any] = yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))
    return data


def jobs(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from loaded(f"workflows/{name}")["jobs"].items()


def scripts(name: str) -> Iterator[str]:
    for _, job in jobs(name):
        yield from (step["run"] for step in job["steps"] if "run" in step)


NAMES = [path.name for path in WORKFLOWS]


def test_the_workflows_are_there() -> None:
    assert {"ci.yml", "live.yml", "nightly.yml"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_job_has_permissions_and_a_time_limit(name: str) -> None:
    """Without permissions a job could write; `permissions: {}` at the top makes each job name its own."""
    everywhere = loaded(f"workflows/{name}")["permissions"]
    assert isinstance(everywhere, dict)
    for job_name, job in jobs(name):
        assert job["timeout-minutes"] <= 330, job_name
        assert everywhere == {"contents": "read"} or "permissions" in job, job_name


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_others_becomes_a_part_of_a_script(name: str) -> None:
    """`${{ ... }}` in a script is replaced before the shell reads it. Values are passed as environment variables."""
    assert [script for script in scripts(name) if "${{" in script] == []
    assert "pull_request_target" not in (GITHUB / "workflows" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_only_actions_of_github_are_used_and_only_writing_jobs_keep_a_token_in_git(name: str) -> None:
    for job_name, job in jobs(name):
        permissions = job.get("permissions", loaded(f"workflows/{name}")["permissions"])
        for step in (step for step in job["steps"] if "uses" in step):
            assert step["uses"].startswith("actions/"), job_name
            if step["uses"].startswith("actions/checkout@") and permissions["contents"] != "write":
                assert step["with"]["persist-credentials"] is False, job_name


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_one_for_bash_and_names_commands_that_exist(name: str) -> None:
    for script in scripts(name):
        parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, ""), script
        for line in script.replace("\\\n", " ").splitlines():
            assert problem_of(line) is None, line


def problem_of(line: str) -> str | None:
    """Return what a line of a script names that does not exist, or None."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["make"]:
        wrong = [word for word in words[1:] if "=" not in word and word not in TARGETS]
        return f"make has no target {wrong[0]}" if wrong else None
    if words[1:2] == ["-m"] and words[2] == "pytest":
        missing = [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()]
        return f"there are no tests in {missing[0]}" if missing else None
    if words[1:2] == ["-m"]:
        module = ROOT.joinpath(*words[2].split("."))
        return None if module.with_suffix(".py").is_file() or (module / "__main__.py").is_file() else str(module)
    if words and re.fullmatch(r"(\.venv/(bin|Scripts)/)?zoo", words[0]):
        return None if words[1] in COMMANDS | {"--help"} else f"zoo has no command {words[1]}"
    return None


@pytest.mark.parametrize(
    "line",
    [
        "make tset",
        "make lint tset",
        "python -m pytest tests/zoo/modles",
        "python -m benchmarks.life",
        ".venv/bin/zoo verfy --all",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    assert problem_of(line) is not None


def test_the_workflow_of_pull_requests_stops_outdated_runs_and_covers_three_systems_and_all_pythons() -> None:
    ci = loaded("workflows/ci.yml")
    assert "pull_request" in str(ci["concurrency"]["cancel-in-progress"])
    matrix = dict(jobs("ci.yml"))["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    systems = {*matrix["os"], *(more["os"] for more in matrix["include"]), dict(jobs("ci.yml"))["windows"]["runs-on"]}
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}


def test_the_job_that_loads_models_of_others_cannot_write_and_the_one_that_writes_runs_no_code_of_the_checkout() -> (
    None
):
    live = dict(jobs("live.yml"))
    assert set(live["verify"]["permissions"].values()) == {"read"}
    words = " ".join(step.get("run", "") for step in live["propose"]["steps"])
    assert live["propose"]["permissions"]["contents"] == "write"
    assert not re.search(r"\b(python|zoo|make|pip)\b", words)


def test_the_live_job_has_time_to_save_its_results() -> None:
    """GitHub ends a job after six hours; the entries may take 4.5 of the 5 hours and 20 minutes of ours."""
    assert dict(jobs("live.yml"))["verify"]["timeout-minutes"] == 320
    assert "--hours" in " ".join(scripts("live.yml"))
    inputs = loaded("workflows/live.yml")[True]["workflow_dispatch"]["inputs"]  # YAML reads `on` as true
    assert float(inputs["hours"]["default"]) == 4.5


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_what_they_name(path: Any) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    named = [field["id"] for field in form["body"]]
    assert len(set(named)) == len(named)
    assert any(field.get("validations", {}).get("required") for field in form["body"])
    text = path.read_text(encoding="utf-8")
    assert all(command in COMMANDS for command in re.findall(r"`zoo (\w+)", text))
