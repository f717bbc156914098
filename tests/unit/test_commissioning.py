"""What edgegw init makes: files, modes, certificates that a TLS client accepts, and words for every key."""

import ipaddress
import itertools
import json
import os
import pwd
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.commissioning import addresses, files, install
from edgegw.commissioning.addresses import LocalAddress, charger_urls, public_host
from edgegw.commissioning.approval import Approval, EvseWish, new_password, put_in_place, with_password
from edgegw.commissioning.authority import Authority
from edgegw.commissioning.files import Owner, replace_keeping, replaced
from edgegw.commissioning.install import SANDBOX_CARD, ExistsError, Wishes
from edgegw.commissioning.toml import explained, toml
from edgegw.common.errors import ConfigError
from edgegw.common.whole_files import WholeFile, write_whole
from edgegw.config.schema import Config, OcppConfig, load, read_secret
from edgegw.participants.settings import read_settings
from edgegw.representative.members import MemberStatus, MemberStore

EXAMPLE = (Path(__file__).parents[2] / "configs" / "edgegw.toml").read_text()
LAN = LocalAddress(
    interface="eth0",
    address=ipaddress.IPv4Address("192.168.7.2"),
    network=ipaddress.IPv4Network("192.168.7.0/24"),
)


def wishes(folder: Path, **changes: Any) -> Wishes:
    plain = Wishes(
        folder=folder,
        station_id="S-1",
        zone="KR-SEOUL",
        geohash="wydm6",
        host="127.0.0.1",
        port=8887,
        tls_port=8443,
        public_host=None,
        plaintext_network=None,
        endpoint="127.0.0.1:7051",
        peer=None,
        sandbox=True,
    )
    return replace(plain, **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A sandbox, made once."""
    folder = tmp_path_factory.mktemp("made")
    return folder, install.install(wishes(folder), lambda _line: None)


def test_the_configuration_works_and_explains_itself(made: tuple[Path, Config]) -> None:
    """The written configuration is valid, names existing files, and has a comment for every key."""
    folder, config = made
    assert load(folder / "edgegw.toml") == config
    text = (folder / "edgegw.toml").read_text()
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    assert len(keys) > 15
    assert [line for line in keys if "  # " not in line] == []
    assert config.peer is not None
    assert config.own_representative is not None
    assert config.ocpp.tls is not None
    named = (config.ledger.identity, config.ledger.trust_file, config.ocpp.tls.certificate)
    assert all(place.exists() for place in named)
    assert str(folder) not in text.partition("\n")[2], "the folder can be moved"
    read_secret(config.station.key_file)
    read_secret(config.own_representative.key_file)


def test_no_secret_is_readable_to_others(made: tuple[Path, Config]) -> None:
    """Every key, the member store and what names members has mode 0600."""
    folder, _ = made
    secret = {".key", ".db", ".json", ".toml"}
    found = [path for path in folder.rglob("*") if path.suffix in secret or path.name == "key.pem"]
    shown = {path.relative_to(folder).as_posix() for path in found if path.stat().st_mode & 0o077}
    assert shown == {"var/peer/crypto/trust.json", "sandbox/kr-2026-06-summer.toml"}
    assert len(found) > 15


def test_a_sandbox_s_settings_stand_by_themselves(made: tuple[Path, Config]) -> None:
    """The participants' settings are read, with data of their own, stored begin and tariff date; the card is linked."""
    folder, config = made
    assert config.sandbox is not None
    settings = read_settings(config.sandbox.participants)
    inside = (settings.tariff, settings.producer.sun, settings.industry.load, settings.crypto)
    assert all(path.is_relative_to(folder) and path.exists() for path in inside)
    assert settings.begin_s is not None
    assert settings.effective_from is not None
    assert settings.effective_from % 900 == settings.begin_s % 900 == 0
    assert {member.kind for member in settings.members} == {"EV", "SUPPLIER", "PRODUCER", "INDUSTRY"}
    assert settings.gateways[0].gateway_id == config.ledger.gateway_id
    assert (settings.endpoint, settings.cutoff_s) == (config.ledger.endpoint, config.ledger.cutoff_s)
    assert config.own_representative is not None
    store = MemberStore(config.own_representative.store, read_secret(config.own_representative.key_file))
    (terms,) = store.links().values()
    assert store.token_hash(SANDBOX_CARD) in store.links()
    assert {member.status for member in store.members()} == {MemberStatus.ACTIVE}
    store.close()
    assert terms.member_id == next(one.member_id for one in settings.members if one.kind == "EV")
    assert not terms.sells


def test_an_init_that_was_cut_short_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run keeps every secret, member and authority of the first; a configuration that is there is never touched."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install, "load", killed)
        patch.setattr(install, "_all_or_nothing", nullcontext)  # a killed process removes nothing
        with pytest.raises(KeyboardInterrupt):
            install.install(wishes(tmp_path), lambda _line: None)
    assert not list(tmp_path.glob("*edgegw.toml*"))
    kept = {
        path: path.read_bytes()
        for name in ("station.key", "members.key", "participants.json", "tls/ca.pem", "tls/ca.key")
        for path in [tmp_path / name]
    }
    with monkeypatch.context() as patch:
        patch.setattr(install, "load", killed)
        with pytest.raises(KeyboardInterrupt):
            install.install(wishes(tmp_path), lambda _line: None)
    install.install(wishes(tmp_path), lambda _line: None)
    assert {path: path.read_bytes() for path in kept} == kept
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ExistsError, match="is not changed"):
        install.install(wishes(tmp_path), lambda _line: None)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("stem", ["ecdsa", "rsa"])
