"""`edgegw meter` against meters on loopback: what is shown, with which exit status, and that nothing is written."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit
from edgegw.core.meter_condition import MeterCondition
from edgegw.core.metering import MeterAccount, Registers
from edgegw.gateway.row_codec import encode_row
from edgegw.meters.meter_status import present
from edgegw.ops.control_socket import serve_control
from edgegw.store.journal import SqliteJournal
from tests.support.loop_thread import Loop
from tests.support.modbus_bus import BusServer, frame, registers, serve_bus
from tests.support.patience import PATIENCE_S

T = TypeVar("T")
CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"
run_dir = "run"

[ledger]
gateway_id = "gateway1"
identity = "crypto/EVUserMSP/gateway1"
trust_file = "crypto/trust.json"

[[meters]]
id = "M-1"
profile = "abb-b23"
port = PORT
unit = 1

[[meters]]
id = "M-2"
profile = "eastron-sdm630"
port = PORT
unit = 2

[[chargers]]
id = "CP-1"
password_hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"
[[chargers.evses]]
number = 1
id = "E-1"
meter = "M-1"
rated_w = 22000
"""


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.loop.call_soon_threadsafe(made.loop.stop)
    made.join(timeout=PATIENCE_S)
    made.loop.close()


@pytest.fixture
def bus(loop: Loop) -> Iterator[BusServer]:
    with loop.serving(lambda: serve_bus(a="abb-b23", b="eastron-sdm630", c="schneider-iem3x55")) as made:
        yield made


@pytest.fixture
def config(tmp_path: Path, bus: BusServer) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG.replace("PORT", str(bus.port)))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("meter", *arguments))


def flow(bus: BusServer, power_w: int) -> None:
    """From now on unit 2 counts this power over real time."""
    meter, began_ns = bus.meters[2], time.monotonic_ns()
    before_mwh = meter.now.import_mwh

    def twist(request: bytes, _right: bytes) -> bytes | None:
        moved_mwh = power_w * (time.monotonic_ns() - began_ns) // 3_600_000_000
        meter.now = meter.now._replace(import_mwh=before_mwh + moved_mwh, power_w=power_w)
        meter.twist = None
        reply = bus.answer(request)
        meter.twist = twist
        return reply

    meter.twist = twist


# --- read -----------------------------------------------------------------------------------------------------------


