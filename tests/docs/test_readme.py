"""The README is true: its recipe is read, its commands exist, what it links to is there."""

import re
from pathlib import Path

import pytest
import yaml

from tests.helpers.project import ROOT, Zoo
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.schema import load_recipe

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_recipe_in_the_readme_is_one(tmp_path: Path) -> None:
    text, part = (block for block in blocks("yaml") if "stages:" in block)
    stages = (ROOT / "tests" / "recipes" / "three_stages.yaml").read_text(encoding="utf-8")
    assert re.sub(r" +# .*", "", part) in stages
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    check_recipe(load_recipe(path), Builder())
    assert yaml.safe_load(text)["name"] == "mine"


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("zoo ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_exists(line: str, zoo: Zoo) -> None:
    command = line.split()[1]
    help_text = zoo(command, "--help").out
    options = re.findall(r"--[a-z-]+", line)
    assert zoo(command, "--help").code == 0
    assert all(option in help_text for option in options), line


def test_the_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_figures_of_the_verdicts_are_those_of_the_simulation() -> None:
    """False alarms and regressions of 4 sigma that are found, with the default seeds."""
    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    ours = {row[0]: row for row in rows if row[1:3] == ["default", "zoo"]}
    section = README[README.index("## How a verdict is reached") : README.index("## Models and data")]
    wanted = [
        *(
            ours[name][place]
            for name in ("a single score", "5 runs and a prior right to a quarter")
            for place in (3, 6)
        ),
        ours["a single score, prior right to a quarter"][3].replace(".0%", "%"),
    ]
    assert all(figure.replace("%", " %") in section for figure in wanted), wanted


def test_figures_in_the_readme_are_those_of_the_leaderboard() -> None:
    board = (ROOT / "leaderboard" / "README.md").read_text(encoding="utf-8")
    table = README[README.index("| student") : README.index("\n\n", README.index("| student"))]
    figures = re.findall(r"[-+]?\d\.\d\d+", table)
    assert figures
    figures += re.findall(r"\b0\.\d{4}\b", README[README.index("The `minilm` suite") :].split("\n\n")[0])
    assert all(figure in board for figure in figures)
