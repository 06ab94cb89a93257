"""A recipe in a repository of the Hub, and the lock that pins repositories."""

import json
from pathlib import Path

from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import classifier, results
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from zoo.fetch.lock import read_lock

COLA = "yoshitomo-matsubara/bert-base-uncased-cola"
RECIPE = """\
name: published
task: {use: glue, name: mrpc, data: hub:datasets/nyu-mll/glue}
tokenizer: {use: published, of: hub:.}
model: {use: sequence_classifier, init: hub:google-bert/bert-base-uncased, num_labels: 2}
weights: hub:.
claims:
  - {of: weights, split: validation, metric: accuracy, value: 0.5, decimals: 1, source: its author}
"""


def test_a_recipe_is_run_at_the_named_commit(glue: Zoo, glue_hub: LocalHub) -> None:
    files = classifier("base", 2, seed=5)
    commit = glue_hub.add("models", "someone/published", {**files, "zoo.yaml": RECIPE.encode()})
    later = glue_hub.add("models", "someone/published", {**classifier("base", 2, seed=6), "zoo.yaml": b"name: [broken"})
    completed = glue("reproduce", f"someone/published@{commit}", "--json", "--device", device())
    entry = results(completed)["published"]
    assert entry["error"] is None, completed.err
    record = read_record(Path(entry["records"][0]))
    assert record.provenance[f"hub:someone/published@{commit}"]["revision"] == commit
    broken = glue("reproduce", f"someone/published@{later}")
    assert broken.code == 2
    assert "zoo.yaml:1:" in broken.err


def test_a_repository_with_neither_a_recipe_nor_claims_is_not_compared(glue: Zoo) -> None:
    missing = glue("reproduce", "yoshitomo-matsubara/bert-base-uncased-mrpc")
    assert (missing.code, "not-compared\n  no-claims: " in missing.out) == (3, True)
    unknown = glue("reproduce", "someone/nothing")
    assert unknown.code == 4
    assert unknown.lines[-1].startswith("someone/nothing: ")


def test_a_published_recipe_cannot_import_what_it_likes(glue: Zoo, glue_hub: LocalHub) -> None:
    evil = RECIPE.replace("use: glue, name: mrpc", "use: os.system")
    glue_hub.add("models", "someone/evil", {"zoo.yaml": evil.encode()})
    assert "'os.system' is in Python's standard library" in glue("reproduce", "someone/evil").err


def test_the_projects_lock_is_checked_offline_and_is_for_the_public_hub(glue: Zoo, glue_hub: LocalHub) -> None:
    lock = ROOT / "configs" / "zoo.lock"
    assert glue("lock", "--check", "--lock", lock).code == 0
    completed = glue("lock", "--update", "bert-base-uncased-cola", "--lock", lock)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert f"is for https://huggingface.co, not for {glue_hub.url}" in completed.err


def test_a_lock_is_updated_to_the_newest_commit(glue: Zoo, glue_hub: LocalHub, tmp_path: Path) -> None:
    first = glue("lock", "--update", "bert-base-uncased-cola")
    assert first.code == 0, first.err
    assert all(line.startswith("+ ") for line in first.out.splitlines())
    repo = glue_hub.repos["models", COLA]
    before, files = repo.main, dict(repo.commits[repo.main])
    assert read_lock(tmp_path / "zoo.lock").pins[f"hub:{COLA}"].revision == before
    try:
        glue_hub.add("models", COLA, {**files, **classifier("base", 2, seed=99)})
        again = glue("lock", "--update", "bert-base-uncased-cola")
        assert f"- hub:{COLA} revision {before}" in again.out
        assert glue("lock", "--update", "bert-base-uncased-cola").out == ""
    finally:
        glue_hub.add("models", COLA, files)
    listed = json.loads(glue("lock", "bert-base-uncased-cola", "--json").out)["sources"]
    assert all(source["pinned"] == "lock" for source in listed)
