"""`edgegw mqtt` and the publisher's settings against a real mosquitto, with TLS and without: each trouble has its exit code."""

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.common.errors import ConfigError
from edgegw.config.schema import load
from edgegw.telemetry.publisher import Publisher
from edgegw.telemetry.settings import publisher_settings
from tests.support.background import in_background
from tests.support.broker import MISSING, MOSQUITTO, PASSWORDS, Broker, Ear, guarded, tls
from tests.support.core_bench import Bench
from tests.support.gateway_fakes import FakeClock
from tests.support.patience import PATIENCE_S, until

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason=MISSING)
ROOT = Path(__file__).parents[2]
CONFIG = """\
[station]
id = "ST"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"
[ledger]
gateway_id = "gateway1"
identity = "crypto/EVUserMSP/gateway1"
trust_file = "crypto/trust.json"
"""


def written(folder: Path, *lines: str) -> Path:
    """A configuration with the lines of its [mqtt]."""
    path = folder / "edgegw.toml"
    path.write_text(CONFIG + "\n".join(["[mqtt]", *lines, ""]))
    return path


def secret(folder: Path, text: str, *, mode: int = 0o600) -> str:
    path = folder / "mqtt.password"
    path.write_text(text)
    path.chmod(mode)
    return 'password_file = "mqtt.password"'


def command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "edgegw.cli", "mqtt", *arguments, "--config", str(config)]


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(config, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[list[Broker]]:
    made: list[Broker] = []
    yield made
    for broker in made:
        broker.end()


@needs_mosquitto
def test_a_probe_tells_whether_somebody_listens(tmp_path: Path, brokers: list[Broker]) -> None:
    """A message that the broker accepts is a success; the output states whether anybody subscribes."""
    brokers.append(Broker(tmp_path))
    config = written(tmp_path, f"port = {brokers[0].port}")
    alone = run(config, "test", "--json")
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout) == {
        "broker": f"127.0.0.1:{brokers[0].port}",
        "tls": False,
        "topic": "edgegw/ST/probe",
        "taken": True,
        "listeners": False,
    }
    assert "no client subscribes" in alone.stderr
    ear = Ear(brokers[0].port)
    asyncio.run(until(lambda: ear.ready))
    heard = run(config, "test", "--json")
    ear.close()
    assert json.loads(heard.stdout)["listeners"] is True
    assert heard.stderr == ""


@needs_mosquitto
def test_each_trouble_has_its_exit_code(tmp_path: Path, brokers: list[Broker]) -> None:
    """69 out of reach, 77 a wrong password or a topic that is not ours, 78 what the configuration says; with the remedy."""
    brokers.append(Broker(tmp_path, *guarded(tmp_path)))
    port = f"port = {brokers[0].port}"
    wrong = run(written(tmp_path, port, 'username = "ST"', secret(tmp_path, "wrong")), "test")
    assert (wrong.returncode, wrong.stdout) == (77, "")
    assert "EGW-6003" in wrong.stderr
    assert "Not authorized" in wrong.stderr
    assert "mqtt.password_file" in wrong.stderr
    other = run(written(tmp_path, port, 'username = "OTHER"', secret(tmp_path, PASSWORDS["OTHER"])), "test")
    assert other.returncode == 77
    assert "edgegw/ST/probe" in other.stderr
    mine = run(written(tmp_path, port, 'username = "ST"', secret(tmp_path, PASSWORDS["ST"] + "\n")), "test")
    assert mine.returncode == 0, mine.stderr
    brokers[0].end()
    away = run(written(tmp_path, port), "test")
    assert away.returncode == 69
    assert "EGW-6002" in away.stderr
    assert "Connection refused" in away.stderr


@needs_mosquitto
def test_a_broker_is_trusted_by_its_authority_alone(tmp_path: Path, brokers: list[Broker]) -> None:
    """TLS with the right authority works; with another's, or with a name the certificate lacks, it ends with 78."""
    brokers.append(Broker(tmp_path, *tls(tmp_path)))
    port = f"port = {brokers[0].port}"
    right = run(written(tmp_path, port, 'ca_file = "ca.pem"'), "test", "--json")
    assert right.returncode == 0, right.stderr
    assert json.loads(right.stdout)["tls"] is True
    for lines in ((port, 'ca_file = "other.pem"'), (port, 'ca_file = "ca.pem"', 'host = "localhost"')):
        refused = run(written(tmp_path, *lines), "test")
        assert refused.returncode == 78, refused.stderr
        assert "EGW-6004" in refused.stderr
    plain = run(
        written(tmp_path, port), "test"
    )  # the broker waits for a handshake that never comes, or hangs up
    assert plain.returncode == 69


