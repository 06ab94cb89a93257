"""Every promise of SECURITY.md has a test that runs and checks something."""

import ast
import re

from tests.helpers.project import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_runs_and_checks_something() -> None:
    rows = [line for line in PAGE.split("## Promises")[1].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        ((file, name),) = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        functions = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        (test,) = (each for each in functions if isinstance(each, ast.FunctionDef) and each.name == name)
        marks = " ".join(map(ast.unparse, test.decorator_list))
        assert not re.search(r"mark\.(skip|xfail|slow)", marks), f"make test does not run {name}"
        checks = [node for node in ast.walk(test) if isinstance(node, ast.Assert)]
        assert checks or "pytest.raises(" in ast.unparse(test), f"{name} checks nothing"


def test_the_tripwire_is_not_called_a_sandbox() -> None:
    assert "a tripwire, not a sandbox" in " ".join(PAGE.split())
