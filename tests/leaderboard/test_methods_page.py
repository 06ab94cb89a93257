"""The page of methods: ranking by paired differences, and the paper, equation and layers of each loss."""

import re
import subprocess
import sys
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from scipy import stats

from harness.losses import __all__ as exported
from harness.records.record import FILE, read_record
from harness.records.run_folder import new_folder
from leaderboard import committed_pages, losses, methods, page, suite_page, table
from leaderboard.markdown_parts import markdown_table
from tests.helpers.project import ROOT, TINY, Zoo
from zoo import paths
from zoo.errors import IntegrityError
from zoo.recipes import catalogue
from zoo.recipes.schema import load_recipe
from zoo.recipes.values import Call

EVIDENCE = ROOT / "leaderboard" / "records"
COMMITTED = read_record(min((EVIDENCE / "digits-resnet8").glob(f"retrain-seed1000-*/{FILE}")))
CLAIM = "claims: [{of: retrain, split: test, metric: accuracy, source: us, value: 0.9, sigma: 0.01}]\n"
TEACHER = "    teacher: {entry: large}\n    criterion:"
PLAIN = {1000: 0.90, 1001: 0.92, 1002: 0.94}


class Board:
    """A catalogue of one plain student and some methods, with their records."""

    def __init__(self, root: Path) -> None:
        self.configs, self.evidence = root / "configs", root / "records"
        self.add("plain", "ce: {loss: CrossEntropy}", suite="starter", claims=CLAIM)
        self.run("plain", PLAIN)

    def add(self, name: str, terms: str, *, suite: str = "methods", claims: str = "", head: str = "") -> None:
        """Write a recipe; recipes of the methods suite have a teacher."""
        text = TINY.replace("name: tiny", f"name: {name}").replace("ce: {loss: CrossEntropy}", terms)
        text = text.replace("    criterion:", TEACHER) if suite == "methods" else text
        path = self.configs / suite / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}{text}{claims}", encoding="utf-8")

    def run(self, name: str, values: Mapping[int, float]) -> None:
        """Write a record for each seed."""
        (entry,) = [entry for entry in catalogue.entries() if entry.name == name]
        for seed, value in values.items():
            identity = replace(COMMITTED.identity, digest=entry.recipe.digest, seed=seed)
            scores = {"accuracy": {"value": value, "one_prediction": 0.01}}
            results = tuple(replace(result, metrics=scores, n=100) for result in COMMITTED.results)
            record = replace(COMMITTED, entry=name, identity=identity, recipe=entry.recipe.data(), results=results)
            with new_folder(self.evidence / name / identity.folder, identity.key) as folder:
                (folder / FILE).write_text(record.to_json(), encoding="utf-8")

    def cells(self, column: str) -> dict[str, str]:
        """Return a column of the page: method -> cell."""
        text = methods.render(self.evidence)
        table = next(part for part in text.split("\n\n") if f" {column} " in part and part.startswith("| method"))
        lines = table.replace("\u00a0", " ").splitlines()
        head, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        assert {len(row) for row in rows} == {len(head)}
        return {re.sub(r"\[?(\w+).*", r"\1", row[0]): row[head.index(column)] for row in rows}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(paths, "configs", lambda: tmp_path / "configs")
    return Board(tmp_path)


