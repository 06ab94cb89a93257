"""The count of what a folder of torchdistill's configurations converts to."""

import shutil
from pathlib import Path

import pytest

from benchmarks.import_torchdistill import main
from tests.helpers.torchdistill_configs import config_file


def test_converted_and_refused_configurations_are_counted_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configs, table, recipes = tmp_path / "configs", tmp_path / "table.md", tmp_path / "recipes"
    (configs / "sample" / "cifar10").mkdir(parents=True)
    shutil.copy(config_file("ce-split"), configs / "sample" / "cifar10" / "good.yaml")
    text = config_file("ce-split").read_text().replace("'SGD'", "'MySGD'")
    (configs / "sample" / "cifar10" / "bad.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["", str(configs), "--table", str(table), "--recipes", str(recipes)])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["sample/cifar10", "1", "of", "2", "converted", "and", "checked"]
    assert lines[2] == "refused: sample/cifar10/bad.yaml"
    assert "MySGD is no optimizer of torch; did you mean SGD" in lines[3]
    assert table.read_text().splitlines()[2].endswith("| 1 | `sample/cifar10/bad.yaml` |")
    assert (recipes / "sample" / "cifar10" / "good.yaml").read_text().startswith("# Imported from ")
