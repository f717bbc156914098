"""Checks and the commands that show them: what is found is named with what to do, and nothing is changed."""

import asyncio
import json
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edgegw.cli import main
from edgegw.config.schema import load
from edgegw.diagnostics import doctor, support_bundle
from edgegw.diagnostics.doctor import Verdict
from edgegw.ops.control_socket import serve_control
from edgegw.store.journal import SqliteJournal
from tests.support.patience import PATIENCE_S

KEY = "ab" * 32
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"


def write_pair(folder: Path, *, days: int = 400) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=500))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "key.pem").chmod(0o600)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "edgegw.toml").write_text(f"""\
[station]
id = "S-1"
zone = "Z"
data_dir = "var"
key_file = "station.key"

[ledger]
gateway_id = "gateway1"
endpoint = "127.0.0.1:1"
identity = "EVUserMSP/gateway1"
trust_file = "trust.json"

[ocpp]
port = 0
[health]
port = 0

[[chargers]]
id = "CP-1"
password_hash = "{HASH}"

[[chargers.evses]]
number = 1
id = "E-1"
meter = "M-1"
rated_w = 11000

[[meters]]
id = "M-1"
profile = "abb-b23"
port = 1
""")
    (tmp_path / "station.key").write_text(KEY)
    (tmp_path / "station.key").chmod(0o600)
    (tmp_path / "trust.json").write_text("{}")
    (tmp_path / "var").mkdir()
    write_pair(tmp_path / "EVUserMSP" / "gateway1")
    return tmp_path / "edgegw.toml"


def run(*arguments: str, config: Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*arguments, "--config", str(config)])
    return done.exit_code, done.output


def findings(config: Path) -> dict[str, doctor.Finding]:
    return {finding.check: finding for finding in doctor.offline(load(config))}


def test_a_complete_configuration_passes(place: Path) -> None:
    """For a complete configuration only the absence of TLS is reported, and the exit status is 0."""
    code, output = run("check", config=place)
    assert code == 0, output
    assert output.startswith("WARN  TLS for chargers")
    assert "ok    identity" in output


@pytest.mark.parametrize(
    ("break_it", "check", "words"),
    [
        (
            lambda root: (root / "station.key").chmod(0o644),
            "station key",
            "mode 0644, expected 0600: chmod 600",
        ),
        (lambda root: (root / "station.key").unlink(), "station key", "No such file"),
        (
            lambda root: (root / "EVUserMSP/gateway1/key.pem").chmod(0o644),
            "identity",
            "EGW-4002",
        ),
        (
            lambda root: (root / "EVUserMSP/gateway1/cert.pem").write_text("no"),
            "identity",
            "EVUserMSP/gateway1",
        ),
        (lambda root: (root / "trust.json").unlink(), "trust", "No such file"),
        (lambda root: (root / "trust.json").write_text("no"), "trust", "expected a JSON object"),
    ],
)
def test_what_the_daemon_would_refuse_is_exit_status_78(
    place: Path, break_it: Any, check: str, words: str
) -> None:
    """A key that others may read is named with its mode and what to do."""
    break_it(place.parent)
    code, output = run("check", config=place)
    assert code == 78
    assert words in output
    assert findings(place)[check].verdict is Verdict.FAILED
    assert KEY not in output


def test_folders_that_are_none_are_found(place: Path) -> None:
    """A file where a folder should be is named; a run folder that is not there yet is the service manager's to make."""
    text = place.read_text()
    place.write_text(text.replace("key_file", 'run_dir = "run"\nkey_file', 1))
    assert "run folder" not in findings(place)
    (place.parent / "run").touch()
    assert "run: not a folder" in findings(place)["run folder"].detail
    place.write_text(text.replace('"var"', '"run/var"'))
    assert "run: not a folder" in findings(place)["data folder"].detail


def test_a_key_of_another_certificate_is_found(place: Path) -> None:
    """A key that does not belong to its certificate is named: the public keys are compared."""
    other = place.parent / "other"
    write_pair(other)
    (other / "key.pem").replace(place.parent / "EVUserMSP" / "gateway1" / "key.pem")
    assert findings(place)["identity"].detail == "EGW-4003 key.pem is not the private key of cert.pem"
    assert run("check", config=place)[0] == 78


@pytest.mark.parametrize(("days", "verdict"), [(10, Verdict.WARNING), (-2, Verdict.FAILED)])
def test_a_certificate_near_its_end_is_told_in_time(place: Path, days: int, verdict: Verdict) -> None:
    """A month before it ends it is a warning; afterwards a failure, but nothing that stops the daemon from charging."""
    write_pair(place.parent / "EVUserMSP" / "gateway1", days=days)
    found = findings(place)["identity"]
    assert (found.verdict, found.exit_78) == (verdict, False)


def test_an_altered_journal_is_found(place: Path) -> None:
    """The hash chain is recomputed."""
    SqliteJournal(place.parent / "var" / "station.db").close()
    assert findings(place)["journal"].verdict is Verdict.OK
    (place.parent / "var" / "station.db").write_bytes(b"rubbish" * 100)
    assert findings(place)["journal"].verdict is Verdict.FAILED


