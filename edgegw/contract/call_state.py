"""Hold the state of one call: a cache over the host's stub, ledger time, credits, energy flows and history.

Writes go to the stub at `flush`, once per key, in sorted order; a refused call writes nothing. A read of a key that
this call wrote comes from the cache, because a host never returns a transaction's own writes.
Source: docs/ledger.md, Determinism and Contention; Fabric documentation, Read-Write set semantics.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from edgegw.contract import keys
from edgegw.contract.codec import pack, unpack
from edgegw.contract.codes import Code, Refusal
from edgegw.contract.records import Config, Credit, Entry, Flow, Mark
from edgegw.contract.stub import Stub

T = TypeVar("T")
SCAN_MAX = 100_000


class CallState:
    """The contract functions' access to the ledger. `request` is the hash of the call's name, arguments and caller."""

    def __init__(self, stub: Stub, request: str) -> None:
        self._stub = stub
        self._seen: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._credits: dict[str, Credit] = {}
        self._flow = Flow()
        self.request = request
        self.tx_id = stub.tx_id
        self.creator = stub.creator

    @property
    def cfg(self) -> Config:
        """The channel's constants; refuses with `NOT_CONFIGURED` before `Configure` has run."""
        cfg = self.read(Config, keys.CONFIG)
        if cfg is None:
            raise Refusal(Code.NOT_CONFIGURED, "the channel has no configuration")
        return cfg

    @property
    def now_ms(self) -> int:
        """Ledger time: the transaction's timestamp, converted by the sandbox's time mapping if one is configured."""
        mapping, at_ms = self.cfg.time, self._stub.timestamp_ms
        if mapping is None:
            return at_ms
        return mapping.ledger_origin_ms + max(0, at_ms - mapping.real_origin_ms) * mapping.speed

    def read(self, cls: type[T], key: str) -> T | None:
        """Return the record at `key`, including what this call wrote, or None."""
        if key not in self._seen:
            raw = self._stub.get(key)
            self._seen[key] = None if raw is None else unpack(cls, raw)
        return cast("T | None", self._seen[key])

    def need(self, cls: type[T], key: str, code: Code) -> T:
        """Return the record at `key`; refuse with `code` if there is none."""
        record = self.read(cls, key)
        if record is None:
            raise Refusal(code, key)
        return record

    def repeated(self, stored: Any, code: Code) -> None:
        """Refuse with `code` unless `stored` was written by an identical request (a client's retry)."""
        if stored.request != self.request:
            raise Refusal(code, "the id is in use with other content")

    def write(self, key: str, record: Any) -> None:
        """Set the record at `key` if the call succeeds."""
        self._seen[key] = self._written[key] = record

    def remove(self, key: str) -> None:
        """Delete `key` if the call succeeds."""
        self._seen[key] = self._written[key] = None

    def mark(self, key: str) -> None:
        """Write an index key, which carries its information in its name."""
        self.write(key, Mark(tx_id=self.tx_id))

    def guard(self, name: str) -> None:
        """Write a guard key, so that the transaction needs an endorsement of all three organisations."""
        self.mark(keys.guard(name))

    def protect(self, key: str, msp_ids: tuple[str, ...]) -> None:
        """Require an endorsement of each of `msp_ids` for later writes of `key`."""
        self._stub.set_policy(key, msp_ids)

    def scan(self, start: str, *, after: str = "", limit: int = SCAN_MAX) -> Iterator[tuple[str, bytes]]:
        """Yield committed pairs whose key begins with `start`, ascending, beginning after key `after`."""
        first = after + "\x01" if after.startswith(start) else start
        return self._stub.scan(first, keys.end_of(start), limit)

    def credit(self, member_id: str, *, tokens: int = 0, energy: int = 0) -> None:
        """Add to the member's pending credit of this transaction, without reading the account."""
        held = self._credits.get(member_id, Credit(tokens=0, energy=0))
        self._credits[member_id] = Credit(tokens=held.tokens + tokens, energy=held.energy + energy)

    def flow(self, **deltas_wh: int) -> None:
        """Add Wh to this transaction's sources and sinks outside the accounts, named as in `Flow`."""
        self._flow = replace(
            self._flow, **{name: getattr(self._flow, name) + wh for name, wh in deltas_wh.items()}
        )

    def history(self, member_id: str, entry: tuple[str, str], *, tokens: int = 0, energy: int = 0) -> None:
        """Write a history entry; `entry` is its type and id, the deltas are the change of what the member owns."""
        kind, entry_id = entry
        now_ms = self.now_ms
        self.write(
            keys.key("hist", member_id, keys.newest_first(now_ms), f"{kind}:{entry_id}"),
            Entry(
                type=kind, id=entry_id, tokens=tokens, energy=energy, tx_id=self.tx_id, ledger_time_ms=now_ms
            ),
        )

    def flush(self) -> bool:
        """Pass all writes to the host, each key once, in sorted order; return whether there was anything to write."""
        for member_id, credit in self._credits.items():
            if credit.tokens or credit.energy:
                self.write(keys.key("cr", member_id, self.tx_id, 0), credit)
        if any(getattr(self._flow, field.name) for field in fields(Flow)):
            self.write(keys.key("sink", self.tx_id), self._flow)
        for key in sorted(self._written):
            record = self._written[key]
            if record is None:
                self._stub.delete(key)
            else:
                self._stub.put(key, pack(record))
        return bool(self._written)