def test_a_charger_that_trusts_the_authority_accepts_the_server(made: tuple[Path, Config], stem: str) -> None:
    """A TLS client that knows ca.pem alone connects under each name, with either key type; under no other name."""
    tls = made[0] / "tls"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls / f"{stem}.pem", tls / f"{stem}.key")
    client = ssl.create_default_context(cafile=str(tls / "ca.pem"))
    for host in ("127.0.0.1", "localhost"):
        shake(client, server, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client, server, "10.9.8.7")


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """A handshake in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    done = [False, False]
    while not all(done):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done[number] = True
            except ssl.SSLWantReadError:
                pass


def test_certificates_are_issued_anew_under_the_same_authority(tmp_path: Path) -> None:
    """A machine that moved gets certificates for its new address; chargers need nothing new."""
    authority = Authority(folder=tmp_path)
    authority.found("S-1")
    root = authority.certificate.read_bytes()
    authority.found("S-1")
    authority.issue(["10.0.0.1", "box.local", "box.local"])
    first = (tmp_path / "rsa.pem").read_bytes()
    authority.issue(["10.0.0.2"])
    assert authority.certificate.read_bytes() == root
    assert (tmp_path / "rsa.pem").read_bytes() != first
    client = ssl.create_default_context(cafile=str(authority.certificate))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "rsa.pem", tmp_path / "rsa.key")
    shake(client, server, "10.0.0.2")


@pytest.mark.parametrize(
    ("told", "first", "host"),
    [
        ({"host": "127.0.0.1"}, "ws", "127.0.0.1:8887"),
        ({"host": "0.0.0.0"}, "wss", "192.168.7.2:8443"),
        ({"host": "0.0.0.0", "public_host": "box.local"}, "wss", "box.local:8443"),
        ({"host": "0.0.0.0", "plaintext_networks": ["192.168.7.0/24"]}, "ws", "192.168.7.2:8887"),
        ({"host": "fd00::1"}, "wss", "[fd00::1]:8443"),
    ],
)
def test_the_address_to_type_in(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], first: str, host: str
) -> None:
    """The first address shown is one that works: without TLS only where chargers may come so."""
    monkeypatch.setattr(addresses, "local_addresses", lambda: [LAN])
    tls = {"certificate": "c", "key_file": "k"}
    ocpp = OcppConfig.model_validate(told | {"tls": tls})
    urls = [one.url for one in charger_urls(ocpp, "CP-1")]
    assert urls[0] == f"{first}://{host}/ocpp/CP-1"
    assert {url.partition(":")[0] for url in urls} == {"ws", "wss"}
    bare = OcppConfig.model_validate(told)
    assert [one.url.partition(":")[0] for one in charger_urls(bare)] == ["ws"]


def test_this_machine_s_addresses_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each listed address can be bound and lies in its network, without loopback; without a network the host's name is shown."""
    for one in addresses.local_addresses():
        assert one.address in one.network
        assert not one.address.is_loopback
        assert addresses.network_of(str(one.address)) == one.network
    assert addresses.network_of("203.0.113.77") is None
    assert [addresses.is_loopback(host) for host in ("::1", "localhost", "192.168.7.2")] == [
        True,
        True,
        False,
    ]
    monkeypatch.setattr(addresses, "local_addresses", list)
    assert public_host(OcppConfig(host="0.0.0.0")) == socket.gethostname()


