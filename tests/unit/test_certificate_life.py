"""The warning that a certificate ends begins at the right time for any lifetime."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config, load
from edgegw.daemon.certificates import certificate_lives
from edgegw.peer import membership
from edgegw.peer.membership import Enrolment
from edgegw.ports.station_health import CertificateLife, Level, Part, Signs, assess
from tests.support.certificates import Authority
from tests.unit.test_station_health import station

DAY_NS = 86_400 * SECOND_NS


def config_in(folder: Path) -> Config:
    pair = Authority(folder).issue("server")
    path = folder / "edgegw.toml"
    path.write_text(
        f"""
        [station]
        id = "S-1"
        zone = "KR-SEOUL"
        data_dir = "var"
        key_file = "station.key"
        [ocpp.tls]
        certificate = "{pair.certificate}"
        key_file = "{pair.key_file}"
        [ledger]
        gateway_id = "gateway1"
        identity = "crypto/EVUserMSP/gateway1"
        trust_file = "crypto/trust.json"
        [representative]
        store = "members.db"
        key_file = "members.key"
        identity = "crypto/EVUserMSP/nobody"
        """
    )
    return load(path)


def told(now_ns: int, life: CertificateLife) -> Part | None:
    parts = assess(Signs(now_ns=now_ns, station=station(), certificates={"gateway": life}))
    return next((part for part in parts if part.part == "certificate of gateway"), None)


def test_an_identitys_end_is_told_before_half_of_its_life_is_gone(tmp_path: Path) -> None:
    """Whatever its life: at 45 % of it there is a warning, at 44 % none; a server's certificate has its last month."""
    membership.found(tmp_path / "crypto")
    lives = certificate_lives(config_in(tmp_path))
    assert lives.keys() == {"gateway", "chargers"}
    life = lives["gateway"]
    begun = datetime.now(UTC) - timedelta(minutes=5)
    begun_ns = int(begun.timestamp()) * SECOND_NS
    whole_ns = life.end_ns - begun_ns
    assert told(begun_ns + whole_ns * 44 // 100, life) is None
    warned = told(begun_ns + whole_ns * 46 // 100, life)
    assert warned is not None
    assert (warned.level, "edgegw enroll" in warned.hint) == (Level.DEGRADED, True)
    server = lives["chargers"]
    assert server.end_ns - server.warn_ns == 30 * DAY_NS


@pytest.mark.parametrize("days", [1, 90, 3650])
def test_short_and_long_lives_have_the_same_rule(tmp_path: Path, days: int) -> None:
    """A day's certificate does not warn from its first minute, a ten years' one not first in its last month."""
    crypto = tmp_path / "crypto"
    membership.found(crypto)
    folder = membership.enrol(crypto, Enrolment(msp_id="EVUserMSP", name="gateway1", role="gateway"))
    from edgegw.commissioning.enrolment import Wanted, install, request

    wanted = Wanted(folder=folder, role="gateway", gateway="gateway1")
    asked = request(wanted).read_bytes()
    signed = membership.sign_request(crypto, "EVUserMSP", asked, lasts=timedelta(days=days))
    install(wanted, signed, membership.load_roots(crypto))
    life = certificate_lives(config_in(tmp_path))["gateway"]
    now_ns = int(datetime.now(UTC).timestamp()) * SECOND_NS
    assert told(now_ns + days * DAY_NS * 4 // 10, life) is None
    assert told(now_ns + days * DAY_NS // 2, life) is not None
    ended = told(now_ns + days * DAY_NS + SECOND_NS, life)
    assert ended is not None
    assert ended.level is Level.DOWN