def test_methods_are_ranked_by_their_gain_and_methods_without_runs_come_last(board: Board) -> None:
    for name in ("a_unrun", "b_worse", "c_better", "d_once"):
        board.add(name, "kd: {loss: KD}")
    better = {1000: 0.95, 1001: 0.93, 1002: 0.96}
    board.run("b_worse", {seed: value - 0.01 for seed, value in PLAIN.items()})
    board.run("c_better", {**better, 1007: 0.5, 3: 0.1})
    board.run("d_once", {1000: 0.91})
    assert board.cells("difference, points") == {"c_better": "+2.67", "b_worse": "-1.00", "d_once": "", "a_unrun": ""}
    assert [*board.cells("runs").items()] == [
        ("c_better", "[4](records/c_better) (3 paired)"), ("b_worse", "[3](records/b_worse)"),
        ("d_once", "[1](records/d_once) (0 paired)"), ("a_unrun", ""),
    ]  # fmt: skip
    values = [*better.values(), 0.5]
    assert board.cells("accuracy") == {
        "c_better": f"{fmean(values):.4f} ± {stdev(values):.4f}",
        "b_worse": "0.9100 ± 0.0200", "d_once": "0.9100", "a_unrun": "not-run",
    }  # fmt: skip
    t = stats.ttest_rel([*better.values()], [*PLAIN.values()]).confidence_interval(0.95)
    assert board.cells("95 % interval")["c_better"] == f"{100 * t.low:+.2f} to {100 * t.high:+.2f}"
    text = methods.render(board.evidence)
    assert "Of the 2 intervals here, 1 exclude zero; about 0.1 would by chance." in text
    assert "1 epoch in batches of 64 with SGD (lr 0.1, momentum 0.9). Its accuracy on test (100 examples) is" in text


def test_runs_of_an_older_recipe_do_not_count(board: Board) -> None:
    board.add("method", "kd: {loss: KD}")
    board.run("method", PLAIN)
    board.add("method", "kd: {loss: KD, weight: 2}")
    assert board.cells("accuracy") == {"method": "not-run"}


def test_a_catalogue_without_methods_has_a_page_without_tables(board: Board) -> None:
    text = methods.render(board.evidence)
    assert "zoo reproduce kd" in text
    assert "| method" not in text


def test_a_method_whose_student_is_not_in_the_starter_suite_is_shown_apart(board: Board) -> None:
    board.add("odd", "kd: {loss: KD}")
    path = board.configs / "methods" / "odd.yaml"
    path.write_text(path.read_text().replace("width: 2", "width: 4"))
    assert "## Other students\n\nNo entry" in methods.render(board.evidence)
    assert board.cells("score") == {"odd": "not-run"}


def test_the_first_page_counts_the_claims_of_each_suite_and_the_pages_of_suites_show_them(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committed_pages, "verify_all", lambda evidence: None)
    board.add("method", "kd: {loss: KD}", claims=CLAIM)
    pages = committed_pages.render(board.evidence)
    assert [*pages] == ["README.md", "methods.md", "suites/methods.md", "suites/starter.md"]
    front = pages["README.md"].block
    assert front.startswith("2 claims of 2 entries: 2 not-run. 1 of the 2 not-run claims have recorded reference runs,")
    assert "| [starter] | 1 | 0 | 0 | 0 | 0 | 1 | 0 |" in front
    assert "\n[starter]: suites/starter.md" in front
    of_suite = pages["suites/methods.md"].block
    assert "2 claims of 2 entries" not in of_suite and "reference runs" not in of_suite
    assert re.search(r"^\| \[method\] +\| retraining: accuracy on test +\|", of_suite, re.MULTILINE)
    assert "\n[method]: ../../configs/methods/method.yaml" in of_suite
    assert "method.yaml" not in front + pages["suites/starter.md"].block
    assert "[suites/methods.md](suites/methods.md)" in pages["methods.md"].block


def test_verdicts_are_on_the_left_also_if_none_has_run() -> None:
    _, rule, _ = markdown_table([{"verdict": "not-run", "measured": "not-run"}]).splitlines()
    assert rule.split("|")[1].startswith(":-") and rule.split("|")[2].endswith("-:")


def test_only_generated_pages_of_former_suites_are_deleted(tmp_path: Path) -> None:
    suites = tmp_path / "suites"
    suites.mkdir()
    (suites / "NOTES.md").write_text("mine")
    (suites / "former.md").write_text(page.SUITE_INTRODUCTION.format(suite="former"))
    assert committed_pages.stale(tmp_path, {}) == [suites / "former.md"]
    assert committed_pages.delete_former(tmp_path, {}) == [suites / "former.md"]
    assert [path.name for path in suites.iterdir()] == ["NOTES.md"]


