"""What leaves the Modbus edge: a reading of both registers, or the reason why there is none.

Never a judgement: whether a reading is plausible is decided in `core.metering`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReading:
    """Both cumulative registers, taken from one answer.

    `t0_ns` and `t1_ns` are UTC of the given clock when the request left and when its answer was there; the registers held
    at some instant between. `None` means not measured (the meter's own sentinel, or a register it does not have).
    `power_w` is positive for import. `degraded`: a float register has outgrown its finest step.
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
    """No acceptable answer; `reason` is the text of `line.ReadError`: "no_answer", "closed" and the like.

    `code` is the refusal's (`remedies`), `detail` what is known of it.
    """

    meter_id: str
    at_ns: int
    reason: str
    code: str
    detail: str
