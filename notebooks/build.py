"""Build the notebooks (.ipynb) from the scripts in this folder, which are in jupytext's percent format.

Two cells are added to each script: a badge that opens the notebook in Colab, and a cell that installs zoo where it is
missing. Both name the repository. Its address is `project.urls.Repository` in pyproject.toml, or else a
placeholder.
"""

import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

FOLDER = Path(__file__).resolve().parent
GITHUB = "https://github.com/"
PLACEHOLDER = f"{GITHUB}OWNER/zoo"
"""The address where pyproject.toml names none."""
SETUP = """\
import importlib.util
import os
import subprocess
import sys
import tempfile

if importlib.util.find_spec("zoo") is None:  # on Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "git+{repository}"], check=True)
os.chdir(tempfile.mkdtemp(prefix="zoo-"))  # this notebook writes its files to a new folder"""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def scripts() -> list[Path]:
    """Return the scripts of all notebooks in their order; their names start with a number."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def repository(pyproject: Path = FOLDER.parent / "pyproject.toml") -> str:
    """Return the address of the repository that pyproject.toml names."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    address: str = project.get("urls", {}).get("Repository", PLACEHOLDER)
    return address.removesuffix("/").removesuffix(".git")


def build(script: Path) -> NotebookNode:
    """Return the notebook of a script, without outputs. The same script gives the same notebook."""
    notebook = jupytext.read(script, fmt="py:percent")
    title, *others = notebook.cells
    setup = new_code_cell(SETUP.format(repository=repository()))
    notebook.cells = [new_markdown_cell(_badge(script.stem)), title, setup, *others]
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", NotebookNode()
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def text_of(script: Path) -> str:
    """Return the content of the .ipynb file of a script."""
    text: str = nbformat.writes(build(script))
    return text + "\n"


def is_current(script: Path) -> bool:
    """Return whether the .ipynb file beside a script is the one that `text_of` returns."""
    path = script.with_suffix(".ipynb")
    return path.is_file() and path.read_text(encoding="utf-8") == text_of(script)


def _badge(name: str) -> str:
    path = f"{repository().removeprefix(GITHUB)}/blob/main/notebooks/{name}.ipynb"
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})](https://colab.research.google.com/github/{path})"