def test_the_second_table_has_one_row_per_method_with_its_losses_papers_and_layers(board: Board) -> None:
    board.add("two", "a: {loss: SKDInstance}\n      b: {loss: SKDDirection}\n      kd: {loss: KD}")
    board.add(
        "again", "a: {loss: {use: Hint, student: x, teacher: y}}\n      b: {loss: {use: Hint, student: x, teacher: z}}"
    )
    hint, direction = "[Hint](../harness/losses/hint.py)", "[SKDDirection](../harness/losses/skd.py)"
    assert board.cells("method and its losses") == {
        "again": f"again<br>{hint}", "two": f"two<br>[SKDInstance](../harness/losses/skd.py)<br>{direction}",
    }  # fmt: skip
    found = board.cells("papers and equations")
    paper, equation = found["again"].split("<br>")
    assert paper.startswith("Romero et al., FitNets: Hints")
    assert equation == r"`1/n \|r(f_s) - f_t\|^2`"
    paper, *equations = found["two"].split("<br>")
    assert "CVPR 2026" in paper
    assert equations[0] == r"`1/B sum_i KL(softmax(t_i / T) \|\| softmax(s_i / T))`"
    assert equations[1].startswith("`1/B sum_i sqrt(")
    assert board.cells("layers") == {
        "again": "student's `x`; teacher's `y`<br>student's `x`; teacher's `z`", "two": "logits",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ("ce: {loss: CrossEntropy}\n      kd: {loss: KD}", ["KD"]),
        ("kd: {loss: KD}\n      a: {loss: DIST}\n      b: {loss: VID}", ["DIST", "VID"]),
        ("ce: {loss: CrossEntropy}", ["CrossEntropy"]),
        ("a: {loss: KL}\n      ce: {loss: CrossEntropy}", ["KL"]),
    ],
)
def test_the_losses_of_a_method_leave_out_those_of_the_labels_and_kd_beside_others(
    terms: str, found: list[str], board: Board
) -> None:
    board.add("method", terms)
    recipe = load_recipe(board.configs / "methods" / "method.yaml")
    assert [call.use for call in methods.method_losses(recipe)] == found


@pytest.mark.parametrize(
    ("use", "args", "layers"),
    [
        ("DKD", {}, "logits"),
        ("VID", {"student": ("a", "b"), "teacher": ("a", "b")}, "`a`, `b` of both"),
        ("SRD", {"student": "a", "teacher": "b"}, "student's `a`; teacher's `b`; logits"),
        ("Paraphrase", {"teacher": "b"}, "teacher's `b`"),
        ("FeatureNorm", {"of": "a", "p": 1}, "student's `a`"),
        ("FSP", {"student": [["a", "b"]], "teacher": [["c", "d"]]}, "student's `a`, `b`; teacher's `c`, `d`"),
        ("TinyBERT", {"student_layers": ["a"], "teacher_layers": ["a"], "student": ["b"], "teacher": ["b"], "heads": 8},
         "`a`, `b` of both"),
    ],
)  # fmt: skip
def test_the_layers_of_a_loss_are_read_from_its_arguments(use: str, args: dict[str, object], layers: str) -> None:
    assert losses.describe_inputs(Call(use=use, args=args), losses.read_losses()[use]) == layers


@pytest.mark.parametrize(
    ("docstring", "paper"),
    [
        (
            "A loss.\n\n`s - t`\n\nPaper:\n    Wang et al., ABKD: Pursuing,\n    ICML 2025.\n\nArgs:\n    a: A.",
            "Wang et al., ABKD: Pursuing, ICML 2025",
        ),
        ("A regularizer.\n\n`s`\n\nAfter Szegedy et al. 2016.", ""),
    ],
)
def test_the_paper_of_a_loss_is_a_section_of_its_docstring(docstring: str, paper: str) -> None:
    assert losses.paper(docstring) == paper


