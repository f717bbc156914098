"""Define the results of a read: both energy registers, or the reason why there is no reading.

`core.metering` decides whether a reading is plausible.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReading:
    """Both cumulative registers, from one response.

    `t0_ns` and `t1_ns` are UTC of the station's clock when the request was sent and its response received; the meter
    took the values between them. `None` means not measured (the meter's sentinel, or a register it does not have).
    `power_w` is positive for import. `degraded` means that a float register has outgrown its smallest step.
    """

    meter_id: str
    t0_ns: int
    t1_ns: int
    import_mwh: int | None
    export_mwh: int | None
    power_w: int | None
    serial: str | None
    degraded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFailed:
    """There is no valid response; `reason` is the text of `modbus_connection.ReadError`, such as "no_answer".

    `code` is one of `common.error_codes`, `detail` a description for people.
    """

    meter_id: str
    at_ns: int
    reason: str
    code: str
    detail: str