def test_the_example_s_words() -> None:
    """Remarks are found beside plain and commented keys and beside tables; values with # or lists do not confuse it."""
    remarks = explained(EXAMPLE)
    assert remarks["ocpp", "plaintext_networks"].startswith("chargers of these networks")
    assert remarks["ledger", "channel"]
    assert remarks["sandbox", ""].startswith("for trials")
    text = toml({"ocpp": {"port": 1, "tls": {"port": 2}}, "x": {"name": 'ü"\\'}}, remarks)
    assert tomllib.loads(text) == {"ocpp": {"port": 1, "tls": {"port": 2}}, "x": {"name": 'ü"\\'}}


def test_a_replaced_file_counts_only_when_all_went_well(tmp_path: Path) -> None:
    """A fault inside the block leaves the old text, and nothing beside it; a rewrite keeps the mode."""
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(ConfigError), replaced(path, "new"):
        raise ConfigError(("no",))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("f", "old")]
    replace_keeping(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_installed_system_s_files_are_the_daemon_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon owns its secrets and data and reads its configuration; the authority's key stays root's alone."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(files, "USER", "nobody")
    monkeypatch.setattr(install, "SYSTEM_CONFIG", tmp_path / "etc")
    monkeypatch.setattr(install, "SYSTEM_DATA", tmp_path / "lib")
    config = install.install(wishes(tmp_path / "etc"), lambda _line: None)
    assert config.run_dir == install.SYSTEM_RUN
    assert config.station.data_dir == tmp_path / "lib"

    def of(name: str) -> tuple[int, int, int]:
        found = (tmp_path / name).stat()
        return found.st_uid, found.st_gid, found.st_mode & 0o777

    assert of("etc/edgegw.toml") == (0, nobody.pw_gid, 0o640)
    assert of("etc") == of("etc/conf.d") == (0, nobody.pw_gid, 0o750)
    assert of("etc/tls/ca.key") == (0, 0, 0o600)
    for name in (
        "etc/station.key",
        "etc/members.key",
        "etc/tls/rsa.key",
        "etc/participants.json",
        "lib/members.db",
    ):
        assert of(name) == (nobody.pw_uid, nobody.pw_gid, 0o600), name
    monkeypatch.setattr(files, "USER", "no-such-user")
    assert Owner.of_daemon() is None


def approval(**changes: Any) -> Approval:
    evse = EvseWish(number=1, evse_id="BAY-1", meter_id="M-1", meter={"profile": "abb-b23", "unit": 3})
    plain = Approval(charger_id="CP-1", password_hash="$argon2id$x", evses=(evse,), rated_w=22_000)
    return replace(plain, **changes)


def test_an_approved_charger_is_part_of_the_configuration(tmp_path: Path) -> None:
    """Approval writes a file with charger and meter; a new password replaces only the hash; hand-written chargers are kept."""
    install_plain(tmp_path)
    config = tmp_path / "edgegw.toml"
    place = put_in_place(config, "CP-1", approval(version="1.6", dialect="none", discharge_w=5).tables())
    (charger,) = load(config).chargers
    assert (charger.version, charger.dialect, charger.evses[0].discharge_w) == ("1.6", "none", 5)
    assert (load(config).meters[0].unit, place.stat().st_mode & 0o777) == (3, 0o600)
    put_in_place(config, "CP-1", with_password(config, "CP-1", "$argon2id$y"))
    assert load(config).chargers[0] == charger.model_copy(update={"password_hash": "$argon2id$y"})
    with pytest.raises(Exception, match=r"configured by hand.*\$argon2id\$z"):
        with_password(config, "CP-2", "$argon2id$z")


def install_plain(folder: Path) -> None:
    text = 'gateway_id = "g"\nidentity = "a/b"\ntrust_file = "t"\n'
    station = 'id = "S"\nzone = "Z"\ndata_dir = "var"\nkey_file = "k"\n'
    (folder / "edgegw.toml").write_text(f"[station]\n{station}[ledger]\n{text}")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"evses": (EvseWish(number=1, evse_id="BAY-1", meter_id="M-9"),)}, "no [[meters]] has the id 'M-9'"),
        ({"evses": (EvseWish(number=1, evse_id="BAY 1", meter_id="M-1", meter={"profile": "x"}),)}, "BAY 1"),
        ({"charger_id": "CP-2", "password_hash": "plain"}, "password_hash"),
    ],
)
def test_a_part_that_does_not_hold_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    """If the whole configuration would have a fault, the fault names the real file, and no file is left."""
    install_plain(tmp_path)
    wish = approval(**changes)
    with pytest.raises(ConfigError) as caught:
        put_in_place(tmp_path / "edgegw.toml", wish.charger_id, wish.tables())
    assert any(
        fault in line and line.startswith(f"{tmp_path}/conf.d/charger-{wish.charger_id}.toml:")
        for line in caught.value.faults
    )
    assert list((tmp_path / "conf.d").iterdir()) == []
    assert load(tmp_path / "edgegw.toml").chargers == ()


