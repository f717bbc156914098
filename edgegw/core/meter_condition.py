"""Tracks why a meter cannot be used: code, detail, since when, and how often in a row.

Decides how many discarded readings in a row are a fault of the meter. Never decides what is discarded.
Source: docs/meters.md, When a meter misbehaves; `common.error_codes` explains the codes.
"""

from dataclasses import dataclass

NO_NUMBER = "EGW-2003"
JUMP = "EGW-2004"
WENT_BACK = "EGW-2006"
REPLACED = "EGW-2007"

IN_A_ROW = 3
_PASSING = frozenset({NO_NUMBER, JUMP, WENT_BACK})  # a single such reading is noise


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterCondition:
    """One code since `since_ns`, `in_a_row` times without a good reading in between."""

    code: str
    detail: str
    since_ns: int
    in_a_row: int = 1

    @property
    def is_fault(self) -> bool:
        """Whether the meter needs attention: at once, or after three discarded readings, by code."""
        return self.in_a_row >= (IN_A_ROW if self.code in _PASSING else 1)


def after(trouble: MeterCondition | None, *, code: str, detail: str, now_ns: int) -> MeterCondition:
    """Return the condition after one more unusable reading; another code starts a new condition."""
    if trouble is None or trouble.code != code:
        return MeterCondition(code=code, detail=detail, since_ns=now_ns)
    # Capped, so that the row of a meter that stays silent does not change at each poll.
    in_a_row = min(trouble.in_a_row + 1, IN_A_ROW)
    return MeterCondition(code=code, detail=detail, since_ns=trouble.since_ns, in_a_row=in_a_row)
