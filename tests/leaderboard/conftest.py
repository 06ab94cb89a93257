"""The site and the rows of the committed records, built once."""

from pathlib import Path

import pandas as pd
import pytest

from leaderboard import site, table
from tests.helpers.project import ROOT

EVIDENCE = ROOT / "leaderboard" / "records"


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    site.write(EVIDENCE, folder)
    return folder


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """The rows of the leaderboard, one per claim."""
    return table.rows(EVIDENCE)
