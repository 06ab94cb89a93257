"""The page on any model of the Hub lists exactly the reasons why a claim is not compared."""

import re

from tests.helpers.project import ROOT
from zoo.claims.mapping.reasons import Reason


def test_the_page_lists_every_reason_with_its_text() -> None:
    page = (ROOT / "docs" / "any-model.md").read_text(encoding="utf-8")
    table = page.partition("| reason | meaning |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (.*)\. \|$", table, re.MULTILINE))
    assert listed == {reason.code: f"{reason.value[0].upper()}{reason.value[1:]}" for reason in Reason}


def test_the_changelog_has_their_number() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"one of {len(Reason)} documented reasons" in changelog
