from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.speed.zoo_work import Training


@pytest.mark.parametrize("kind", ["cifar", "text", "kd"])
def test_recipes_of_the_trainings_pass_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("ZOO_CUDA_GRAPHS", "0")  # the training sets it for its process
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")
    with closing(Training(tmp_path, kind)) as training:
        assert training.experiment.recipe.name == kind
