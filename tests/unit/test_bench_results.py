"""The benchmarks' result: its form and its table. No figure is judged here."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.bench import figures, rounds
from tests.bench.figures import BEGIN, END, KEYS, MEANINGS, Figure

ROOT = Path(__file__).parents[2]
SOME = (
    Figure(name="ocpp.1.6.meter_values", value=6123.456, unit="messages/CPU s", baseline=1200.0),
    Figure(name="memory.two_chargers", value=131.25, unit="MB"),
)
WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_a_figure_is_written_as_value_unit_baseline_and_ratio(tmp_path: Path) -> None:
    """build/bench.json maps each name to exactly these four, a ratio being value / baseline."""
    path = tmp_path / "build" / "bench.json"
    rows = figures.write(path, SOME)
    assert json.loads(path.read_text()) == rows
    assert {tuple(row) for row in rows.values()} == {KEYS}
    assert rows["ocpp.1.6.meter_values"] == {
        "value": 6123.0, "unit": "messages/CPU s", "baseline": 1200.0, "ratio": 5.103
    }  # fmt: skip
    assert rows["memory.two_chargers"]["ratio"] is None


def test_a_part_of_the_benchmarks_keeps_the_other_figures(tmp_path: Path) -> None:
    """`ONLY=name` replaces only the figures of that benchmark; a whole run replaces the file."""
    path = tmp_path / "bench.json"
    figures.write(path, SOME)
    again = Figure(name="memory.two_chargers", value=99.0, unit="MB")
    kept = figures.write(path, [again], keep=True)
    assert (kept["memory.two_chargers"]["value"], len(kept)) == (99.0, 2)
    assert list(figures.write(path, [again])) == ["memory.two_chargers"]


def test_a_name_without_a_meaning_is_refused(tmp_path: Path) -> None:
    """Every figure has its row in the table."""
    with pytest.raises(AssertionError):
        figures.write(tmp_path / "x.json", [Figure(name="secret.sauce", value=1, unit="")])


def test_the_table_says_what_is_missed() -> None:
    """A goal is met or it is not, from below and from above; the table names date and machine, and no path."""
    text = figures.table(figures.rows_of(SOME), when=WHEN)
    met, missed = (next(line for line in text.splitlines() if one.name in line) for one in SOME)
    assert (met[-5:], missed[-8:]) == ("yes |", "**no** |")
    assert "2026-11-24 12:00 UTC" in text
    assert "ratio ≥ 5" in met
    assert "≤ 110" in missed
    assert "/" not in figures.machine()


def test_only_the_table_is_rewritten(tmp_path: Path) -> None:
    """The text around the markers is kept; a document without markers is refused."""
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# A\n{BEGIN}\nold\n{END}\nafter\n")
    figures.put_table(document, figures.table(figures.rows_of(SOME), when=WHEN))
    text = document.read_text()
    assert text.startswith(f"# A\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    document.write_text("nothing")
    with pytest.raises(ValueError, match="has no"):
        figures.put_table(document, "x")


def test_the_document_has_a_row_for_every_figure() -> None:
    """docs/benchmarks.md shows each name that MEANINGS lists, and no other: in the table of one run, or of a run of its own."""
    document = (ROOT / "docs" / "benchmarks.md").read_text()
    names = {
        line.split("`")[1]
        for line in document.splitlines()
        if line.startswith("| `") and "." in line.split("`")[1]
    }
    table = document.partition(BEGIN)[2].partition(END)[0]
    assert {name for name in names if not name.startswith("make ")} == set(MEANINGS)
    assert all(f"| `{name}`" in table for name in MEANINGS if name.partition(".")[0] not in {"web", "pages"})


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    """A B A B: a machine that slows down slows both; a ratio is the median of the rounds' own."""
    story: list[str] = []
    values = iter([9.0, 9.0, 2.0, 1.0, 40.0, 10.0, 6.0, 2.0])

    def side(name: str) -> float:
        story.append(name)
        return next(values)

    found = rounds.interleaved({"a": lambda: side("a"), "b": lambda: side("b")}, 3)
    assert story == ["a", "b"] * 4
    assert found == {"a": [2.0, 40.0, 6.0], "b": [1.0, 10.0, 2.0]}
    value, baseline = rounds.compared(found["a"], found["b"])
    assert (value, value / baseline) == (6.0, 3.0)