def test_a_journal_of_a_later_edgegw_is_what_the_daemon_would_refuse(place: Path) -> None:
    """EGW-5002 ends the daemon with 78, and so does the check that precedes it."""
    journal = load(place).journal_path
    SqliteJournal(journal).close()
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA user_version = 99")
    found = findings(place)["journal"]
    assert (found.verdict, found.exit_78) == (Verdict.FAILED, True)
    assert found.detail.startswith("EGW-5002")


def test_online_checks_name_what_is_out_of_reach(place: Path) -> None:
    """A peer and a meter that do not answer are failures with their addresses and a remedy; exit status 1."""
    code, output = run("check", "--online", "--json", config=place)
    assert code == 1
    found = {one["check"]: one for one in json.loads(output)["findings"]}
    assert found["meter M-1"]["verdict"] == "failed"
    assert found["meter M-1"]["detail"] == "127.0.0.1:1: Connection refused"
    assert found["meter M-1"]["hint"] == "edgegw meter diagnose M-1"
    assert found["ledger"]["verdict"] == "failed"


PRESENT = {
    "station_id": "S-1", "level": "degraded", "version": "0.1.0", "pid": 7,
    "parts": [
        {"part": "meter M-1", "level": "down", "reason": "EGW-2005 no answer", "hint": "check", "since_ns": 0},
        {"part": "daemon", "level": "ok", "reason": "operational", "hint": "", "since_ns": 0},
    ],
    "evses": [
        {"evse_id": "E-1", "charger_id": "CP-1", "state": "free", "power_w": -7_000, "soc_bp": 5_500,
         "import_mwh": 1_234_567, "export_mwh": None},
    ],
    "tally": {"trades": 3}, "lines_open": 1, "prices": {"CHARGE": 120_500, "DISCHARGE": None},
}  # fmt: skip


@contextmanager
def daemon(run_dir: Path) -> Iterator[None]:
    """A control socket that answers PRESENT, on a separate thread."""
    ready, over = threading.Event(), threading.Event()

    async def tell(_arguments: Mapping[str, Any]) -> object:
        return PRESENT

    async def serve() -> None:
        async with serve_control(run_dir, {"status": tell}):
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_status_puts_the_worst_first_and_says_it_by_its_exit_status(place: Path) -> None:
    """A part that is down is the first line after the head; exit status 1 if anything is not ok, 69 without a daemon."""
    code, output = run("status", config=place)
    assert code == 69
    assert "the daemon is not running" in output
    with daemon(place.parent / "var"):
        code, output = run("status", config=place)
        told = json.loads(run("status", "--json", config=place)[1])
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == "S-1: degraded (edgegw 0.1.0, pid 7)"
    assert lines[1].startswith("FAIL  meter M-1: EGW-2005 no answer")
    assert lines[-2].split() == ["E-1", "CP-1", "free", "-7.0", "kW", "55", "%", "1.234", "kWh", "-"]
    assert lines[-1] == "trades: 3 committed, 1 waiting; price now: charge 120.5 token/kWh"
    assert told == PRESENT


def test_doctor_tells_what_the_daemon_says_too(place: Path) -> None:
    """One list of machine, files, devices and the daemon's own parts; the worst first."""
    with daemon(place.parent / "var"):
        code, output = run("doctor", config=place)
    assert code == 1
    assert output.startswith("FAIL")
    assert "FAIL  daemon: meter M-1: EGW-2005 no answer" in output
    assert "ok    versions: Python 3." in output
    code, output = run("doctor", config=place)
    assert "WARN  daemon: not running" in output
    assert "ok    OCPP port" in output


def test_the_bundle_holds_no_secret(place: Path, tmp_path: Path) -> None:
    """Configuration, condition and findings are in it; hashes, keys and long ids are not; only its owner reads it."""
    place.write_text(place.read_text() + '\n[mqtt]\nusername = "station"\npassword_file = "mqtt.password"\n')
    out = tmp_path / "b.tar.gz"
    out.touch(mode=0o644)  # of an earlier try, or another program's
    with daemon(place.parent / "var"):
        code, output = run("support", "--output", str(out), config=place)
    assert code == 0, output
    assert out.stat().st_mode & 0o777 == 0o600
    texts = {}
    with tarfile.open(out) as archive:
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            assert file is not None
            texts[entry.name.partition("/")[2]] = file.read().decode()
    assert set(texts) == {
        "version.txt", "status.json", "findings.json", "journal.json", "log.txt", "config/edgegw.toml",
    }  # fmt: skip
    everything = "".join(texts.values())
    for secret in (KEY, "argon2id", "c2FsdHNhbHQ", '"station"'):
        assert secret not in everything
    assert 'id = "CP-1"' in texts["config/edgegw.toml"]
    assert json.loads(texts["status.json"])["station_id"] == "S-1"


def test_long_hexadecimal_strings_are_cut() -> None:
    """Long hexadecimal strings (members, card hashes, references) are cut, because they identify people."""
    assert (
        support_bundle.redacted("member 0123456789abcdef0123456789abcdef charged") == "member 012345… charged"
    )
    assert support_bundle.redacted('password_hash = "x"\nid = "y"') == 'password_hash = "…"\nid = "y"'