@pytest.mark.parametrize(
    ("docstring", "equation"),
    [
        ("A loss of `(B, C)`.\n\n`a = b\n    + c`\n\n`d` is more.", "`a = b + c`"),
        ("A map of `(B, C)`.\n\n`d` is more.", "A map of `(B, C)`."),
    ],
)
def test_the_equation_of_a_loss_is_its_first_paragraph_in_backticks_or_the_summary(
    docstring: str, equation: str
) -> None:
    assert losses.equation(docstring) == equation


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("# A (B et al. 2020): what\n# it is.\n# More.\nname: x", "A (B et al. 2020): what it is."),
        ("# Short\nname: x", "Short"),
        ("name: x\n# Later.", ""),
    ],
)
def test_the_summary_of_a_recipe_is_the_first_sentence_of_its_leading_comment(text: str, summary: str) -> None:
    assert methods.recipe_summary(text) == summary


@pytest.mark.process
def test_every_loss_has_an_equation_and_the_page_is_rendered_without_torch() -> None:
    found = losses.read_losses()
    assert sorted(found) == sorted(exported)
    assert all(loss.equation.startswith("`") for loss in found.values())
    code = f"import sys, pathlib; from leaderboard import methods; methods.render(pathlib.Path({str(EVIDENCE)!r}))"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


PAGES = [ROOT / "leaderboard" / name for name in ("README.md", "methods.md")]
SUITES = sorted((ROOT / "leaderboard" / "suites").glob("*.md"))


@pytest.mark.parametrize("path", [*PAGES, *SUITES], ids=lambda path: path.name)
def test_every_link_of_the_committed_pages_leads_to_a_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    defined = dict(re.findall(r"^\[([^]\n]+)\]: (\S+)$", text, re.MULTILINE))
    links = [*re.findall(r"\]\(([^)#]+)", text), *defined.values()]
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert len(links) > 3
    used = {*re.findall(r"^\| \**\[([^]\n]+)\](?!\()", text, re.MULTILINE), *re.findall(r"\]\[([^]\n]+)\]", text)}
    assert used == {*defined}


def test_the_first_page_leads_to_every_suite_and_old_links_to_suites_lead_to_their_rows() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    for suite in (path.stem for path in SUITES):
        assert f'<a id="{suite}"></a>\n' in text
        assert f"\n[{suite}]: suites/{suite}.md\n" in text
        assert f"\n| [{suite}] | " in text


def visible(line: str) -> str:
    """Return a line as a reader sees it, without the targets of its links."""
    return re.sub(r"\[([^]]*)\](\([^)]*\)|\[[^]]*\])?|<a [^>]*></a>", r"\1", line)


