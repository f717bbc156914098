"""A representative's members' pages: what their server is given, and that no fault of theirs ends the process."""

from pathlib import Path
from typing import Any

import pytest

from edgegw.common.clock import ClockMapping, StationClock
from edgegw.daemon import page_servers
from edgegw.daemon.representative_pages import member_settings, serve_members
from edgegw.representative.settings import RepresentativeSettings, load_representative
from tests.support.representative_fake import FakeOffice
from tests.support.web_site import FakeLedger

KEY = b"k" * 32
EXAMPLE = Path(__file__).parents[2] / "configs" / "representative.toml"


def settings_of(folder: Path, tables: str) -> RepresentativeSettings:
    path = folder / "representative.toml"
    path.write_text(EXAMPLE.read_text() + tables)
    return load_representative(path)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        page_servers, "log_event", lambda name, fields, **_: found.append((name, dict(fields)))
    )
    return found


def opened(settings: RepresentativeSettings, msp_id: str = "EVUserMSP") -> page_servers.PageServers:
    return serve_members(
        settings, FakeOffice(), FakeLedger(), clock=StationClock(), key=KEY, msp_id=msp_id, book=None
    )


def test_what_the_server_is_told(tmp_path: Path) -> None:
    """The organisation's name where no title is given, a secret of its own, and what is simulated: bank, or time."""
    settings = settings_of(
        tmp_path, '[web]\nhost = "0.0.0.0"\npublic_host = "192.0.2.1"\nnames = ["members.local"]\n'
    )
    told = member_settings(settings, key=KEY, msp_id="ProducerMSP", clock=StationClock())
    assert told is not None
    assert told.names[:2] == ("192.0.2.1", "members.local")
    assert (told.title, told.port, told.time_simulated, told.bank_simulated, told.section) == (
        "Producer",
        8081,
        False,
        False,
        "web",
    )
    assert told.secret not in {KEY, b""}
    exchange = '[web]\ntitle = "Sun"\n[exchange]\nidentity = "e"\nstore = "s"\n'
    told = member_settings(
        settings_of(tmp_path, exchange), key=KEY, msp_id="ProducerMSP", clock=StationClock()
    )
    assert told is not None
    assert (told.title, told.time_simulated, told.bank_simulated, told.names[0]) == (
        "Sun",
        False,
        True,
        "127.0.0.1",
    )
    mapped = StationClock(ClockMapping(monotonic_origin_ns=0, utc_origin_ns=1, speed=60))
    told = member_settings(settings, key=KEY, msp_id="ProducerMSP", clock=mapped)
    assert told is not None
    assert told.time_simulated


def test_without_a_table_nothing_is_served(tmp_path: Path, logged: list[Any]) -> None:
    """Pages are wanted, or not there."""
    assert (opened(settings_of(tmp_path, "")).servers, logged) == ({}, [])


@pytest.mark.parametrize(
    ("table", "msp_id", "reason"),
    [
        ('certificate = "no.pem"\nkey_file = "no.key"\n', "EVUserMSP", "web.certificate, web.key_file: "),
        ("", "OtherMSP", "web: OtherMSP has no members that sign up"),
    ],
)
def test_what_cannot_be_served_is_logged_and_no_more(
    tmp_path: Path, logged: list[Any], *, table: str, msp_id: str, reason: str
) -> None:
    """A certificate that is none, an organisation without members."""
    pages = opened(settings_of(tmp_path, f"[web]\nport = 0\n{table}"), msp_id)
    assert pages.runs() == {}
    (failed,) = logged
    assert failed[0] == "web.failed"
    assert failed[1]["reason"].startswith(reason)
