"""`init` asks for what it needs and refuses bad input; waiting chargers are listed, approved and rejected."""

import asyncio
import importlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit
from edgegw.commissioning import addresses, install
from edgegw.commissioning.addresses import LocalAddress
from edgegw.common.error_codes import REMEDIES
from edgegw.common.errors import EdgegwError
from edgegw.common.passwords import hash_password
from edgegw.config.schema import load
from edgegw.ops.control_socket import serve_control
from edgegw.peer.membership import found
from tests.support.patience import PATIENCE_S

charger_module = importlib.import_module("edgegw.cli.charger")  # the package has commands under these names
init_module = importlib.import_module("edgegw.cli.init")

CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"

[ocpp]
host = "192.168.7.2"

[ledger]
gateway_id = "gateway1"
identity = "crypto/EVUserMSP/gateway1"
trust_file = "crypto/trust.json"

[[chargers]]
id = "CP-0"
password_hash = "$argon2id$x"

[[chargers.evses]]
number = 1
id = "E-0"
meter = "M-0"
rated_w = 11000

[[meters]]
id = "M-0"
profile = "abb-b23"

[[meters]]
id = "M-1"
profile = "abb-b23"
"""
WAITING = {
    "charger_id": "CP-1",
    "address": "192.168.7.31",
    "version": "1.6",
    "vendor": "ACME",
    "model": "Wall\x1b[2J 2",
    "serial": "77",
    "firmware": "1.0",
    "evses": [0, 1],
    "first_seen_ns": 1,
    "last_seen_ns": 2,
    "connected": True,
    "security_profile": 1,
}
CHARGERS = {
    "configured": [
        {"id": "CP-0", "online": True, "version": "1.6", "security_profile": 2, "evses": ["E-0"]},
        {"id": "CP-8", "online": False, "version": None, "security_profile": None, "evses": []},
    ],
    "waiting": [WAITING],
    "refused": [
        {
            "at_ns": 1_795_538_358 * 10**9,
            "code": "EGW-1103",
            "charger_id": "CP-0",
            "address": "192.168.7.30",
            "detail": "as it is told",
            "count": 4,
        }
    ],
    "rejected": ["CP-9"],
}


@dataclass
class FakeDaemon:
    """Answers as the daemon does, and remembers what it was asked."""

    pending: dict[str, Any] | None = None
    reloaded: dict[str, Any] = field(default_factory=lambda: {"changed": ["chargers"], "needs_restart": []})
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def answer(self, command: str, arguments: Mapping[str, Any]) -> object:
        self.asked.append((command, dict(arguments)))
        if command == "chargers":
            return CHARGERS
        if command == "stranger":
            if self.pending is None:
                raise EdgegwError("nobody of this name waits")
            return self.pending
        return self.reloaded if command == "reload" else {}


@contextmanager
def serving(run_dir: Path, daemon: FakeDaemon) -> Iterator[FakeDaemon]:
    """The real control socket over a fake daemon, on a thread of its own."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        names = ("chargers", "stranger", "reject", "reload", "lower_profile")

        def command(name: str) -> Any:
            return lambda arguments: daemon.answer(name, arguments)

        async with serve_control(run_dir, {name: command(name) for name in names}):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield daemon
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    return path


def run(*arguments: str, answers: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=answers)


def charger(config: Path, *arguments: str, answers: str = "") -> Result:
    return run("charger", *arguments, "--config", str(config), answers=answers)


