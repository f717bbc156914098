"""Logs refused connections with cause and remedy, rate-limited, and keeps the newest for operators.

Decides wording and rate; never what is refused. The caller sends the HTTP answer, which says less.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from edgegw.chargers import json_values
from edgegw.chargers.settings import Log
from edgegw.common.error_codes import REMEDIES
from edgegw.common.rate_limited_log import RateLimitedLog

KEPT_MAX = 50
_ID_LENGTH_MAX = 60
_DETAIL_LENGTH_MAX = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Refusals of one code, id and address; `at_ns` is the newest one's, `charger_id` is "" where none could be read."""

    at_ns: int
    code: str
    charger_id: str
    address: str
    detail: str
    count: int = 1


class RejectionLog:
    """The newest refusals, and their log lines."""

    def __init__(self, log: Log, *, now_ns: Callable[[], int], now_s: Callable[[], float]) -> None:
        self.log = log
        self._now_ns = now_ns
        self._seldom = RateLimitedLog(now_s)
        self._kept: dict[tuple[str, str, str], Rejection] = {}

    def note(
        self, code: str, *, address: str, charger_id: str = "", path: str = "", detail: str = ""
    ) -> None:
        """Keep one refusal, and log it where it is due; texts from outside are sanitised."""
        charger_id = json_values.shown(charger_id, _ID_LENGTH_MAX)
        detail = json_values.shown(detail, _DETAIL_LENGTH_MAX)
        key = (code, charger_id or detail, address)  # without an id, by cause
        old = self._kept.pop(key, None)
        refusal = Rejection(
            at_ns=self._now_ns(), code=code, charger_id=charger_id, address=address, detail=detail
        )
        self._kept[key] = refusal if old is None else replace(refusal, count=old.count + 1)
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        count = self._seldom.due(key)
        if not count:
            return
        fields: dict[str, object] = {
            "code": code,
            "reason": REMEDIES[code].problem,
            "address": address,
            "remedy": REMEDIES[code].remedy,
            "count": count,
        }
        if charger_id:
            fields["charger_id"] = charger_id
        else:
            fields["path"] = json_values.shown(path, _ID_LENGTH_MAX)
        self.log("charger.refused", fields | ({"detail": detail} if detail else {}))

    def recent(self) -> tuple[Rejection, ...]:
        """Return the newest refusals, oldest first."""
        return tuple(self._kept.values())
