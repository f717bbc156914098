"""Read the station's facts: its meters, segments, untraded energy, evidence and trades.

Decides only how the file is read: JSON lines {"kind", "body"}; the line of kind `meters` maps meter ids to
{"meter_ref", "evse_id"}. The facts are not trusted: other modules compare them with ledger and books.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KINDS = ("epoch", "segment", "untraded", "evidence", "trade")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter's id at the station, its reference on the ledger, and its EVSE in the sealed books."""

    meter_id: str
    meter_ref: str
    evse_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A station's facts by kind, in the file's order."""

    meters: tuple[Meter, ...]
    by_kind: dict[str, list[dict[str, Any]]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return all facts of a kind."""
        return self.by_kind.get(kind, [])


def read_facts(lines: Iterable[str]) -> Facts:
    """Return the facts of a file's lines. Raise ValueError if a line is not a fact."""
    by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    meters: dict[str, Meter] = {}
    for line in lines:
        fact = json.loads(line)
        try:
            kind, body = fact["kind"], fact["body"]
            if kind == "meters":
                for meter_id, names in body.items():
                    meters[meter_id] = Meter(
                        meter_id=meter_id, meter_ref=names["meter_ref"], evse_id=names["evse_id"]
                    )
            else:
                by_kind[kind].append(dict(body))
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"no fact: {line[:80]!r}") from fault
    return Facts(meters=tuple(meters.values()), by_kind=dict(by_kind))


def canonical(content: Any) -> bytes:
    """Return content as canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_hex(content: Any) -> str:
    """Return the SHA-256 of content's canonical JSON."""
    return hashlib.sha256(canonical(content)).hexdigest()