def tables_of(path: Path) -> list[list[list[str]]]:
    """Return the tables of a page: the visible cells of each row below the head."""
    found = re.findall(r"(?:^\|.*\n)+", path.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [[visible(line) for line in text.splitlines()[2:]] for text in found]
    return [[[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in rows] for rows in lines]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_no_two_rows_of_an_entry_have_the_same_title(path: Path) -> None:
    """In the first table, the claimed score and its source also tell claims apart."""
    for place, rows in enumerate(tables_of(path)):
        names, entry = [], ""
        for first, *others in rows:
            entry = first if first.startswith("**") else entry
            names.append((entry, first, *([] if place else [others[0], others[-1]])))
        assert len({*names}) == len(names) > 0


def claim_row(**values: object) -> dict[Hashable, Any]:
    row = {"entry": "a", "of": "weights", "metric": "accuracy", "split": "test", "rows": "", "source": "a card"}
    return {**row, "reference": 0.9, "decimals": None, **values}


@pytest.mark.parametrize(
    ("other", "titles"),
    [
        ({"entry": "b"}, ["accuracy", "accuracy"]),
        ({"metric": "f1"}, ["accuracy", "f1"]),
        ({"split": "val"}, ["accuracy on test", "accuracy on val"]),
        ({"rows": "0-9"}, ["accuracy on test", "accuracy on test, rows 0-9"]),
        ({"reference": 0.8}, ["accuracy, claimed 0.9000", "accuracy, claimed 0.8000"]),
        ({"reference": None}, ["accuracy, claimed 0.9000", "accuracy, claimed without a value"]),
        ({"source": "a log"}, [f"accuracy on test, claimed 0.9000 by {source}" for source in ("a card", "a log")]),
    ],
)
def test_the_title_of_a_claim_tells_it_from_the_others_of_its_entry(other: dict[str, Any], titles: list[str]) -> None:
    shown = suite_page.short_titles([claim_row(), claim_row(**other)])
    assert shown == [f"published weights: {title}" for title in titles]


def test_dates_of_runs_and_numbers_of_seeds_lead_to_the_records() -> None:
    runs = (ROOT / "leaderboard/suites/starter.md").read_text(encoding="utf-8").partition("## Runs")[2]
    assert len(re.findall(r"\| \[\d{4}-\d\d-\d\d\]\[records/[\w-]+\]<br>", runs)) == 12
    gains = PAGES[0].read_text(encoding="utf-8").partition(f"## {page.GAINS}")[2]
    found = re.findall(r"^\| \[([\w-]+)\] .* \[\d+\]\[records/([\w-]+)\] \|$", gains, re.MULTILINE)
    assert len(found) == len(table.gains(EVIDENCE)) and all(entry == records for entry, records in found)


@pytest.mark.parametrize("path", [PAGES[0], *SUITES], ids=lambda path: path.name)
def test_tables_have_few_columns_and_their_cells_have_no_long_words(path: Path) -> None:
    for cells in (cells for rows in tables_of(path) for cells in rows):
        assert sum(max(len(word) for word in re.split(r"[\s-]|<br>", cell)) for cell in cells) <= 100, cells


def test_the_tables_of_the_first_page_have_fewer_than_100_columns() -> None:
    claims, gains = tables_of(PAGES[0])
    assert (len(claims), len(gains)) == (len(SUITES), len(table.gains(EVIDENCE)))
    lines = [line for line in PAGES[0].read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert max(len(visible(line)) for line in lines) < 100


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.name)
def test_the_claims_of_a_suite_are_shown_in_fewer_than_100_columns(path: Path) -> None:
    claims = path.read_text(encoding="utf-8").partition("## Claims")[2].partition("##")[0]
    rows = [re.split(r" *\| *", line.replace("[", "").replace("]", ""))[1:-1] for line in claims.splitlines()]
    texts = [" | ".join(cells) for cells in rows if cells and cells[0].strip(":-")]
    assert len(texts) > 1 and max(map(len, texts)) < 100


def test_every_method_is_compared_with_a_plain_student() -> None:
    assert {row["student"] for row in methods.rows(EVIDENCE)} <= {"digits-resnet8", "entail-bert-l2h32"}


@pytest.mark.slow
def test_the_command_writes_the_pages_and_names_a_stale_one(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    monkeypatch.setattr(paths, "configs", lambda: ROOT / "configs")
    (tmp_path / "leaderboard").mkdir()
    path = tmp_path / "leaderboard" / "methods.md"
    assert zoo("leaderboard", "--check").code == 1
    assert zoo("leaderboard").code == 0
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("# Methods\n", "# Methods\n\nBy hand.\n"), encoding="utf-8")
    assert zoo("leaderboard", "--check").code == 0
    path.write_text(text.replace("a rank is no finding", "a rank is a finding"), encoding="utf-8")
    completed = zoo("leaderboard", "--check")
    assert (completed.code, completed.lines) == (1, [f"{path} is out of date; run: zoo leaderboard"])
    former = tmp_path / "leaderboard" / "suites" / "former.md"
    former.write_text(page.SUITE_INTRODUCTION.format(suite="former"), encoding="utf-8")
    assert zoo("leaderboard", "--check").lines[1:] == [f"{former} is out of date; run: zoo leaderboard"]
    assert zoo("leaderboard").code == 0
    assert not former.exists()
    path.write_text("nothing", encoding="utf-8")
    with pytest.raises(IntegrityError, match="markers"):
        page.write(path, text)
