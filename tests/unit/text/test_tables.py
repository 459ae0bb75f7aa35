from __future__ import annotations

from build_tasks.text import tables


def test_cells_are_text_without_markup_and_control_sequences() -> None:
    drawn = tables.render(("a", "b"), [("pandas[excel]", "\x1b[31mred")], 80)
    assert [line.split() for line in drawn.splitlines()] == [["a", "b"], ["pandas[excel]", "red"]]


def test_a_long_cell_is_wrapped_or_cut() -> None:
    rows = [("one two three four", "x")]
    assert len(tables.render(("a", "b"), rows, 12).splitlines()) > 2
    (_, row) = tables.render(("a", "b"), rows, 12, wrap=False).splitlines()
    assert "…" in row
    assert len(row) <= 12


def test_no_part_of_a_wrapped_cell_is_cut() -> None:
    words = ("python:{python}-slim-bookworm", "AIRFLOW_IMAGES_CACHE")
    drawn = tables.render(("a", "b"), [words], 30)
    assert "…" not in drawn
    shown = "".join(drawn.split())
    assert sorted(shown) == sorted("".join(("a", "b", *words)))


def test_a_line_is_wrapped_between_words_and_within_a_long_one() -> None:
    assert tables.wrapped("one two\nthree \x1b[1m" + "x" * 12, 9, 2) == [
        "one two",
        "  three x",
        "  xxxxxxx",
        "  xxxx",
    ]


def test_a_line_is_cut_at_its_width_on_the_screen() -> None:
    assert tables.cut("a\nb \x1b[1mc", 80) == "a b c"
    assert tables.cut("\u4e2d" * 10, 8) == "\u4e2d" * 3 + " …"