def test_passwords_fit_every_version() -> None:
    """Passwords have 16 to 20 characters that 1.6 and 2.x accept and people read without error; no two are equal."""
    made: Sequence[str] = [new_password() for _ in range(100)]
    assert {len(password) for password in made} == {20}
    assert len(set(made)) == 100
    assert not set("".join(made)) & set("01loi")
    assert json.dumps(made)


def test_a_secret_is_its_owners_also_where_a_file_was_there_before(tmp_path: Path) -> None:
    """The mode is set before the text is written, not only when the file is made."""
    place = tmp_path / "station.key"
    place.touch(mode=0o644)
    files.write_private(place, "secret")
    assert (place.stat().st_mode & 0o777, place.read_text()) == (0o600, "secret")


def test_files_that_belong_together_are_written_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the second of a key and its certificate does not fit on the disk, both are as they were."""
    pair = [WholeFile(path=tmp_path / name, content=name.encode()) for name in ("key", "certificate")]
    write_whole(*pair)
    calls = itertools.count(1)

    def sync(_descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match="No space"):
        write_whole(*(replace(file, content=b"new") for file in pair))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "key": "key",
        "certificate": "certificate",
    }


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    """A key file that a full disk left empty is written again; one with a secret stays."""
    (tmp_path / "station.key").touch(mode=0o600)
    files.write_secrets(tmp_path)
    secret = read_secret(tmp_path / "station.key")
    files.write_secrets(tmp_path)
    assert read_secret(tmp_path / "station.key") == secret


def test_two_processes_never_pick_the_same_port() -> None:
    """Processes choose from separate ranges, because a chosen port is bound only later."""
    script = """
import sys
from edgegw.commissioning.addresses import free_port
print(*(free_port() for _ in range(60)), flush=True)
sys.stdin.read()
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    picked = []
    for child in children:  # all of them live while the last one picks
        assert child.stdout is not None
        picked.append(set(child.stdout.readline().split()))
    for child in children:
        child.communicate()
    assert [len(ports) for ports in picked] == [60] * 4, "nor one process the same port twice"
    assert len(set().union(*picked)) == sum(len(ports) for ports in picked)
