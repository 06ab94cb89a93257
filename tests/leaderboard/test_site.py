"""The static site: every row is shown, pages are accessible and self-contained, and only its folder is written."""

import math
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from harness.judging.types import VERDICTS_BY_SEVERITY
from harness.records.find_runs import read_all
from leaderboard import cells, site
from tests.helpers.html_tree import Node, parse_page
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, UsageError

EVIDENCE = ROOT / "leaderboard" / "records"
PLOTTED = "digits-resnet8_from_digits-resnet14"


@pytest.fixture(scope="module")
def pages(built_site: Path) -> dict[str, Node]:
    """The root of each page, by its path in the site."""
    return {str(path.relative_to(built_site)): parse_page(path) for path in sorted(built_site.rglob("*.html"))}


def test_the_index_shows_every_row_and_measured_claims_first(pages: dict[str, Node], rows: pd.DataFrame) -> None:
    body = pages["index.html"].all("tbody")[-1]
    ordered = sorted(rows.to_dict("records"), key=lambda row: row["n"] == 0)
    for row, line in zip(ordered, body.all("tr"), strict=True):
        entry, suite, claim, reference, measured, difference, band, verdict, audit, run = line.all("th", "td")
        assert [entry.all("a")[0].text, suite.text.split()[0], verdict.text] == [
            row["entry"],
            row["suite"],
            f"{row['label']} {cells.claim_cells(row)['note']}".strip(),
        ]
        assert claim.all("a")[0].attributes["href"].startswith(f"entries/{row['entry']}.html#")
        assert claim.text == f"{cells.KINDS[row['of']]} {row['metric']} on {row['split']}"
        for cell, value in ((reference, row["reference"]), (measured, row["measured"])):
            assert cell.text.startswith(cells.format_score(value, row["decimals"]))
            assert cell.attributes["data-value"] == ("" if pd.isna(value) else str(float(value)))
        if not math.isnan(row["spread"]):
            assert measured.text == f"{row['measured']:.4f} ± {row['spread']:.4f}, n = {row['n']}"
        assert difference.text == cells.difference_cell(row)
        assert band.text == cells.format_range(row["low"], row["high"], row["decimals"])
        assert audit.text == row["audit"]
        assert run.text == f"{row['date']} {row['environment']}".strip()


def test_the_page_of_each_entry_shows_its_claims_with_reason_and_source(
    pages: dict[str, Node], rows: pd.DataFrame
) -> None:
    lines = {name: iter(root.all("tbody")[0].all("tr")) for name, root in pages.items() if "/" in name}
    for row in rows.to_dict("records"):
        text = next(lines[f"entries/{row['entry']}.html"]).text
        claimed, measured = (cells.format_score(row[name], row["decimals"]) for name in ("reference", "measured"))
        shown = (claimed, measured, cells.difference_cell(row), cells.verdict_cell(row).replace(";", ""), row["why"])
        assert all(part in text for part in (*shown, " ".join(row["source"].split())))


def test_the_index_counts_the_verdicts(pages: dict[str, Node], rows: pd.DataFrame) -> None:
    verdicts = next(
        element for element in pages["index.html"].all("ul") if element.attributes.get("class") == "verdicts"
    )
    shown = {element.text.split()[1]: int(element.text.split()[0]) for element in verdicts.all("a")}
    assert shown == {name: int((rows["verdict"] == name).sum()) for name in VERDICTS_BY_SEVERITY}


def test_each_suite_has_a_page_with_its_claims_and_the_index_counts_them(
    pages: dict[str, Node], rows: pd.DataFrame
) -> None:
    counts = {line.all("th")[0].text: line.all("td") for line in pages["index.html"].all("tbody")[0].all("tr")}
    assert {name for name in pages if name.startswith("suites/")} == {f"suites/{suite}.html" for suite in counts}
    for suite, of_suite in rows.groupby("suite"):
        (body,) = pages[f"suites/{suite}.html"].all("tbody")
        assert sorted(line.all("a")[0].text for line in body.all("tr")) == sorted(of_suite["entry"])
        claims, *verdicts, audited = (int(cell.text or 0) for cell in counts[suite])
        assert (claims, sum(verdicts), audited) == (len(of_suite), len(of_suite), (of_suite["audit"] != "").sum())


