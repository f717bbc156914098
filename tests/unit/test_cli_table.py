"""A table of the command line on a terminal and in a file."""

import pytest

from edgegw.cli import table
from edgegw.cli.table import show_table


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal the rows are a table; text from devices is not markup."""

    class Terminal:
        stdout = type("Out", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(table, "sys", Terminal)
    show_table([{"meter": "M-[red]1", "ok": True, "value": None}], ("meter", "ok", "value"))
    out = capsys.readouterr().out
    assert "M-[red]1" in out
    assert out.split() == [
        "meter",
        "ok",
        "value",
        *[part for part in out.split() if "─" in part],
        "M-[red]1",
        "yes",
        "-",
    ]