@needs_mosquitto
async def test_a_station_publishes_over_tls(tmp_path: Path, brokers: list[Broker]) -> None:
    """The publisher with the configuration's own settings reaches a broker with TLS."""
    brokers.append(Broker(tmp_path, *tls(tmp_path)))
    config = load(written(tmp_path, f"port = {brokers[0].port}", 'ca_file = "ca.pem"'))
    assert config.mqtt is not None
    settings = publisher_settings(config, config.mqtt)
    assert settings.broker.tls is not None
    assert settings.broker.tls.minimum_version is ssl.TLSVersion.TLSv1_2
    publisher = Publisher(settings, clock=FakeClock(), log=lambda *_: None)
    station = Bench().station
    task = asyncio.create_task(publisher.run(lambda: station))
    await until(lambda: publisher.counts.published >= 5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@needs_mosquitto
def test_watch_prints_until_ctrl_c(tmp_path: Path, brokers: list[Broker]) -> None:
    """`watch` prints a line per message, escaped; Ctrl-C ends it normally, also as a background job."""
    brokers.append(Broker(tmp_path))
    config = written(tmp_path, f"port = {brokers[0].port}")
    with subprocess.Popen(
        in_background(*command(config, "watch")),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "listening to edgegw/ST/#" in watching.stderr.readline()
        ear = Ear(brokers[0].port)
        asyncio.run(until(lambda: "edgegw/ST/#" in brokers[0].log()))
        ear.say("edgegw/OTHER/trade", "not ours")
        ear.say("edgegw/ST/trade", '{"event":"\x1b[2J"}')
        assert watching.stdout.readline() == 'edgegw/ST/trade {"event":"\\x1b[2J"}\n'
        ear.close()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE_S) == 0
        assert watching.stderr.read() == ""


def test_settings_that_cannot_work_are_told_at_once(tmp_path: Path) -> None:
    """A password that others read, without a user or of several lines, no authority in the file, no host: exit 78's faults."""

    def fault(*lines: str) -> str:
        config = load(written(tmp_path, *lines))
        assert config.mqtt is not None
        with pytest.raises(ConfigError) as caught:
            publisher_settings(config, config.mqtt)
        return str(caught.value)

    user = 'username = "ST"'
    assert "chmod 600" in fault(user, secret(tmp_path, "x", mode=0o640))
    assert "one line" in fault(user, secret(tmp_path, "a\nb"))
    assert "one line" in fault(user, secret(tmp_path, "\n"))
    assert "needs mqtt.username" in fault(secret(tmp_path, "x"))
    assert "No such file" in fault(user, 'password_file = "absent"')
    assert "No such file" in fault('ca_file = "absent.pem"')
    (tmp_path / "empty.pem").write_text("")
    assert "no certificate" in fault('ca_file = "empty.pem"')
    assert "is not a host name" in fault('host = "a..b"')
    assert "is empty" in fault('host = ""')


def test_the_gateway_s_log_reaches_the_publisher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With [mqtt] each event is logged and published; without it, nothing more runs."""
    from edgegw.app import gateway_log, publisher_for
    from edgegw.common.clock import StationClock
    from edgegw.ops.logs import configure

    configure("info", "json", sys.stdout)
    config = load(written(tmp_path))
    clock = StationClock.from_environment({})
    publisher = publisher_for(config, clock)
    assert publisher is not None
    gateway_log(publisher)("trade.recorded", {"trade_id": "T-1"})
    assert "T-1" in capsys.readouterr().out
    assert len(publisher._events) == 1
    (tmp_path / "edgegw.toml").write_text(CONFIG)
    assert publisher_for(load(tmp_path / "edgegw.toml"), clock) is None


def test_without_a_section_there_is_nothing_to_try(tmp_path: Path) -> None:
    """A configuration without [mqtt] ends with 78 and says so."""
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    ended = run(path, "test")
    assert ended.returncode == 78
    assert "no [mqtt]" in ended.stderr
