"""The daemon's page servers get what they need from the configuration, and no fault of theirs ends the daemon."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgegw.cli import main
from edgegw.common.errors import ConfigError
from edgegw.config.schema import load
from edgegw.daemon import page_servers, pages
from edgegw.daemon.certificates import certificate_lives
from edgegw.daemon.page_servers import PageServers
from edgegw.daemon.running import Daemon
from edgegw.diagnostics.doctor import machine
from edgegw.web.operator.login import OperatorLogins
from tests.support.certificates import Authority
from tests.support.receipts_fake import FakeBook
from tests.support.representative_fake import FakeOffice
from tests.support.web_site import FakeLedger
from tests.unit.test_config_parts import MAIN
from tests.unit.test_daemon import Parts, running

Serve = Callable[[Path], tuple[Daemon, PageServers]]
OPERATOR = '[operator]\nport = 0\npassword_file = "operator.password"\n'
OFFICE = '[representative]\nstore = "m.db"\nkey_file = "m.key"\nidentity = "rep"\n'
WEB = "[web]\nport = 0\n"


def written(folder: Path, *tables: str) -> Path:
    path = folder / "edgegw.toml"
    path.write_text("\n".join((MAIN, OFFICE, *tables)))
    key = folder / "station.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    return path


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        page_servers, "log_event", lambda name, fields, **_: found.append((name, dict(fields)))
    )
    return found


class Placing(Parts):
    """The daemon's parts; whatever pages place is kept."""

    def put(self, event: object) -> None:
        self.told.append(repr(event))


@pytest.fixture
def serve() -> Iterator[Serve]:
    opened: list[PageServers] = []

    def serve(path: Path) -> tuple[Daemon, PageServers]:
        daemon = running(path, Placing())
        opened.append(pages.serve_pages(daemon, FakeOffice(), FakeLedger(), receipts=FakeBook()))
        return daemon, opened[-1]

    yield serve
    for one in opened:
        one.close()


async def answer(origin: str, path: str) -> str:
    """The first line and the body of an answer over the network."""
    port = int(origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return text


async def test_both_servers_serve_and_know_nothing_of_each_other(
    serve: Serve, tmp_path: Path, logged: list[Any]
) -> None:
    """Each on its own port; an operator's page is not on the drivers' server, nor the other way round."""
    _, both = serve(written(tmp_path, WEB, OPERATOR))
    assert [fields["pages"] for name, fields in logged if name == "web.listening"] == ["drivers", "operator"]
    running_servers = [asyncio.create_task(run) for run in both.runs().values()]
    try:
        assert (await answer(both.servers["drivers"].origin, "/")).startswith("HTTP/1.1 200")
        assert "live updates" in both.beside
        assert (await answer(both.servers["drivers"].origin, "/chargers")).startswith("HTTP/1.1 404")
        asked = await answer(both.servers["operator"].origin, "/chargers")
        assert asked.startswith("HTTP/1.1 303")
        assert "location: /login?next=/chargers" in asked
    finally:
        for one in running_servers:
            one.cancel()
        await asyncio.gather(*running_servers, return_exceptions=True)


async def test_without_a_table_nothing_is_served(serve: Serve, tmp_path: Path, logged: list[Any]) -> None:
    """Pages are wanted, or not there."""
    _, none = serve(written(tmp_path))
    assert (none.servers, logged) == ({}, [])


async def test_a_taken_port_and_a_bad_certificate_are_logged_and_no_more(
    serve: Serve, tmp_path: Path, logged: list[Any]
) -> None:
    """If one server cannot start, that is logged and the other still serves."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = WEB.replace("0", str(other.getsockname()[1]), 1)
        _, half = serve(written(tmp_path, taken, OPERATOR))
    assert list(half.servers) == ["operator"]
    (failed,) = (fields for name, fields in logged if name == "web.failed")
    assert failed["reason"].startswith("web.host, web.port: 127.0.0.1:")
    logged.clear()
    bad = OPERATOR + 'certificate = "no.pem"\nkey_file = "no.key"\n'
    _, half = serve(written(tmp_path, WEB, bad))
    assert list(half.servers) == ["drivers"]
    (failed,) = (fields for name, fields in logged if name == "web.failed")
    assert failed["reason"].startswith("operator.certificate, operator.key_file:")


async def test_a_reload_looks_at_certificates_again(serve: Serve, tmp_path: Path, logged: list[Any]) -> None:
    """A reload reads certificates again; a pair that cannot be used is logged, the old one stays, and the reload continues."""
    made = Authority(tmp_path).issue("pages")
    table = f'{WEB}certificate = "{made.certificate}"\nkey_file = "{made.key_file}"\n'
    daemon, secure = serve(written(tmp_path, table))
    assert secure.servers["drivers"].origin.startswith("https://")
    made.certificate.write_text("nothing")
    parts: Any = daemon.chargers
    parts.gate.set()
    assert (await daemon.reload())["changed"] == []
    assert [name for name, _ in logged] == ["web.listening", "web.failed"]


def test_what_the_servers_are_told(tmp_path: Path) -> None:
    """The servers get their host names, the configured one first, and separate secrets derived from the station's key."""
    web = '[web]\nhost = "0.0.0.0"\npublic_host = "192.0.2.1"\nnames = ["station.local"]\ngeohash = "wydm"\n'
    config = load(written(tmp_path, web, OPERATOR, '[ocpp]\npublic_host = "192.0.2.7"\n'))
    told = pages.web_settings(config)
    assert told is not None
    assert told.names[:2] == ("192.0.2.1", "station.local")
    assert {"localhost", "127.0.0.1", "[::1]"} <= set(told.names)
    assert (told.title, told.time_zone.key, told.geohash) == ("S-1", "Asia/Seoul", "wydm")
    own = pages.operator_settings(config)
    assert own is not None
    assert own.names == ("127.0.0.1", "localhost", "[::1]")
    assert own.is_local
    assert len({told.secret, own.secret, b"", b"\xab" * 32}) == 4
    assert told.secret.hex() not in repr(told)
    assert pages.web_settings(load(written(tmp_path))) is None
    assert pages.operator_settings(load(written(tmp_path))) is None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[web]\ncertificate = "a.pem"\n', "web.certificate: set both certificate and key_file"),
        (OPERATOR + 'key_file = "a.key"\n', "operator.key_file: set both certificate and key_file"),
        ('[web]\ntime_zone = "Mars/Base"\n', "is not a time zone"),
        ('[web]\ntime_zone = "../../etc/passwd"\n', "is not a time zone"),
        ('[web]\ngeohash = "Seoul"\n', "web.geohash"),
        ('[web]\nnames = ["a b"]\n', "web.names"),
        ("[operator]\nport = 1\n", "operator.password_file: is required"),
    ],
)
def test_faults_of_the_tables(tmp_path: Path, table: str, fault: str) -> None:
    """Each fault of the tables is reported with its file, line and key."""
    with pytest.raises(ConfigError, match=fault):
        load(written(tmp_path, table))