def test_every_page_has_a_title_ordered_headings_and_unique_ids(pages: dict[str, Node]) -> None:
    for name, root in pages.items():
        assert root.all("html")[0].attributes["lang"] == "en"
        assert root.all("title")[0].text, name
        levels = [int(element.tag[1]) for element in root.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert (levels[0], levels.count(1)) == (1, 1), name
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
        ids = [element.attributes["id"] for element in root.descendants() if "id" in element.attributes]
        assert len(ids) == len(set(ids)), name


def test_every_control_has_a_label_and_every_drawing_a_description(pages: dict[str, Node]) -> None:
    for name, root in pages.items():
        labeled = [label.attributes["for"] for label in root.all("label") if label.text]
        assert [element.attributes["id"] for element in root.all("input", "select")] == labeled, name
        for drawing in (element for element in root.all("svg") if "aria-hidden" not in element.attributes):
            assert drawing.attributes["role"] == "img"
            named = drawing.attributes["aria-labelledby"].split()
            assert [element.attributes["id"] for element in drawing.all("title", "desc") if element.attributes] == named
            assert all(element.text for element in drawing.all("title", "desc"))


def test_every_page_of_a_claim_is_one_click_away_from_the_rules_of_verdicts(pages: dict[str, Node]) -> None:
    for name, root in pages.items():
        folder = "../" * name.count("/")
        (nav,) = [element for element in root.all("nav") if element.attributes["aria-label"] == "Site"]
        links = [element.attributes for element in nav.all("a")]
        assert [link["href"] for link in links] == [
            f"{folder}{page}.html" for page in ("index", "methods", "gains", "verdicts", "audit")
        ]
        assert [link["href"] for link in links if "aria-current" in link] == ([] if folder else [name])
    rules = pages["verdicts.html"]
    assert {"reproduced", "not-reproduced", "inconclusive"} <= {element.text for element in rules.all("code")}
    assert [element.attributes["src"] for element in rules.all("img")] == ["verdicts.svg"]


def test_every_claim_and_entry_links_to_the_records_behind_it(built_site: Path, pages: dict[str, Node]) -> None:
    for path, record in read_all(EVIDENCE):
        copy = f"records/{record.entry}/{record.identity.folder}.json"
        assert (built_site / copy).read_bytes() == path.read_bytes()
    root = pages[f"entries/{PLOTTED}.html"]
    weights, retrained, *_, records = (
        [link.attributes["href"] for link in part.all("a") if link.attributes["href"].startswith("../records/")]
        for part in [*root.all("tbody")[0].all("tr"), *root.all("table")]
        if part.tag == "tr" or "records" in part.attributes.get("class", "").split()
    )
    assert len(weights) == 1
    assert len(retrained) == 5
    copied = {f"../records/{PLOTTED}/{path.name}" for path in (built_site / "records" / PLOTTED).iterdir()}
    assert {*weights, *retrained} < {*records} >= copied


def test_pages_of_methods_and_gains_lead_to_entries(pages: dict[str, Node]) -> None:
    for name, (table, column) in {"methods.html": (0, "method"), "gains.html": (0, "student and teacher")}.items():
        shown = pages[name].all("table")[table]
        assert shown.all("th")[0].text == column
        for line in shown.all("tbody")[0].all("tr"):
            first, *others = line.all("a")
            assert first.attributes["href"] == f"entries/{first.text}.html"
            assert others or name == "methods.html"  # some methods have not been run
            assert all(link.attributes["href"].endswith(".html#records") for link in others)
            links = [cell for cell in line.all("td")[1:] if cell.all("a")]
            assert all("short" in cell.attributes["class"].split() for cell in links)  # their targets do not count
        assert "&lt;br&gt;" not in shown.text
        assert not any(element.attributes.get("href") == "" for element in pages[name].descendants())


def test_every_link_leads_to_an_existing_page_and_anchor(built_site: Path, pages: dict[str, Node]) -> None:
    ids = {name: {element.attributes.get("id") for element in root.descendants()} for name, root in pages.items()}
    for name, root in pages.items():
        targets = [
            element.attributes[key]
            for element in root.descendants()
            for key in ("href", "src")
            if key in element.attributes
        ]
        for target in targets:
            path, _, anchor = target.partition("#")
            if target == "data:,":
                continue
            linked = (built_site / name).parent / path if path else built_site / name
            assert linked.is_file(), f"{name}: {target}"
            if anchor and "=" not in anchor:  # with "=" it is a view of the index
                assert anchor in ids[str(linked.resolve().relative_to(built_site.resolve()))], f"{name}: {target}"


def test_pages_have_no_inline_code_and_load_nothing_from_a_network(built_site: Path, pages: dict[str, Node]) -> None:
    for name, root in pages.items():
        assert not [
            element for element in root.descendants() if "style" in element.attributes or element.tag == "style"
        ], name
        assert not [key for element in root.descendants() for key in element.attributes if key.startswith("on")], name
        assert not any(element.text for element in root.all("script")), name
    assert "http" not in (built_site / "site.css").read_text(encoding="utf-8")
    assert "http" not in (built_site / "site.js").read_text(encoding="utf-8")


@pytest.fixture
def small_evidence(damaged: Path, tmp_path: Path) -> Path:
    """The records of two entries, in a catalogue of these two."""
    for name in ("digits-resnet8", "entail-bert-l2h32"):
        shutil.copytree(EVIDENCE / name, tmp_path / "records" / name)
    for path in (damaged / "configs").glob("*/*.yaml"):
        if not (tmp_path / "records" / path.stem).is_dir() or path.parent.name != "starter":
            path.unlink()
    return tmp_path / "records"


def test_equal_records_give_equal_bytes(small_evidence: Path, tmp_path: Path) -> None:
    first, second = (
        [path.read_bytes() for path in site.write(small_evidence, tmp_path / name)] for name in ("first", "second")
    )
    assert first == second


def test_pages_of_deleted_entries_are_removed(small_evidence: Path, damaged: Path, tmp_path: Path) -> None:
    before = site.write(small_evidence, tmp_path / "site")
    (damaged / "configs" / "starter" / "entail-bert-l2h32.yaml").unlink()
    after = site.write(small_evidence, tmp_path / "site")
    gone = {path.relative_to(tmp_path / "site") for path in {*before} - {*after}}
    assert {path.parent.as_posix() for path in gone} == {"entries", "records/entail-bert-l2h32"}
    assert Path("entries/entail-bert-l2h32.html") in gone
    assert sorted(after) == sorted(path for path in (tmp_path / "site").rglob("*") if path.is_file())


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="something other than a leaderboard site"):
        site.write(EVIDENCE, tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        site.write(EVIDENCE, tmp_path / "index.html")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_nothing_is_written_if_predictions_differ_from_the_recorded_ones(tmp_path: Path) -> None:
    shutil.copytree(EVIDENCE / PLOTTED, tmp_path / "records" / PLOTTED)
    next((tmp_path / "records").rglob("*.npz")).write_bytes(b"other")
    with pytest.raises(IntegrityError):
        site.write(tmp_path / "records", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_html_in_a_recipe_is_shown_as_text(small_evidence: Path, damaged: Path, tmp_path: Path) -> None:
    recipe = damaged / "configs" / "starter" / "digits-resnet8.yaml"
    comment = '# A net <script>alert("1")</script> & more.\n'
    recipe.write_text(comment + recipe.read_text(encoding="utf-8"), encoding="utf-8")
    site.write(small_evidence, tmp_path / "site")
    root = parse_page(tmp_path / "site" / "entries" / "digits-resnet8.html")
    assert not root.all("script")
    assert comment.removeprefix("# ").strip() in root.all("p")[0].text
    assert comment.strip() in root.all("pre")[-1].text