def test_the_worst_is_listed_first(config: Path) -> None:
    """Refused with its remedy, waiting with what to type, rejected, away, connected: in this order, also as JSON."""
    with serving(config.parent / "var", FakeDaemon()):
        table = charger(config, "list")
        listed = charger(config, "list", "--json")
        shown = json.loads(charger(config, "show", "CP-0", "--json").stdout)
        nobody = charger(config, "show", "CP-77")
    lines = table.stdout.splitlines()
    states = [line.split()[1] for line in lines[1:]]
    assert states == ["refused", "waiting", "rejected", "AWAY", "connected"]
    assert REMEDIES["EGW-1103"].remedy.replace("approve ID", "approve CP-0") in lines[1]
    assert "is wrong: as it is told; set a new" in lines[1]
    assert "4 times" in lines[1]
    assert "edgegw charger approve CP-1" in lines[2]
    assert "ACME Wall\\x1b[2J 2 77" in lines[2], "a charger's text does nothing to the terminal"
    assert json.loads(listed.stdout) == CHARGERS
    assert shown["refused"][0]["remedy"].startswith("EGW-1103")
    assert "argon2id" not in json.dumps(shown)
    assert nobody.exit_code == Exit.PROBLEMS


def test_without_a_daemon_a_configured_charger_is_still_shown(config: Path) -> None:
    """Without a daemon a charger's configuration is shown; what only the daemon knows ends with 69."""
    shown = charger(config, "show", "CP-0", "--json")
    assert json.loads(shown.stdout)["configuration"]["evses"][0]["meter"] == "M-0"
    assert "not running" in shown.stderr
    assert charger(config, "show", "CP-1").exit_code == Exit.UNAVAILABLE
    assert charger(config, "list").exit_code == Exit.UNAVAILABLE


def test_a_waiting_charger_is_approved_with_its_own_password(config: Path) -> None:
    """EVSEs are those it reports, the hash is the one it presented, no password is made or shown, the daemon reloads."""
    known = WAITING | {"password_hash": hash_password("its own")}
    with serving(config.parent / "var", FakeDaemon(pending=known)) as daemon:
        done = charger(config, "approve", "CP-1", "--meter", "M-1", "--rated-w", "22000", "--json")
    result = json.loads(done.stdout)
    assert result["password"] is None
    assert result["reload"] == {"changed": ["chargers"], "needs_restart": []}
    assert [command for command, _ in daemon.asked] == ["stranger", "reload"]
    added = load(config).chargers[1]
    assert (added.id, added.password_hash) == ("CP-1", known["password_hash"])
    assert [(evse.number, evse.id, evse.meter) for evse in added.evses] == [(1, "CP-1-1", "M-1")]
    again = charger(config, "approve", "CP-1")
    assert (again.exit_code, "approved already" in again.stderr) == (Exit.PROBLEMS, True)
    (config.parent / "conf.d" / "charger-CP-1.toml").unlink()
    with serving(config.parent / "var", FakeDaemon(pending=known)):
        told = charger(config, "approve", "CP-1", "--meter", "M-1", "--rated-w", "22000").stdout
    assert "the password that ACME Wall\\x1b[2J 2 77 at 192.168.7.31 sent" in told, "whoever that was"


def test_a_charger_that_sent_no_password_gets_one(config: Path) -> None:
    """The generated password is shown once and stored only as a hash; the output names where to set it and the next command."""
    with serving(config.parent / "var", FakeDaemon(pending=WAITING | {"password_hash": None})):
        told = ("--meter", "M-1", "--rated-w", "22000")
        done = charger(config, "approve", "CP-1", *told)
    password = re.search(r"shown only once: (\S{20})$", done.stdout, re.MULTILINE)
    assert password is not None, done.output
    assert "AuthorizationKey" in done.stdout
    assert "ws://192.168.7.2:8887/ocpp/CP-1" in done.stdout
    stored = (config.parent / "conf.d" / "charger-CP-1.toml").read_text()
    assert password[1] not in stored