def test_reading_a_configured_meter(config: Path, bus: BusServer) -> None:
    """Every register of the profile with address, words, raw number, value and unit; only reads went over the wire."""
    result = run("read", "M-1", "--config", str(config))
    assert (result.exit_code, result.stderr.splitlines()) == (
        Exit.DONE,
        [f"M-1: unit 1 at 127.0.0.1:{bus.port}"],
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["REGISTER", "ADDRESS", "WORDS", "RAW", "VALUE", "UNIT"]
    assert ["model", "0x8960", "4232", "3320", "u32", "1110586144"] in lines
    assert ["import", "0x5000", "0000", "0000", "0001", "86a0", "u64", "100000", "1000000.000", "Wh"] in lines
    assert bus.meters[1].functions == {3}


def test_reading_a_meter_that_is_not_configured(tmp_path: Path, bus: BusServer) -> None:
    """Profile and place are enough; there need be no configuration at all; --json is one value."""
    result = run(
        "read", "--profile", "eastron-sdm630", "--host", "127.0.0.1", "--port", str(bus.port), "--unit", "2",
        "--config", str(tmp_path / "none.toml"), "--json",
    )  # fmt: skip
    told = json.loads(result.stdout)
    assert result.exit_code == Exit.DONE
    assert (told["import_mwh"], told["export_mwh"], told["power_w"], told["serial"]) == (
        10**9,
        2_000_000,
        0,
        "1002",
    )
    assert [one["register"] for one in told["registers"]] == ["serial", "import", "export", "power"]
    assert told["registers"][1] == {
        "register": "import", "address": "0x0048", "words": "447a 0000", "raw": "f32 1000.0",
        "value": "1000000.000", "unit": "Wh", "function_code": 4,
    }  # fmt: skip


def test_what_a_meter_refuses_is_shown_as_refused(config: Path, bus: BusServer) -> None:
    """A serial that this variant lacks is no failure, and is not taken for a number."""

    def twist(request: bytes, right: bytes) -> bytes:
        refused = request[8:10] == b"\xfc\x00"
        return frame(request, bytes([0x83, 2])) if refused else right

    bus.meters[2].twist = twist
    result = run("read", "M-2", "--config", str(config), "--json")
    serial = json.loads(result.stdout)["registers"][0]
    assert (serial["register"], serial["words"], serial["value"]) == ("serial", "refused", None)


def other_unit(request: bytes, right: bytes) -> bytes:
    return frame(request, right[7:], unit=7)


def too_long(request: bytes, _right: bytes) -> bytes:
    return registers(request, [0] * 9)


def silent(_request: bytes, _right: bytes) -> bytes:
    return b""


def hang_up(_request: bytes, _right: bytes) -> None:
    return None


def exception(code: int) -> Callable[[bytes, bytes], bytes]:
    return lambda request, _right: frame(request, bytes([request[7] | 0x80, code]))


@pytest.mark.parametrize(
    ("twist", "says"),
    [
        (
            exception(6),
            "EGW-2002 the meter answers with a Modbus exception: meter M-1: exception 6 (device busy) at register",
        ),
        (exception(0x55), "exception 85 (not in the standard)"),
        (
            other_unit,
            "EGW-2008 another unit id answers: meter M-1: unit 7 answered instead of unit 1; discarded",
        ),
        (too_long, "EGW-2009 the response does not match the request: meter M-1: 9 registers received"),
        (silent, "EGW-2005 the meter does not answer: meter M-1: unit 1 at 127.0.0.1:"),
        (hang_up, "hung up"),
    ],
    ids=["busy", "unknown exception", "other unit", "too long", "silent", "hang-up"],
)
def test_a_failed_read_says_what_where_and_what_now(
    twist: Callable[[bytes, bytes], bytes | None], says: str, config: Path, bus: BusServer
) -> None:
    """Exit status 69, the refusal's code, which meter, what, and what to do; no traceback, nothing on standard output."""
    bus.meters[1].twist = twist
    result = run("read", "M-1", "--config", str(config))
    assert (result.exit_code, result.stdout) == (Exit.UNAVAILABLE, "")
    assert says in result.stderr
    assert "; " in result.stderr


def test_a_register_that_is_not_there(bus: BusServer) -> None:
    """The wrong profile: which register is missing, in hex, and whose map was asked."""
    result = run("read", "--profile", "siemens-pac2200", "--host", "127.0.0.1", "--port", str(bus.port))
    assert result.exit_code == Exit.UNAVAILABLE
    assert (
        "EGW-2001 the meter has no such register: register 0x0321 not present (illegal data address)"
        in result.stderr
    )
    assert 'check profile "siemens-pac2200"' in result.stderr


def test_nobody_listens(bus: BusServer, loop: Loop) -> None:
    """An address without a listener: 69, at once."""
    with loop.serving(lambda: serve_bus(a="abb-b23")) as gone:
        port = gone.port
    result = run("read", "--profile", "abb-b23", "--host", "127.0.0.1", "--port", str(port))
    assert result.exit_code == Exit.UNAVAILABLE
    assert f"EGW-2005 the meter does not answer: no connection to 127.0.0.1:{port}" in result.stderr


def test_watching_goes_on_through_a_failure(
    config: Path, bus: BusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watching reads again after each pause, whatever was read, until Ctrl-C, and then ends normally."""
    twists = iter([exception(6), None])

    async def pause(_seconds: float) -> None:
        try:
            bus.meters[1].twist = next(twists)
        except StopIteration:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    monkeypatch.setattr(sys.modules["edgegw.cli.meter"], "sleep", pause)
    result = run("read", "M-1", "--watch", "--config", str(config))
    assert result.exit_code == Exit.DONE
    assert result.stdout.count("import ") == 2
    assert result.stderr.count("EGW-2002") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("read",), Exit.USAGE, "eastron-sdm630"),
        (("read", "M-9"), Exit.PROBLEMS, "configured meters: M-1, M-2"),
        (
            ("read", "--profile", "nothing", "--host", "127.0.0.1"),
            Exit.CONFIGURATION,
            "edgegw includes abb-b23",
        ),
        (("scan",), Exit.USAGE, "only addresses that you name are scanned"),
        (("scan", "--network", "10.0.0.0/8"), Exit.CONFIGURATION, "at most 256"),
        (("adopt", "M-9"), Exit.PROBLEMS, "no [[meters]]"),
        (("adopt", "M-1"), Exit.UNAVAILABLE, "the daemon is not running"),
    ],
)
def test_what_cannot_be_asked(arguments: tuple[str, ...], status: Exit, says: str, config: Path) -> None:
    """A usage error, an unknown meter, a profile that is none: said without asking any meter."""
    result = run(*arguments, "--config", str(config))
    assert (result.exit_code, says in result.stderr) == (status, True)


# --- scan -----------------------------------------------------------------------------------------------------------


def test_a_scan_finds_what_is_there(config: Path, bus: BusServer) -> None:
    """A model register is proof, plausible registers are a guess with its reason; units that are silent are not listed."""
    units = ("--units", "1-4", "--timeout", "0.2")
    result = run(
        "scan", "--host", "127.0.0.1", "--port", str(bus.port), *units, "--config", str(config), "--json"
    )
    told = json.loads(result.stdout)
    found = {one["unit"]: one for one in told["found"]}
    assert (result.exit_code, told["asked"], sorted(found)) == (Exit.DONE, 4, [1, 2, 3])
    assert [(found[unit]["profile"], found[unit]["sure"], found[unit]["meter"]) for unit in (1, 2, 3)] == [
        ("abb-b23", True, "M-1"),
        ("eastron-sdm630", False, "M-2"),
        ("schneider-iem3x55", False, None),
    ]
    assert found[1]["reason"] == "model register 0x8960 contains 1110586144"
    assert found[2]["reason"].startswith(
        "plausible: import 1000000.000 Wh, export 2000.000 Wh, power 0 W, serial 1002"
    )
    functions = set().union(*(meter.functions for meter in bus.meters.values()))
    assert functions <= {3, 4}


def test_what_a_scan_gives_to_paste(config: Path, bus: BusServer) -> None:
    """The lines are good TOML for conf.d, and only those of meters that are not configured yet."""
    where = ("--network", "127.0.0.1/32", "--port", str(bus.port))
    result = run("scan", *where, "--units", "2,3", "--timeout", "0.2", "--config", str(config))
    assert result.exit_code == Exit.DONE
    part = result.stdout[result.stdout.index("[[meters]]") :]
    assert part.count("[[meters]]") == 1
    (config.parent / "conf.d").mkdir()
    (config.parent / "conf.d" / "new.toml").write_text(part)
    again = run("read", "M-1003", "--config", str(config), "--json")
    assert json.loads(again.stdout)["import_mwh"] == 10**9


def test_a_scan_that_finds_nothing(bus: BusServer) -> None:
    """If no unit answers, or a gateway reports that, the exit status is 1."""
    bus.meters[1].twist = exception(11)
    where = ("--host", "127.0.0.1", "--port", str(bus.port), "--timeout", "0.1")
    result = run("scan", *where, "--units", "1,9")
    assert (result.exit_code, result.stdout) == (Exit.PROBLEMS, "")
    assert "no unit answers" in result.stderr


def test_a_unit_that_no_profile_fits(bus: BusServer) -> None:
    """A unit that fits no profile is listed, with what to name by hand."""
    bus.meters[1].twist = exception(2)
    where = ("--host", "127.0.0.1", "--port", str(bus.port), "--timeout", "0.2")
    (found,) = json.loads(run("scan", *where, "--units", "1", "--json").stdout)["found"]
    assert (found["profile"], found["sure"], found["reason"]) == (None, False, "no meter profile matches")
    assert 'profile = "PROFILE"' in found["toml"]


def test_a_scan_gives_up_on_an_absent_host_at_once(bus: BusServer, loop: Loop) -> None:
    """One refused connection counts for all of a host's units."""
    with loop.serving(lambda: serve_bus(a="abb-b23")) as gone:
        port = gone.port
    result = run("scan", "--network", "127.0.0.0/30", "--port", str(port), "--units", "1-247", "--json")
    assert json.loads(result.stdout) == {"asked": 494, "found": []}


# --- diagnose -------------------------------------------------------------------------------------------------------


def test_diagnosing_a_meter_in_order(config: Path, bus: BusServer) -> None:
    """For a good meter all checks pass, among them energy against power; the exit status is 0."""
    flow(bus, 72_000)
    result = run("diagnose", "M-2", "--seconds", "0.5", "--config", str(config))
    assert result.exit_code == Exit.DONE, result.output
    verdicts = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "import" in verdicts
    assert "as the profile says" in verdicts["word order"]
    assert " ok" in verdicts["steady registers"]
    assert " ok" in verdicts["energy against power"]


def test_diagnosing_a_meter_with_another_serial(config: Path, bus: BusServer) -> None:
    """The station knows another serial: a failed check, exit status 1, and the command that adopts it."""
    account = MeterAccount(meter_id="M-1", meter_ref="R", power_w_max=22_000, serial="77")
    journal(config, {"meters/M-1": encode_row(account)})
    result = run("diagnose", "M-1", "--seconds", "0.1", "--config", str(config), "--json")
    told = json.loads(result.stdout)
    failed = [one for one in told["findings"] if one["verdict"] == "failed"]
    assert (result.exit_code, told["ok"]) == (Exit.PROBLEMS, False)
    assert [(one["what"], one["measured"]) for one in failed] == [("serial", "1001; the station expects 77")]
    assert "edgegw meter adopt" in failed[0]["remedy"]
    assert told["first"]["import_mwh"] == told["last"]["import_mwh"] == 10**9


def test_diagnosing_a_silent_meter(config: Path, bus: BusServer) -> None:
    """Out of reach is said as it is for a read."""
    bus.meters[1].twist = silent
    result = run("diagnose", "M-1", "--config", str(config))
    assert (result.exit_code, "EGW-2005" in result.stderr) == (Exit.UNAVAILABLE, True)


# --- list and adopt -------------------------------------------------------------------------------------------------


def journal(config: Path, rows: dict[str, str | None]) -> None:
    store = SqliteJournal(config.parent / "var" / "station.db")

    async def commit() -> None:
        await store.commit((), rows)

    asyncio.run(commit())
    store.close()


READ = MeterAccount(
    meter_id="M-1",
    meter_ref="R",
    power_w_max=22_000,
    serial="1001",
    last=Registers(t0_ns=10**18, t1_ns=10**18, import_mwh=12_345_678, export_mwh=2_000),
    trouble=MeterCondition(code="EGW-2005", detail="no answer", since_ns=10**18),
)


def test_listing_without_a_daemon(config: Path) -> None:
    """Without a daemon the journal's rows are listed, and marked so; a meter that was never read is listed too."""
    empty = run("list", "--config", str(config), "--json")
    assert [one["state"] for one in json.loads(empty.stdout)["meters"]] == ["never read", "never read"]
    journal(config, {"meters/M-1": encode_row(READ)})
    result = run("list", "--config", str(config))
    assert result.exit_code == Exit.DONE
    assert "the daemon is not running" in result.stderr
    assert "M-1: EGW-2005 the meter does not answer: no answer; check cable" in result.stderr
    header, first, second = (line.split() for line in result.stdout.splitlines())
    assert header[:4] == ["METER", "EVSE", "PROFILE", "ADDRESS"]
    assert (first[:3], first[5:8]) == (["M-1", "E-1", "abb-b23"], ["fault", "12345", "2"])
    assert (second[0], second[5:]) == ("M-2", ["never", "read", "-", "-", "-", "-"])


@pytest.mark.parametrize("tells", [True, False], ids=["meters", "nothing of meters"])
def test_listing_with_a_daemon(tells: bool, config: Path, loop: Loop) -> None:
    """The daemon's newer values are listed; if it has none of meters, the journal's are."""
    account = replace(READ, trouble=None)
    journal(config, {"meters/M-1": encode_row(READ)})

    async def status(_arguments: Any) -> object:
        return {"meters": {"M-1": present(account, 10**18, 10**12)}} if tells else {}

    with loop.serving(lambda: serve_control(config.parent / "run", {"status": status})):
        told = json.loads(run("list", "--config", str(config), "--json").stdout)
    assert ("running" in told["source"]) == tells
    assert told["meters"][0]["state"] == ("ok" if tells else "fault")


def test_adopting(config: Path, loop: Loop) -> None:
    """The daemon is asked, and its answer is shown."""

    async def adopt(arguments: Any) -> object:
        return {"meter_id": arguments["meter_id"], "was": "7", "is": "8"}

    with loop.serving(lambda: serve_control(config.parent / "run", {"adopt": adopt})):
        result = run("adopt", "M-1", "--config", str(config))
    assert (result.exit_code, result.stdout) == (Exit.DONE, "meter_id: M-1\nwas: 7\nis: 8\n")
