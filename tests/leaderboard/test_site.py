"""The leaderboard as a site: the same numbers in every form, and pages that work on a phone, by keyboard and in print.

What needs a browser runs in a headless Chromium where there is one, on the site of the committed records.
"""

import csv
import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.judging.types import GRAVITY
from harness.records.record import read_all
from leaderboard import cells, site, strip_plot, table
from leaderboard.entry_page import commands
from leaderboard.flips import compare_records
from leaderboard.strip_plot import Run
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, UsageError
from zoo.recipes import catalogue

EVIDENCE = ROOT / "leaderboard" / "records"
PLOTTED, UNRUN = "digits-resnet8_from_digits-resnet14", "bert-base-uncased-mrpc"
VOID = ("meta", "link", "input", "wbr", "br", "img")


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    children: "list[Node | str]" = field(default_factory=list)

    def all(self, *tags: str) -> "list[Node]":
        """The elements of those names in it, in their order."""
        inner = [child for child in self.children if isinstance(child, Node)]
        return [one for child in inner for one in ([child] if child.tag in tags else []) + child.all(*tags)]

    @property
    def text(self) -> str:
        return " ".join("".join(c.text if isinstance(c, Node) else c for c in self.children).split())


class Tree(HTMLParser):
    """A page as elements; fails where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = [Node("", {})]
        self.feed(text)
        assert len(self.open) == 1, f"never closed: {self.open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(path: Path) -> Node:
    return Tree(path.read_text(encoding="utf-8")).open[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed records, built once."""
    folder = tmp_path_factory.mktemp("site")
    site.write(EVIDENCE, folder)
    return folder


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return table.rows(EVIDENCE)


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Node]:
    """Each page's elements, by its path in the site."""
    return {str(path.relative_to(built)): parsed(path) for path in sorted(built.rglob("*.html"))}


def same(cell: Any, value: Any) -> bool:
    """Whether a cell of text, or of JSON, holds that very value; one that is no number is empty, or null."""
    if value is None or value != value:  # noqa: PLR0124
        return cell in ("", None)
    return float(cell) == value if isinstance(value, int | float) else cell == value