def test_what_is_missing_is_asked_for_on_a_terminal(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two EVSEs of a charger that is yet to come, each with a meter of its own; off a terminal that is a usage error."""
    bare = charger(config, "approve", "CP-2")
    assert (bare.exit_code, "--evse" in bare.stderr) == (Exit.USAGE, True)
    monkeypatch.setattr(charger_module, "can_ask", lambda: True)
    with serving(config.parent / "var", FakeDaemon()) as daemon:
        daemon.reloaded = {"changed": [], "needs_restart": ["meters"]}
        done = charger(
            config, "approve", "CP-2", answers="2\neastron-sdm630\n192.168.7.9\n503\n5\n6\n11000\n"
        )
    assert done.exit_code == Exit.DONE, done.output
    assert "Restart the daemon" in done.stdout
    taken = charger(config, "approve", "CP-3", answers="1\nM-1\n11000\n")
    assert taken.exit_code == Exit.DONE, taken.output
    assert load(config).chargers[2].evses[0].meter == "M-1"
    added = load(config)
    assert [evse.id for evse in added.chargers[1].evses] == ["CP-2-1", "CP-2-2"]
    assert [(meter.profile, meter.host, meter.port, meter.unit) for meter in added.meters[2:]] == [
        ("eastron-sdm630", "192.168.7.9", 503, 5),
        ("eastron-sdm630", "192.168.7.9", 503, 6),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--evse", "x=B1"),
        ("--evse", "1=B1", "--evse", "2=B2", "--meter", "M-1"),
        ("--evse", "1=B1", "--meter-profile", "abb-b23", "--meter-unit", "1", "--meter-unit", "2"),
        ("--evse", "1=B1"),
    ],
)
def test_an_incomplete_approval_is_a_usage_error(config: Path, arguments: tuple[str, ...]) -> None:
    """Which meter bills is never guessed: exit 2, what is missing is named, nothing is written."""
    done = charger(config, "approve", "CP-1", *arguments)
    assert (done.exit_code, "--" in done.stderr) == (Exit.USAGE, True)
    assert not (config.parent / "conf.d").exists()


def test_defaults_that_are_taken_off_a_terminal_are_said(config: Path) -> None:
    """Without a terminal, numbers with a default use it, and the option that changes each is named."""
    done = charger(config, "approve", "CP-1", "--evse", "1=B1", "--meter-profile", "abb-b23")
    assert done.exit_code == Exit.DONE, done.output
    assert "--meter-unit changes it" in done.stderr
    assert "using 127.0.0.1; --meter-host changes it" in done.stderr
    assert "--rated-w changes it" in done.stderr
    assert load(config).meters[-1].unit == 1


def test_an_approval_that_breaks_the_configuration_is_refused(config: Path) -> None:
    """An EVSE name or meter that is taken ends with 78 and the fault; nothing stays, and the daemon hears nothing."""
    with serving(config.parent / "var", FakeDaemon(pending=WAITING)) as daemon:
        done = charger(config, "approve", "CP-1", "--evse", "1=E-0", "--meter", "M-0", "--rated-w", "1")
    assert done.exit_code == Exit.CONFIGURATION
    assert "named more than once" in done.stderr
    assert "bills another EVSE" in done.stderr
    assert [command for command, _ in daemon.asked] == ["stranger"]
    assert list((config.parent / "conf.d").iterdir()) == []


def test_a_register_map_that_is_not_there_is_refused_before_it_counts(config: Path) -> None:
    """A mistyped profile ends with 78 and the names there are; nothing stays, so that the next try is the first one."""
    told = ("approve", "CP-1", "--evse", "1=B1", "--rated-w", "1", "--meter-host", "192.168.7.9")
    with serving(config.parent / "var", FakeDaemon(pending=WAITING)) as daemon:
        wrong = charger(config, *told, "--meter-profile", "eastron")
        assert (wrong.exit_code, "eastron-sdm630" in wrong.stderr) == (Exit.CONFIGURATION, True)
        assert [command for command, _ in daemon.asked] == ["stranger"]
        assert list((config.parent / "conf.d").iterdir()) == []
        right = charger(config, *told, "--meter-profile", "eastron-sdm630")
    assert right.exit_code == Exit.DONE, right.output


def test_passwords_and_profiles_of_approved_chargers(config: Path) -> None:
    """A new password replaces the old one in the charger's own file; the profile is lowered by the daemon."""
    told = ("approve", "CP-1", "--evse", "1=B1", "--meter", "M-1", "--rated-w", "22000", "--json")
    first = json.loads(charger(config, *told).stdout)
    with serving(config.parent / "var", FakeDaemon()) as daemon:
        second = json.loads(charger(config, "approve", "CP-1", "--new-password", "--json").stdout)
        lowered = charger(config, "approve", "CP-1", "--lower-profile")
        rejected = charger(config, "reject", "CP-5")
        by_hand = charger(config, "approve", "CP-0", "--new-password")
    assert len({first["password"], second["password"]}) == 2
    assert (lowered.exit_code, rejected.exit_code) == (Exit.DONE, Exit.DONE)
    assert daemon.asked == [
        ("reload", {}),
        ("lower_profile", {"charger_id": "CP-1"}),
        ("reject", {"charger_id": "CP-5"}),
    ]
    assert (by_hand.exit_code, "by hand" in by_hand.stderr) == (Exit.PROBLEMS, True)


def test_the_address_as_text_and_as_a_code(config: Path) -> None:
    """`charger url` prints the address, with or without an id, as text and as a QR code."""
    assert json.loads(charger(config, "url", "--json").stdout)[0]["url"] == "ws://192.168.7.2:8887/ocpp/"
    drawn = charger(config, "url", "CP-1", "--qr").stdout
    assert "ws://192.168.7.2:8887/ocpp/CP-1" in drawn
    assert "█" in drawn


# --- init -----------------------------------------------------------------------------------------------------------


def test_init_writes_shows_and_never_overwrites(tmp_path: Path) -> None:
    """--yes asks nothing; the address, the code, the card and the next steps are shown; a second init touches nothing."""
    told = ("init", "--dir", str(tmp_path), "--yes", "--sandbox")
    done = run(*told)
    assert done.exit_code == Exit.DONE, done.output
    for part in (
        "ws://127.0.0.1:8887/ocpp/",
        "█",
        "append their charger id",
        "SANDBOX-CARD-1",
        "charger approve",
    ):
        assert part in done.stdout, part
    assert load(tmp_path / "edgegw.toml").sandbox is not None
    root, server = (tmp_path / "tls" / "ca.pem"), (tmp_path / "tls" / "ecdsa.pem")
    old = root.read_bytes(), server.read_bytes()
    assert run("init", "--dir", str(tmp_path), "--reissue").exit_code == Exit.DONE
    assert (root.read_bytes() == old[0], server.read_bytes() == old[1]) == (True, False)
    before = (tmp_path / "edgegw.toml").read_bytes()
    again = run(*told)
    assert (again.exit_code, "is not changed" in again.stderr) == (Exit.PROBLEMS, True)
    assert "move it away" in again.stderr
    assert (tmp_path / "edgegw.toml").read_bytes() == before


def test_init_asks_what_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, init asks for name, zone, address, ledger and whether chargers may connect without TLS, with a warning."""
    lan = LocalAddress(
        interface="e", address=IPv4Address("192.168.7.2"), network=IPv4Network("192.168.7.0/24")
    )
    monkeypatch.setattr(addresses, "local_addresses", lambda: [lan])
    for answer, networks in (("y", 3), ("n", 2)):
        folder = tmp_path / answer
        with monkeypatch.context() as patch:
            patch.setattr(init_module, "can_ask", lambda: True)
            done = run("init", "--dir", str(folder), answers=f"dock 3\ndock-3\n\n\nembedded\n{answer}\n")
        assert done.exit_code == Exit.DONE, done.output
        assert "'dock 3': expected 1 to 48 characters of" in done.stderr, (
            "asked again at once, not refused at the end"
        )
        assert "impersonate a charger" in done.stderr
        config = load(folder / "edgegw.toml")
        assert (config.station.id, config.ocpp.host, config.sandbox) == ("dock-3", "192.168.7.2", None)
        assert len(config.ocpp.plaintext_networks) == networks
        assert done.stdout.index("wss" if answer == "n" else "ws:") < done.stdout.index("append")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "--yes"),
        (("--yes",), "--embedded-peer"),
        (("--yes", "--peer", "10.0.0.5:7051"), "--identity"),
        (("--yes", "--sandbox", "--peer", "7051"), "HOST:PORT"),
        (("--yes", "--sandbox", "--plaintext-network", "10.0.0.1/8"), "host bits"),
    ],
)
def test_init_refuses_what_it_cannot_use(tmp_path: Path, arguments: tuple[str, ...], part: str) -> None:
    """Half an answer is a usage error that says which option is missing, and nothing is written."""
    done = run("init", "--dir", str(tmp_path), *arguments)
    assert (done.exit_code, part in done.stderr) == (Exit.USAGE, True), done.output
    assert list(tmp_path.iterdir()) == []


def test_init_checks_what_it_was_told_before_it_writes(tmp_path: Path) -> None:
    """A name that no configuration may have ends with 78 and the key; no file is made."""
    done = run("init", "--dir", str(tmp_path / "new"), "--yes", "--sandbox", "--station-id", "dock 3")
    assert (done.exit_code, "station.id" in done.stderr) == (Exit.CONFIGURATION, True)
    assert not (tmp_path / "new").exists()


def test_init_with_the_organisation_s_own_peer(tmp_path: Path) -> None:
    """Identity and trust file are tried at once; nothing of another organisation is made."""
    crypto = tmp_path / "crypto"
    found(crypto)
    told = ("init", "--yes", "--no-qr", "--peer", "peer.example:7051", "--gateway-id", "gw-7", "--json")
    folder = ("--dir", str(tmp_path / "etc"), "--trust", str(crypto / "trust.json"))
    done = run(*told, *folder, "--identity", str(crypto / "EVUserMSP" / "gateway1"))
    assert done.exit_code == Exit.DONE, done.output
    assert json.loads(done.stdout)["card"] is None
    config = load(tmp_path / "etc" / "edgegw.toml")
    assert (config.ledger.endpoint, config.ledger.gateway_id) == ("peer.example:7051", "gw-7")
    assert (config.peer, config.representative, config.sandbox) == (None, None, None)
    wrong = run(*told, "--dir", str(tmp_path / "x"), *folder[2:], "--identity", str(crypto / "EVUserMSP"))
    assert (wrong.exit_code, (tmp_path / "x").exists()) == (Exit.CONFIGURATION, False)


def test_certificates_of_others_are_not_issued_anew(config: Path) -> None:
    """For a station whose certificates edgegw did not issue, the command reports that and issues none."""
    done = run("init", "--dir", str(config.parent), "--reissue")
    assert (done.exit_code, "not made by edgegw init" in done.stderr) == (Exit.PROBLEMS, True)


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: the file and why."""

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "station.key")

    monkeypatch.setattr(install, "write_secrets", denied)
    done = run("init", "--dir", str(tmp_path), "--yes", "--sandbox")
    assert (done.exit_code, "station.key: Permission denied" in done.stderr) == (Exit.NOT_ALLOWED, True)


def test_participants_need_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a settings file the command names what writes one; a file with faults ends with 78, and stores no deposit."""
    monkeypatch.chdir(tmp_path)
    assert "init --sandbox" in run("participant", "run", "oracle").stderr
    (tmp_path / "participants.json").write_text('{"zone": 5}')
    assert run("participant", "run", "desk").exit_code == Exit.CONFIGURATION
    assert run("participant", "deposit", "m", "5").exit_code == Exit.CONFIGURATION
    assert (tmp_path / "participants.json").read_text() == '{"zone": 5}'
