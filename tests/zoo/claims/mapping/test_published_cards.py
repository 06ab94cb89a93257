"""One `zoo verify` of many real-looking model cards: one verdict for each claim, with the right reason."""

import json
from pathlib import Path

import pytest

from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from tests.helpers.published_cards import publish

WITHOUT_CLAIMS = {
    "no-claims": "no-claims", "empty-index": "no-claims", "all-MiniLM-L6-v2": "no-claims", "gated": "gated",
    "broken-yaml": "unreadable",
}  # fmt: skip
"""Models of which no claim can be read, and the reason."""


def test_every_claim_of_real_looking_cards_gets_one_verdict(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub() as hub:
        expected = publish(hub)
        run = use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "lock.json", monkeypatch=monkeypatch)
        done = run("verify", *expected, "--json")
        text = run("verify", *(f"someone/{name}" for name in WITHOUT_CLAIMS))
        permuted = run("verify", "someone/permuted", "someone/label-n").out
    assert (done.code, text.code) == (1, 3), done.err
    entries = {entry["entry"].replace("--", "/"): entry for entry in json.loads(done.out)["entries"]}
    assert list(entries) == list(expected)
    for name, claims in expected.items():
        found = [(claim["metric"], claim["verdict"]) for claim in entries[name]["claims"]]
        assert found == [(metric, verdict) for metric, verdict, _ in claims], (name, entries[name])
        for claim, (_, _, reason) in zip(entries[name]["claims"], claims, strict=True):
            assert reason in claim["why"], name
        assert entries[name]["error"] is None
    assert entries["someone/with-loss"]["verdict"] == "reproduced"
    names = [claim["name"] for claim in entries["someone/half-readable"]["claims"]]
    assert names == ["accuracy on reviews validation", "(no metric) on reviews", "(unreadable) on other.yaml"]
    for name, reason in WITHOUT_CLAIMS.items():
        assert entries[f"someone/{name}"]["verdict"] == "not-compared"
        assert f"\nsomeone/{name}: not-compared\n  {reason}: " in text.out
    findings = entries["someone/permuted"]["findings"]
    assert "if negative is positive, positive is negative" in str(findings)
    notes = [line.strip() for line in permuted.splitlines() if "note: " in line]
    assert notes == [f"note: {finding}" for finding in findings]  # and none of a model that is as claimed
