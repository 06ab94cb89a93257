"""The task `token_classification`: files, labels of tokens, words that are not read, errors, and a training."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForTokenClassification, BertTokenizer, RobertaTokenizer

from harness.entity_metrics import entity_f1, token_accuracy
from harness.evaluation.evaluate import Evaluation, evaluate
from harness.evaluation.holdout import with_holdout
from harness.models.environment import accelerator_on
from harness.records.arrays import read_arrays
from tests.helpers.device import device
from tests.helpers.glue_hub import VOCABULARY
from tests.helpers.project import ROOT, Zoo
from zoo.errors import OutputsError, SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.recipes.schema import Holdout
from zoo.tasks import token_classification
from zoo.tasks.base import Task
from zoo.tasks.column_files import read_columns
from zoo.tasks.tagged_words import TaggedWords

RECIPE = ROOT / "tests" / "recipes" / "names.yaml"
NAMES = {"PER": (("ann", "bob", "cara"), ("smith", "jones")), "LOC": (("oslo", "rome"), ("city", "harbour"))}
"""The first and the second words of the entities of each type."""
OTHERS = ("the", "old", "cat", "sees", "and", "a")
TAGS = ["O", "B-PER", "I-PER"]
TOKENIZER = BertTokenizer(vocab={word: number for number, word in enumerate([*VOCABULARY, "##s"])})
CONLL = "-DOCSTART- -X- O\n\nthe DT O\ncats NN B-PER\ndog NN I-PER\n\ncat NN B-PER\n"


def source(path: Path, text: str) -> Source:
    path.write_text(text, encoding="utf-8")
    return Source(Sources(), f"file:{path}")


def lines(*rows: tuple[Any, Any]) -> str:
    return "".join(json.dumps({"tokens": words, "ner_tags": tags}) + "\n" for words, tags in rows)


def task(folder: Path, text: str = CONLL, ending: str = "conll", tokenizer: Any = TOKENIZER, **arguments: Any) -> Task:
    data = {"validation": source(folder / f"validation.{ending}", text)}
    return token_classification(data=data, tokenizer=tokenizer, **arguments)


def split(*arguments: Any, **options: Any) -> TaggedWords:
    loaded = task(*arguments, **options).load("validation")
    assert isinstance(loaded, TaggedWords)
    return loaded


class Oracle(torch.nn.Module):
    """Predicts one tag for each token, by its id."""

    def __init__(self, tags: int, of_token: dict[str, int]) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(len(TOKENIZER), tags))
        for word, tag in of_token.items():
            self.table.data[TOKENIZER.get_vocab()[word], tag] = 1

    def forward(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.table[input_ids].transpose(1, 2)


def scored(of_task: Task, of_token: dict[str, int], tags: int = 3) -> Evaluation:
    metrics = {"entity_f1": entity_f1, "token_accuracy": token_accuracy}
    return evaluate(Oracle(tags, of_token), of_task, "validation", metrics, accelerator=accelerator_on("cpu"))


def test_the_first_token_of_a_word_has_its_label(tmp_path: Path) -> None:
    loaded = split(tmp_path, classes=TAGS)
    assert loaded.texts == [("the", "cats", "dog"), ("cat",)]
    batch = loaded.batch([0, 1])
    assert isinstance(batch.inputs, dict)
    assert sorted(batch.inputs) == ["attention_mask", "input_ids", "token_type_ids"]
    tokens = TOKENIZER.convert_ids_to_tokens(batch.inputs["input_ids"][0])
    assert tokens == ["[CLS]", "the", "cat", "##s", "dog", "[SEP]"]
    assert batch.labels.tolist() == [[-100, 0, 1, -100, 2, -100], [-100, 1, -100, -100, -100, -100]]


def test_all_tokens_of_a_word_can_be_labelled_with_inside_tags(tmp_path: Path) -> None:
    batch = split(tmp_path, classes=TAGS, label_all_subwords=True).batch([0])
    assert batch.labels.tolist() == [[-100, 0, 1, 2, 2, -100]]


def test_tags_without_declared_names_are_sorted(tmp_path: Path) -> None:
    loaded = split(tmp_path)
    assert loaded.classes == ("B-PER", "I-PER", "O")
    assert loaded.labels.tolist() == [[2, 0, 1, -100], [0, -100, -100, -100]]
    assert "entities of the types PER; the tags fit IOB2" in loaded.notes[0]


def test_json_lines_hold_lists_of_words_and_tags(tmp_path: Path) -> None:
    loaded = split(tmp_path, lines((["a\tb", "é"], ["O", "B-PER"])), "jsonl", classes=TAGS)
    assert loaded.labels.tolist() == [[0, 1, -100]]
    assert list(loaded.rows()) == ['[["a\\tb","é"],[0,1]]'.encode()]


def test_a_column_of_a_file_is_named_by_its_position(tmp_path: Path) -> None:
    loaded = split(tmp_path, tags="1", scheme="none")
    assert loaded.classes == ("DT", "NN")
    assert scored(task(tmp_path, tags="1", scheme="none"), {"the": 0, "cat": 1, "dog": 1}, 2).values == {
        "token_accuracy": 1.0
    }


def test_tabs_separate_fields_that_may_hold_spaces(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("New York\tB-LOC\r\n\r\n\r\nis\tO\n", encoding="utf-8")
    assert read_columns(path).columns["tokens"] == [["New York"], ["is"]]


def test_words_that_are_cut_off_count_as_wrong(tmp_path: Path) -> None:
    right = {"the": 0, "cat": 1, "dog": 2}
    assert scored(task(tmp_path, classes=TAGS), right).values == {"entity_f1": 1.0, "token_accuracy": 1.0}
    cut = task(tmp_path, classes=TAGS, max_length=5)  # without `dog`: the entity is shorter than the true one
    found = scored(cut, right)
    assert found.values == {"entity_f1": 0.5, "token_accuracy": 0.75}
    note = "1 word of 1 sentence is cut off at max_length 5; such words count as wrong"
    assert cut.load("validation").notes[-1] == note  # type: ignore[attr-defined]
    left_out = scored(task(tmp_path, classes=TAGS, max_length=5, unread="left out"), right)
    assert left_out.values == {"entity_f1": 1.0, "token_accuracy": 1.0}


def test_words_without_a_token_count_as_wrong(tmp_path: Path) -> None:
    of_task = task(tmp_path, lines((["the", "\u200b"], ["O", "O"])), "jsonl", classes=TAGS)
    assert scored(of_task, {"the": 0}).values["token_accuracy"] == 0.5
    assert of_task.load("validation").notes[-1] == "1 word has no token; such words count as wrong"  # type: ignore[attr-defined]


def test_byte_level_tokenizers_read_words_after_a_space(tmp_path: Path) -> None:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "Ġ", "Ġa"]
    tokenizer = RobertaTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[("Ġ", "a")])
    loaded = split(tmp_path, lines((["a", "a"], ["O", "O"])), "jsonl", tokenizer, classes=TAGS)
    assert tokenizer.convert_ids_to_tokens(loaded.row_tokens(0)[0]) == ["<s>", "Ġa", "Ġa", "</s>"]
    assert "add_prefix_space" in loaded.notes[1]


@pytest.mark.parametrize(
    ("scheme", "classes", "note"),
    [
        (
            "BILOU",
            ["O", "B-PER", "I-PER"],
            "the tags do not fit BILOU: the strict reading finds no entity; they fit IOB2",
        ),
        ("IOB2", ["O", "I-PER"], "they fit IOB1, so write scheme: IOB1"),
        ("IOB2", ["O", "B-PER", "I-PER"], ""),
        ("IOE1", ["O", "I-PER"], ""),
        ("IOBES", ["O", "S-PER"], ""),
        ("BILOU", ["O", "B-PER", "L-PER"], ""),
        ("BILOU", ["O"], ""),
    ],
)
def test_a_scheme_without_a_possible_entity_is_noted(
    tmp_path: Path, scheme: str, classes: list[str], note: str
) -> None:
    loaded = split(tmp_path, lines((["a"] * len(classes), classes)), "jsonl", classes=classes, scheme=scheme)
    misfits = [each for each in loaded.notes if "fit" in each]
    assert len(misfits) == bool(note) and all(note in each for each in misfits)


def test_a_subset_has_the_same_rows(tmp_path: Path) -> None:
    loaded = split(tmp_path, classes=TAGS, label_all_subwords=True)
    part = loaded.with_changes(texts=loaded.texts[1:], labels=loaded.labels[1:])
    assert list(part.rows()) == list(loaded.rows())[1:]
    assert part.label_all_subwords


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ((["a"], ["O", "O"]), {}, "row 0 has 1 words, but 2 tags"),
        (("a", ["O"]), {}, "column 'tokens', row 0: 'a' is not a list of words"),
        (([1], ["O"]), {}, "column 'tokens', row 0: 1 is not a word"),
        ((["\ud83d"], ["O"]), {}, "is not a word"),
        ((["a"], "O"), {}, "row 0: 'O' is not a list of tags"),
        ((["a"], ["B-PRE"]), {}, "row 0: 'B-PRE' is not one of the classes; did you mean B-PER, I-PER?"),
        ((["a"], [0]), {"classes": ()}, "do not declare the names of their tags; list them in the argument 'classes'"),
        (
            (["a"], ["NOUN"]),
            {"classes": ()},
            "'NOUN' is no tag of an entity: O, or a prefix with a type, such as B-PER",
        ),
        ((["a"], ["O"]), {"tags": "ner"}, "the data have no column 'ner'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: tuple[Any, Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        split(tmp_path, lines(rows), "jsonl", **{"classes": TAGS, **arguments})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "IOB"}, "scheme cannot be 'IOB'; known: IOB1, IOB2, IOE1, IOE2, IOBES, BILOU"),
        ({"scheme": "IOBES", "classes": ["O", "U-PER"]}, "the tags with the prefixes O, U are not of IOBES"),
        ({"classes": ["O", "U-PER", "E-PER"]}, "are not of one of the schemes IOB1, IOB2"),
        ({"unread": "right"}, 'unread must be "wrong" or "left out", not \'right\''),
        ({"max_length": 0}, "max_length must be positive"),
        ({"max_length": 2}, "leaves no room for a word: the tokenizer adds 2 special tokens; set it to at least 3"),
        ({"scheme": None}, "scheme cannot be None; known: IOB1"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        task(tmp_path, **arguments)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", "line 2: 1 fields, but the lines before have 2"),
        ("a\n", "line 1: 1 fields, but a word and its tag are needed"),
        ("\n\n", "the file has no word"),
    ],
)
def test_a_wrong_line_of_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError) as raised:
        split(tmp_path, text)
    assert message in str(raised.value)


@pytest.mark.parametrize("hidden", [[[-1, -1], [-1]], None])
def test_a_split_with_hidden_tags_is_read_and_never_scored(tmp_path: Path, hidden: list[list[int]] | None) -> None:
    words = [["the", "cat"], ["dog"]]
    rows = [{"tokens": row} | ({"ner_tags": hidden[number]} if hidden else {}) for number, row in enumerate(words)]
    test = "".join(json.dumps(row) + "\n" for row in rows)
    data = {"validation": source(tmp_path / "a.conll", CONLL), "test": source(tmp_path / "b.jsonl", test)}
    of_task = token_classification(data=data, tokenizer=TOKENIZER, classes=TAGS, scored="validation")
    batch = of_task.load("test").batch([0, 1])
    assert (batch.labels == -100).all()
    assert list(batch.labels.shape) == [2, 4]
    held = with_holdout(of_task, Holdout(of="test", share=0.5, seed=1, name="held"))
    with pytest.raises(UsageError, match="the labels of 'test' are hidden, so no part of it can be scored"):
        held.load("held")


def test_a_sentence_without_words_has_no_entities(tmp_path: Path) -> None:
    of_task = task(tmp_path, lines(([], []), (["cat"], ["B-PER"])), "jsonl", classes=TAGS)
    found = scored(of_task, {"cat": 1})
    assert found.values == {"entity_f1": 1.0, "token_accuracy": 1.0}
    assert [int(counts.sum()) for counts in found.arrays["words"]] == [0, 3]


def test_tags_without_entities_are_noted(tmp_path: Path) -> None:
    assert split(tmp_path, "the O\ncat O\n").notes[0] == "the tags have no entities: all of them are O"


def test_a_no_break_space_is_part_of_a_word_and_comments_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    text = "# 12\nNew\xa0York B-LOC\n\n# id 7\n# 1\n# O\nis  O\r\n"
    path.write_text(text, encoding="utf-8")
    table = read_columns(path)
    assert table.columns["tokens"] == [["New\xa0York"], ["#", "is"]]
    assert table.notes == ("x.conll: lines before sentences that begin with '# ' are read as comments: 3",)


def test_a_slow_tokenizer_is_refused(tmp_path: Path) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UsageError, match="Slow does not say which word a token belongs to; this task needs a fast"):
        split(tmp_path, tokenizer=Slow()).batch([0])


def test_outputs_of_whole_texts_are_refused(tmp_path: Path) -> None:
    class OfTexts(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
            return torch.zeros(len(input_ids), 3)

    metrics = {"token_accuracy": token_accuracy}
    with pytest.raises(OutputsError, match="needs outputs for each tag of each token, but the model returns 2x3"):
        evaluate(OfTexts(), task(tmp_path, classes=TAGS), "validation", metrics, accelerator=accelerator_on("cpu"))


def write_names(path: Path, count: int, seed: int) -> None:
    """Write sentences with people and places of one or two words."""
    random, rows = Random(seed), []  # noqa: S311
    for _ in range(count):
        for _ in range(random.randint(2, 6)):
            kind = random.choice([*NAMES, ""])
            first, second = NAMES.get(kind, (OTHERS, OTHERS))
            words = [random.choice(first), random.choice(second)][: random.randint(1, 2)]
            rows += [
                f"{word} {prefix}-{kind}" if kind else f"{word} O" for word, prefix in zip(words, "BI", strict=False)
            ]
        rows.append("")
    path.write_text("\n".join(rows), encoding="utf-8")


def test_a_tagger_is_trained_scored_compared_and_exported(zoo: Zoo) -> None:
    words = [word for parts in (*NAMES.values(), (OTHERS,)) for part in parts for word in part]
    Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8")
    write_names(Path("train.conll"), 100, 0)
    write_names(Path("validation.conll"), 40, 1)
    Path("names.yaml").write_text(RECIPE.read_text(encoding="utf-8"), encoding="utf-8")
    runs = [zoo("train", "names.yaml", "--seed", seed, "--out", f"run{seed}", "--device", device()) for seed in "01"]
    assert [run.code for run in runs] == [0, 0], runs
    record = json.loads(Path("run0/record.json").read_text())
    (result,) = record["results"]
    scores = {name: score["value"] for name, score in result["metrics"].items()}
    arrays = read_arrays(Path("run0/predictions-validation.npz"))
    outside = arrays["words"][:, 0, 2].sum() / arrays["words"][..., 2].sum()
    assert scores["token_accuracy"] > outside + 0.1  # the tag O for every word is the baseline
    assert scores["entity_f1"] > 0.8
    assert result["n"] == len(arrays["entities"]) == 40
    compared = zoo("diff", "run0", "run1")
    assert compared.code == 0
    assert "jackknife" in compared.out
    card = Path("run0/README.md").read_text()
    assert "type: token-classification" in card
    assert "entity precision (macro, strict)" in card
    evaluated = zoo("evaluate", "run0", "--as", "names.yaml", "--device", device())
    assert f"{scores['entity_f1']:.4f}" in evaluated.out
    code = card.partition("```python\n")[2].partition("```")[0]
    assert BertForTokenClassification.from_pretrained("run0").config.id2label[0] == "B-LOC"
    assert zoo("explain", "names.yaml").code != 0
    run_code(code.replace('"These", "are", "words"', '"ann", "and", "oslo"'))
    assert np.isfinite(list(scores.values())).all()


def run_code(code: str) -> None:
    """Run the code of a model card in its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("run0")
        exec(code, {})  # noqa: S102