def test_csv_and_json_hold_every_row_at_full_precision(built: Path, rows: pd.DataFrame) -> None:
    with (built / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        lines = [*csv.DictReader(file)]
    told = json.loads((built / "leaderboard.json").read_text(encoding="utf-8"))
    assert told["schema"] == 1
    for row, line, data in zip(rows.to_dict("records"), lines, told["rows"], strict=True):
        assert [*line] == [*data] == [*row]
        assert all(same(line[name], value) and same(data[name], value) for name, value in row.items()), row


def test_markdown_holds_every_row(built: Path, rows: pd.DataFrame) -> None:
    text = (built / "leaderboard.md").read_text(encoding="utf-8")
    head, *lines = [[c.strip() for c in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    lines = [line for line in lines if line != head and set(line[0]) - set(":-|")]
    for row, line in zip(rows.to_dict("records"), lines, strict=True):
        cell = dict(zip(head, line, strict=False))  # the last cell may be empty
        assert cell["entry"] == row["entry"]
        assert cell["claim"] == f"{row['of']}, {row['split']} {row['metric']}"
        assert cell["verdict"] == row["verdict"]
        assert cell["reference"].startswith(cells.format_score(row["reference"]))
        assert cell["measured"].startswith(cells.format_score(row["measured"]))
        assert cell["band"] == cells.format_range(row["low"], row["high"])
        assert cell["difference"] == cells.format_difference(row)


def test_the_index_and_the_entries_hold_every_row(pages: dict[str, Node], rows: pd.DataFrame) -> None:
    (shown,) = pages["index.html"].all("tbody")
    entries = {name: iter(root.all("tbody")[0].all("tr")) for name, root in pages.items() if "/" in name}
    for row, line in zip(sorted(rows.to_dict("records"), key=lambda row: row["n"] == 0), shown.all("tr"), strict=True):
        entry, suite, claim, reference, measured, difference, band, verdict, run = line.all("th", "td")
        assert [entry.text, suite.text, verdict.text] == [row["entry"], row["suite"], row["verdict"]]
        assert claim.text == f"{cells.KINDS[row['of']]} {row['split']} {row['metric']}"
        for cell, value in ((reference, row["reference"]), (measured, row["measured"])):
            assert same(cell.attributes["data-value"], value)
            assert cell.text.startswith(cells.format_score(value))
        if not math.isnan(row["spread"]):
            assert measured.text == f"{row['measured']:.4f} ± {row['spread']:.4f}, n = {row['n']}"
        assert difference.text == cells.format_difference(row)
        assert band.text == cells.format_range(row["low"], row["high"])
        assert run.text == f"{row['date']} {row['environment']}".strip()
    for row in rows.to_dict("records"):
        told = next(entries[f"entries/{row['entry']}.html"]).text
        numbers = (
            cells.format_score(row["reference"]),
            cells.format_score(row["measured"]),
            cells.format_difference(row),
        )
        assert all(one in told for one in (*numbers, row["verdict"], row["why"], " ".join(row["source"].split())))


def test_the_verdicts_are_counted(pages: dict[str, Node], rows: pd.DataFrame) -> None:
    verdicts = next(one for one in pages["index.html"].all("ul") if one.attributes.get("class") == "verdicts")
    shown = {one.text.split()[1]: int(one.text.split()[0]) for one in verdicts.all("a")}
    assert shown == {name: int((rows["verdict"] == name).sum()) for name in GRAVITY}


def test_every_page_can_be_read_by_all(pages: dict[str, Node]) -> None:
    for name, root in pages.items():
        assert root.all("html")[0].attributes["lang"] == "en"
        assert root.all("title")[0].text, name
        levels = [int(one.tag[1]) for one in root.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert (levels[0], levels.count(1)) == (1, 1), name
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
        labelled = [label.attributes["for"] for label in root.all("label") if label.text]
        assert [one.attributes["id"] for one in root.all("input", "select")] == labelled, name
        ids = [one.attributes["id"] for one in everything(root) if "id" in one.attributes]
        assert len(ids) == len(set(ids)), name
        for drawing in (one for one in root.all("svg") if "aria-hidden" not in one.attributes):
            named = drawing.attributes["aria-labelledby"].split()
            assert drawing.attributes["role"] == "img"
            assert [one.attributes["id"] for one in drawing.all("title", "desc") if one.attributes] == named
            assert all(one.text for one in drawing.all("title", "desc"))


def test_nothing_is_inline_or_from_elsewhere_and_links_lead_somewhere(built: Path, pages: dict[str, Node]) -> None:
    ids = {name: {one.attributes.get("id") for one in everything(root)} for name, root in pages.items()}
    for name, root in pages.items():
        targets = [one.attributes[key] for one in everything(root) for key in ("href", "src") if key in one.attributes]
        for target in targets:
            path, _, place = target.partition("#")
            if target == "data:,":
                continue
            linked = (built / name).parent / path if path else built / name
            assert linked.is_file(), f"{name}: {target}"
            if place and "=" not in place:
                assert place in ids[str(linked.resolve().relative_to(built.resolve()))], f"{name}: {target}"
        assert not [one for one in everything(root) if "style" in one.attributes or one.tag == "style"], name
        assert not [key for one in everything(root) for key in one.attributes if key.startswith("on")], name
        assert not any(one.text for one in root.all("script")), name
    assert "http" not in (built / "site.css").read_text(encoding="utf-8")
    assert "http" not in (built / "site.js").read_text(encoding="utf-8")


def everything(root: Node) -> Iterator[Node]:
    for child in root.children:
        if isinstance(child, Node):
            yield child
            yield from everything(child)


def test_an_entry_tells_its_runs_and_how_to_run_them(pages: dict[str, Node]) -> None:
    root, records = pages[f"entries/{PLOTTED}.html"], [r for _, r in read_all(EVIDENCE) if r.entry == PLOTTED]
    text = root.text
    for record in records:
        assert record.identity.folder in text
        assert record.identity.key[:12] in text
        assert record.environment["commit"][:7] in text
    claim = catalogue.one(PLOTTED).recipe.claims[-1]
    again = f" --train --seeds {claim.reference_runs} --first-seed 1000"
    for command in ("", f" --train --seeds {claim.seeds}", again):
        assert f"zoo reproduce {PLOTTED}{command}" in [one.text for one in root.all("code")]
    assert f"name: {PLOTTED}" in root.all("pre")[-1].text
    assert len(root.all("circle")) == sum((record.identity.seed or 0) >= 1000 for record in records)
    assert {one.text for one in root.all("dt")} >= {"torch", "python", "threads", "device"}


def test_an_entry_that_was_never_run_says_so(pages: dict[str, Node]) -> None:
    text = pages[f"entries/{UNRUN}.html"].text
    assert "No run of it is committed." in text
    assert f"zoo reproduce {UNRUN} --train --seeds 8" in text
    assert not pages[f"entries/{UNRUN}.html"].all("svg")


def test_commands_name_the_data_that_a_reader_must_have() -> None:
    told = dict(commands(catalogue.one("ilsvrc2012-resnet18_from_resnet34")))
    assert all(command.endswith(" --data ilsvrc2012=DIR") for command in told.values())


@pytest.fixture
def small(damaged: Path, tmp_path: Path) -> Path:
    """The records of two entries, which are all there are in the catalogue."""
    for name in ("digits-resnet8", "entail-bert-l2h32"):
        shutil.copytree(EVIDENCE / name, tmp_path / "records" / name)
    for path in (damaged / "configs").glob("*/*.yaml"):
        if not (tmp_path / "records" / path.stem).is_dir() or path.parent.name != "starter":
            path.unlink()
    return tmp_path / "records"


def test_the_same_records_give_the_same_bytes(small: Path, tmp_path: Path) -> None:
    one, other = ([path.read_bytes() for path in site.write(small, tmp_path / name)] for name in ("one", "other"))
    assert one == other


def test_pages_of_entries_that_are_no_more_are_removed(small: Path, damaged: Path, tmp_path: Path) -> None:
    first = site.write(small, tmp_path / "site")
    (damaged / "configs" / "starter" / "entail-bert-l2h32.yaml").unlink()
    then = site.write(small, tmp_path / "site")
    assert {path.name for path in first} - {path.name for path in then} == {"entail-bert-l2h32.html"}
    assert sorted(then) == sorted(path for path in (tmp_path / "site").rglob("*") if path.is_file())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        site.write(EVIDENCE, tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        site.write(EVIDENCE, tmp_path / "index.html")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_changed_predictions_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    shutil.copytree(EVIDENCE / PLOTTED, tmp_path / "records" / PLOTTED)
    next((tmp_path / "records").rglob("*.npz")).write_bytes(b"other")
    with pytest.raises(IntegrityError):
        site.write(tmp_path / "records", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_what_a_recipe_says_stays_text(small: Path, damaged: Path, tmp_path: Path) -> None:
    recipe = damaged / "configs" / "starter" / "digits-resnet8.yaml"
    said = '# A net <script>alert("1")</script> & more.\n'
    recipe.write_text(said + recipe.read_text(encoding="utf-8"), encoding="utf-8")
    site.write(small, tmp_path / "site")
    root = parsed(tmp_path / "site" / "entries" / "digits-resnet8.html")
    assert not root.all("script")
    assert said.removeprefix("# ").strip() in root.all("p")[0].text
    assert said.strip() in root.all("pre")[-1].text


def test_flips_are_of_the_same_weights_and_examples(tmp_path: Path) -> None:
    shutil.copytree(EVIDENCE / PLOTTED, tmp_path / PLOTTED)
    file = next((tmp_path / PLOTTED).glob("weights-*/*.npz"))
    with np.load(file) as kept:
        arrays = dict(kept)
    wrong = np.flatnonzero(arrays["predictions"] != arrays["labels"])[:1]
    right = np.flatnonzero(arrays["predictions"] == arrays["labels"])[:2]
    arrays["predictions"][wrong] = arrays["labels"][wrong]
    arrays["predictions"][right] = (arrays["labels"][right] + 1) % 10
    arrays["logits"][0, 0] += 0.5
    np.savez(file, **arrays)
    (row,) = compare_records(catalogue.one(PLOTTED), read_all(tmp_path))
    assert (row["n"], row["differ"], row["gained"], row["lost"]) == (len(arrays["labels"]), 3, 1, 2)
    assert row["drift"] == pytest.approx(0.5, abs=1e-6)
    assert (row["a"].split("-")[1], row["b"].split("-")[0]) == ("seed1000", "weights")
    arrays["labels"][0] += 1
    np.savez(file, **arrays)
    assert not compare_records(catalogue.one(PLOTTED), read_all(tmp_path))


def test_a_plot_places_runs_by_their_values() -> None:
    runs = [
        Run(seed=seed, value=value, kind="reference") for seed, value in ((1000, 0.90), (1001, 0.92), (1002, 0.9201))
    ]
    runs += [Run(seed=0, value=0.91, kind="judged"), Run(seed=1, value=0.5, kind="set aside")]
    runs += [Run(seed=2, value=math.nan, kind="judged")]
    plot = strip_plot.strip_plot("accuracy", "test", runs, 0.91, (0.89, 0.93), (0.90, 0.92))
    assert plot is not None
    place = {dot.label: dot for dot in plot.dots}
    assert [*place] == [
        "seed 1000: 0.9000",
        "seed 1001: 0.9200",
        "seed 1002: 0.9201",
        "seed 1: 0.5000, set aside",
        "seed 0: 0.9100",
    ]
    first, second = place["seed 1001: 0.9200"], place["seed 1002: 0.9201"]
    assert first.y - second.y == strip_plot.STEP  # too near to stand side by side
    assert place["seed 0: 0.9100"].x == plot.claimed
    assert plot.band is not None and plot.equivalent is not None
    assert plot.band[0] < plot.equivalent[0] < plot.claimed < sum(plot.equivalent) < sum(plot.band)
    assert all(0 <= x <= 100 for x, _ in plot.ticks)
    assert "3 reference runs: from 0.9000 to 0.9201, mean 0.9134." in plot.description
    assert "1 run set aside: 0.5000." in plot.description
    assert "Prediction band of the mean: 0.8900 to 0.9300." in plot.description
    assert strip_plot.strip_plot("accuracy", "test", runs[-1:], 0.91, None, None) is None


@pytest.mark.parametrize("span", [(0.9, 0.9), (0.0, 1.0), (0.97011, 0.97012), (-0.4, 0.3), (0.123, 0.456)])
def test_ticks_are_few_round_and_different(span: tuple[float, float]) -> None:
    low, high = strip_plot._limits([*span])
    found = strip_plot.ticks(low, high)
    assert 2 <= len(found) <= 6
    assert len({label for _, label in found}) == len(found)
    assert all(low <= value <= high and float(label) == pytest.approx(value, abs=1e-9) for value, label in found)


# In a browser.


@dataclass
class Tab:
    """A page in a browser, and what it asked for or complained of."""

    page: Any
    root: Path
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def open(self, name: str) -> Any:
        self.page.goto(f"{self.root.as_uri()}/{name}")
        return self.page

    def entries(self) -> list[str]:
        """The entries in the rows that are shown."""
        return self.column(0)

    def waits_for(self, shown: int, of: int) -> None:
        """Until so many rows are shown; a changed address is followed a moment later."""
        said = f"{shown} of {of} claims" if shown < of else f"{of} claims"
        self.page.locator("#shown", has_text=re.compile(f"^{said}$")).wait_for()
        assert len(self.entries()) == shown

    def column(self, number: int) -> list[str]:
        found: list[str] = self.page.eval_on_selector_all(
            "#claims tbody tr:not([hidden])",
            "(rows, n) => rows.map((row) => row.cells[n].dataset.value ?? row.cells[n].textContent.trim())",
            number,
        )
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is here")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any, built: Path, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """A new tab, 1280 pixels wide and light unless the test says otherwise; it may ask for files alone."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **getattr(request, "param", {})})
    tab = Tab(context.new_page(), built)
    tab.page.on("request", lambda asked: tab.requests.append(asked.url))
    tab.page.on("console", lambda message: tab.said.append(message.text))
    tab.page.on("pageerror", lambda error: tab.said.append(str(error)))
    yield tab
    context.close()
    assert not tab.said
    assert not [url for url in tab.requests if not url.startswith(("file:", "data:"))]


SCREENS = [(width, height, scheme) for width, height in ((1280, 900), (390, 844)) for scheme in ("light", "dark")]
CONTRAST = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [...n.slice(0, 3), n[3] ?? 1]; };
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) {
    const found = parse(getComputedStyle(at).backgroundColor); if (found[3] === 1) return found; }
    throw new Error("no background"); };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(own || element.matches("input, select")) || element.matches("title, desc, option")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element), colour = parse(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(colour.slice(0, 3)), light(behind(element).slice(0, 3))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([Math.round(ratio * 100) / 100, element.className.baseVal ?? element.className, element.tagName]);
  }
  return found;
}"""


@pytest.mark.parametrize("name", ["index.html", f"entries/{PLOTTED}.html", f"entries/{UNRUN}.html"])
def test_pages_fit_the_screen_and_can_be_read(tab: Tab, name: str, tmp_path: Path) -> None:
    image, opened = pytest.importorskip("PIL.Image"), tab.open(name)
    for width, height, scheme in SCREENS:
        opened.set_viewport_size({"width": width, "height": height})
        opened.emulate_media(color_scheme=scheme)
        wide, room = opened.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room, (width, scheme)
        assert opened.locator("h1").is_visible()
        assert opened.locator("tbody th").first.is_visible()
        contrasts = opened.evaluate(CONTRAST)
        assert len(contrasts) > 30
        assert min(contrasts)[0] >= 4.5, (width, scheme, min(contrasts))
        opened.screenshot(path=tmp_path / "shot.png")
        with image.open(tmp_path / "shot.png") as shot:
            assert shot.size == (width, height)
            colours = shot.convert("RGB").getcolors(width * height)
        assert len(colours) > 50, (width, scheme)  # letters have soft edges; a blank page has one colour
        most, colour = max(colours)
        assert most < 0.97 * width * height, (width, scheme)
        assert (sum(colour) < 3 * 128) == (scheme == "dark")


def test_every_badge_and_the_plot_are_seen(tab: Tab) -> None:
    opened = tab.open("index.html")
    assert [opened.locator(f".verdicts .badge.{name}").is_visible() for name in GRAVITY] == [True] * len(GRAVITY)
    opened = tab.open(f"entries/{PLOTTED}.html")
    box = opened.locator(".plot > svg").first.bounding_box()
    assert box["width"] > 600 and box["height"] > 80
    dot = opened.locator(".dot.reference circle").first.bounding_box()
    assert box["x"] <= dot["x"] <= box["x"] + box["width"]


def test_columns_are_sorted_by_a_click(tab: Tab, rows: pd.DataFrame) -> None:
    opened = tab.open("index.html")
    opened.get_by_role("button", name="Measured").click()
    numbers = [float(value) for value in tab.column(4) if value]
    assert numbers == sorted(rows["measured"].dropna())
    assert tab.column(4)[: len(numbers)] == [value for value in tab.column(4) if value]  # what is empty comes last
    assert opened.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    opened.get_by_role("button", name="Measured").click()
    assert [float(value) for value in tab.column(4)[: len(numbers)]] == numbers[::-1]
    assert opened.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    opened.get_by_role("button", name="Entry").focus()
    opened.keyboard.press("Enter")
    assert tab.column(0) == sorted(rows["entry"])
    opened.keyboard.press("Enter")
    assert tab.column(0) == sorted(rows["entry"], reverse=True)
    opened.get_by_role("button", name="Verdict").click()
    assert tab.column(7) == sorted((str(GRAVITY.index(verdict)) for verdict in rows["verdict"]), key=int)


def test_search_and_filters_narrow_the_rows(tab: Tab, rows: pd.DataFrame) -> None:
    opened = tab.open("index.html")
    opened.get_by_label("Search").fill("DIGITS retrain")
    assert {name.startswith("digits") for name in tab.entries()} == {True}
    shown = len(tab.entries())
    assert opened.get_by_role("status").inner_text() == f"{shown} of {len(rows)} claims"
    opened.get_by_label("Search").fill("no such thing")
    assert not tab.entries()
    assert opened.locator("#none").is_visible()
    opened.get_by_role("button", name="Clear").click()
    assert len(tab.entries()) == len(rows)
    opened.get_by_label("Suite").select_option("glue")
    assert len(tab.entries()) == (rows["suite"] == "glue").sum()
    opened.get_by_label("Verdict", exact=True).select_option("not-compared")
    chosen = (rows["suite"] == "glue") & (rows["verdict"] == "not-compared")
    assert len(tab.entries()) == chosen.sum() > 0
    opened.get_by_label("Claim of").select_option("test-server")
    assert len(tab.entries()) == (chosen & (rows["of"] == "test-server")).sum()


def test_a_view_can_be_linked(tab: Tab, rows: pd.DataFrame) -> None:
    opened = tab.open("index.html")
    opened.get_by_label("Search").fill("accuracy & more")
    opened.get_by_label("Search").fill("accuracy")
    opened.get_by_label("Suite").select_option("starter")
    opened.get_by_role("button", name="Recorded").click()
    before, view = tab.entries(), opened.evaluate("location.hash")
    assert view == "#q=accuracy&suite=starter&sort=recorded"
    opened.goto("about:blank")
    tab.open(f"index.html{view}")
    assert tab.entries() == before
    assert opened.get_by_label("Suite").input_value() == "starter"
    opened.locator(".verdicts a").first.click()
    tab.waits_for((rows["verdict"] == "reproduced").sum(), len(rows))
    tab.open("index.html#suite=unknown&sort=-unknown")
    tab.waits_for(len(rows), len(rows))
    tab.open(f"entries/{UNRUN}.html").get_by_role("link", name="glue", exact=True).click()
    tab.waits_for((rows["suite"] == "glue").sum(), len(rows))


@pytest.mark.parametrize("tab", [{"java_script_enabled": False}], indirect=True)
def test_it_works_without_a_script(tab: Tab, rows: pd.DataFrame) -> None:
    opened = tab.open("index.html")
    assert opened.locator("#claims tbody tr").count() == len(rows)
    assert opened.locator("#claims tbody tr").last.is_visible()
    assert not opened.get_by_label("Search").is_visible()
    opened.get_by_role("link", name=PLOTTED).first.click()
    assert opened.locator("h1").inner_text() == PLOTTED


@pytest.mark.parametrize("tab", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_shows_cards_that_can_be_sorted(tab: Tab, rows: pd.DataFrame) -> None:
    opened = tab.open("index.html")
    first = opened.locator("#claims tbody tr").first.bounding_box()
    assert first["width"] <= 390 and first["height"] > 100
    opened.get_by_label("Sort by").select_option("-measured")
    assert float(tab.column(4)[0]) == rows["measured"].max()