async def test_the_password_is_set_at_the_command_line(tmp_path: Path) -> None:
    """The operator's password, typed twice or generated, is stored as a private hash and valid for the login at once."""
    path = written(tmp_path, OPERATOR)
    operator = load(path).operator
    assert operator is not None
    door: OperatorLogins = pages.door_of(operator)
    assert "operator.password" in (await door.enter("x", source="a")).fault
    typed = CliRunner().invoke(
        main, ["operator", "password", "--config", str(path)], input="long enough so\nlong enough so\n"
    )
    assert typed.exit_code == 0, typed.output
    file = tmp_path / "operator.password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("$argon2id$")
    assert "long enough" not in typed.output
    assert (await door.enter("long enough so", source="a")).token
    made = CliRunner().invoke(main, ["operator", "password", "--generate", "--config", str(path)])
    password = made.output.partition("password: ")[2].strip()
    assert (await door.enter(password, source="a")).token
    assert not (await door.enter("long enough so", source="a")).token
    file.chmod(0o644)
    assert "0600" in (await door.enter(password, source="b")).fault


def test_a_short_password_or_no_table_is_refused(tmp_path: Path) -> None:
    """2 and 78; nothing is written."""
    path = written(tmp_path, OPERATOR)
    short = CliRunner().invoke(main, ["operator", "password", "--config", str(path)], input="short\nshort\n")
    assert (short.exit_code, (tmp_path / "operator.password").exists()) == (2, False)
    assert (
        CliRunner().invoke(main, ["operator", "password", "--config", str(written(tmp_path))]).exit_code == 78
    )


def test_doctor_and_status_look_at_the_pages_too(tmp_path: Path) -> None:
    """Whether their ports are free, and when their certificates end."""
    made = Authority(tmp_path).issue("pages")
    secure = f'certificate = "{made.certificate}"\nkey_file = "{made.key_file}"\n'
    config = load(written(tmp_path, WEB + secure, OPERATOR + secure))
    checks = {finding.check for finding in machine(config, running=False)}
    assert {"drivers' pages' port", "operator's pages' port"} <= checks
    assert {"drivers' pages", "operator's pages"} <= set(certificate_lives(config))
    plain = load(written(tmp_path, WEB))
    assert "operator's pages' port" not in {finding.check for finding in machine(plain, running=False)}
    assert "drivers' pages" not in certificate_lives(plain)
