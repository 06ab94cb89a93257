"""Every promise of SECURITY.md has a test that exists."""

import re

from tests.helpers.project import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.split("## Promises")[1].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        ((file, name),) = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), row


def test_the_tripwire_is_not_called_a_sandbox() -> None:
    assert "a tripwire, not a sandbox" in " ".join(PAGE.split())
