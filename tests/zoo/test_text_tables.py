"""Tables that fit a terminal."""

from zoo.text_tables import finite, first_of, fitted, number, wrapped


def test_a_table_fits_its_terminal() -> None:
    rows = [["a-long-name-of-an-entry", "suite", "some words " * 20]]
    lines = fitted(rows, ["entry", "suite", "claims"], 60).splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) > 6
    assert "a-long-name-of-an-entry" in lines[2]
    assert len(fitted(rows, ["entry", "suite", "claims"], None).splitlines()) == 3


def test_a_long_list_is_cut_and_the_number_of_the_others_is_given() -> None:
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(["a", "b", *["c"] * 1_234], 2) == "a, b and 1,234 more"
    assert first_of(["a", "b", "c"], 2, between="\n", last="\n  ") == "a\nb\n  and 1 more"


def test_narrow_columns_leave_room_for_their_headers() -> None:
    rows = [["digits-resnet8_from_digits-resnet14", "test", "accuracy", "0.9766", "0.9766", "1", "reproduced"]]
    headers = ["entry", "split", "metric", "claimed", "measured", "runs", "verdict"]
    lines = fitted(rows, headers, 80, flexible=(0,)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("verdict")


def test_several_narrow_columns_fit_a_terminal_of_80_characters() -> None:
    row = ["entail-bert-l2h32_from_entail-bert-l2h64", "accuracy on test", "0.836667", "0.836667", "±0.0017", "1"]
    headers = ["entry", "claim", "claimed", "measured", "margin", "runs", "verdict"]
    lines = fitted([[*row, "reproduced"]], headers, 80, flexible=(0, 1)).splitlines()
    assert max(map(len, lines)) <= 80
    run = ["digits-resnet8_from_digits-resnet14:weights", "accuracy 0.9766", "inconclusive", "cpu", "2026-11-29 07:44"]
    headers = ["run", "score", "verdict", "device", "date", "size", "state"]
    lines = fitted([[*run, "249.0 kB", "finished"]], headers, 80, flexible=(0, 1, 4)).splitlines()
    assert max(map(len, lines)) <= 80


def test_a_word_of_a_cell_is_broken_only_if_it_is_longer_than_its_column_and_then_at_its_parts() -> None:
    path = "leaderboard/records/entail-bert-l2h64/retrain-seed1000-21f8c2962beb"
    lines = fitted([["a", f"read {path} once"]], ["entry", "source"], 40).splitlines()[2:]
    assert [line.split()[-1] for line in lines] == [
        "read", "leaderboard/records/entail-", "bert-l2h64/retrain-seed1000-", "21f8c2962beb", "once",
    ]  # fmt: skip


def test_a_paragraph_keeps_long_words_whole() -> None:
    assert wrapped(f"see {'x/' * 20} for more", 20, "  ", "    ") == f"  see\n    {'x/' * 20}\n    for more"
    assert wrapped("no limit " * 20, None, "  ") == "  " + "no limit " * 20


def test_numbers_have_four_decimals_or_those_of_their_claim_and_json_no_nan() -> None:
    assert (number(None), number(0.97884)) == ("-", "0.9788")
    assert (number(0.98, 5), number(0.98, 3), number(0.0, 0)) == ("0.98000", "0.9800", "0.0000")
    assert (finite(float("nan")), finite(1.5)) == (None, 1.5)
