"""Which addresses and units a scan reads, and the name of a meter's state."""

import tomllib

import pytest

from edgegw.common.errors import ConfigError
from edgegw.config.schema import MeterConfig
from edgegw.core.meter_condition import MeterCondition
from edgegw.core.metering import MeterAccount, Registers
from edgegw.meters.meter_status import present, state_of
from edgegw.meters.scan import Candidate, as_toml, hosts_of, unit_ids_of

S = 1_000_000_000
READ = Registers(t0_ns=100 * S, t1_ns=100 * S, import_mwh=5_500, export_mwh=900)
FRESH = MeterAccount(meter_id="M", meter_ref="R", power_w_max=11_000)


@pytest.mark.parametrize(
    ("text", "units"), [("1", [1]), ("1-3", [1, 2, 3]), ("9, 2-3,3", [2, 3, 9]), ("247", [247])]
)
def test_units(text: str, units: list[int]) -> None:
    """Numbers and ranges, each unit once, in order."""
    assert unit_ids_of(text) == units


@pytest.mark.parametrize("text", ["", "0", "248", "3-1", "a", "1-", "-1", "1,,2"])
def test_units_that_are_none(text: str) -> None:
    """Modbus has units 1 to 247."""
    with pytest.raises(ConfigError, match="--units"):
        unit_ids_of(text)


def test_hosts() -> None:
    """The one that was named, or the hosts of a network of at most 256 addresses; none by itself."""
    assert hosts_of("meter.local", None) == ["meter.local"]
    assert hosts_of(None, "192.0.2.4/30") == ["192.0.2.5", "192.0.2.6"]
    assert len(hosts_of(None, "192.0.2.0/24")) == 254
    assert hosts_of(None, "2001:db8::/126") == ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
    for wrong in ("192.0.2.0/23", "2001:db8::/64", "everything", None):
        with pytest.raises(ConfigError, match="--network"):
            hosts_of(None, wrong)


@pytest.mark.parametrize(
    ("serial", "meter_id"),
    [("1001", "M-1001"), (None, "M-7"), ('a"\n[x] é' + "9" * 60, "M-a---x---" + "9" * 32)],
)
def test_what_is_pasted_is_one_meter(serial: str | None, meter_id: str) -> None:
    """Whatever a device calls itself, the lines are TOML with an id that the configuration takes."""
    found = Candidate(
        host="192.0.2.1", port=502, unit_id=7, profile_id="abb-b23", sure=True, reason="", serial=serial
    )
    assert tomllib.loads(as_toml(found)) == {
        "meters": [{"id": meter_id, "profile": "abb-b23", "host": "192.0.2.1", "port": 502, "unit": 7}]
    }
    MeterConfig.model_validate(tomllib.loads(as_toml(found))["meters"][0])


@pytest.mark.parametrize(
    ("account", "age_s", "state"),
    [
        (FRESH, 0, "never read"),
        (MeterAccount(meter_id="M", meter_ref="R", power_w_max=1, last=READ), 10, "ok"),
        (MeterAccount(meter_id="M", meter_ref="R", power_w_max=1, last=READ), 601, "stale"),
        (
            MeterAccount(
                meter_id="M", meter_ref="R", power_w_max=1, last=READ,
                trouble=MeterCondition(code="EGW-2003", detail="d", since_ns=1),
            ),
            10,
            "doubted",
        ),
        (
            MeterAccount(
                meter_id="M", meter_ref="R", power_w_max=1, last=READ,
                trouble=MeterCondition(code="EGW-2005", detail="d", since_ns=1),
            ),
            601,
            "fault",
        ),
        (MeterAccount(meter_id="M", meter_ref="R", power_w_max=1, last=READ, stranger="8"), 601, "replaced"),
    ],
)  # fmt: skip
def test_states(account: MeterAccount, age_s: int, state: str) -> None:
    """A meter has one state, the worst that applies; a value that was not measured is not shown as a number."""
    now_ns = (100 + age_s) * S
    told = present(account, now_ns, 600 * S)
    assert told["state"] == state == state_of(account, now_ns, 600 * S)
    if account.last is None:
        assert {told[key] for key in ("import_wh", "export_wh", "power_w", "read_ns", "age_s")} == {None}
    else:
        assert (told["import_wh"], told["export_wh"], told["age_s"]) == (5, 0, age_s)
    trouble = account.trouble
    assert told["code"] == (None if trouble is None else trouble.code)
