"""Replay all blocks: verify the hash chain and each transaction's validation code, and rebuild the state.

Decides whether the blocks form one unbroken chain. Passes each valid transaction to every check, together with the state
before it. Source: docs/ledger.md, Blocks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware_sim.audit.blocks import Block, Transaction, read_block, read_transaction, split
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.identity import Identity, Roots
from firmware_sim.audit.protobuf import MalformedError
from firmware_sim.audit.state import State, read_record
from firmware_sim.audit.verdict import Code, Judge, Verdict

EXACT = {
    Code.DUPLICATE_TXID,
    Code.ENDORSEMENT_POLICY_FAILURE,
    Code.MVCC_READ_CONFLICT,
    Code.PHANTOM_READ_CONFLICT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A valid transaction: its creator, its endorsers, its time on the ledger's clock, and the records it wrote."""

    where: str
    transaction: Transaction
    creator: Identity
    endorsers: frozenset[str]
    now_ms: int
    records: dict[str, dict[str, Any] | None]

    def written(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the keys and records of one kind that it wrote, without deletions."""
        start = f"{kind}~"
        return [
            (key, record)
            for key, record in self.records.items()
            if key.startswith(start) and record is not None
        ]


Check = Callable[[Entry, State], None]


@dataclass(slots=True, kw_only=True)
class Replay:
    """One pass over an exported file."""

    roots: Roots
    findings: Findings
    checks: Sequence[Check]
    state: State = field(default_factory=State)
    blocks: int = 0
    transactions: int = 0
    invalid: int = 0
    functions: Counter[str] = field(default_factory=Counter)
    """Valid transactions by the function they called."""

    def run(self, raw: bytes) -> None:
        """Replay every block; record a finding and stop at the first that cannot be decoded."""
        judge = Judge(self.roots)
        previous = b""
        try:
            for raw_block in split(raw):
                block = read_block(raw_block)
                self._check_header(block, previous)
                self._play(block, judge)
                previous = block.header_hash()
                self.blocks += 1
        except MalformedError as fault:
            self.findings.add("BLOCK_MALFORMED", f"block {self.blocks}", expected="a block", found=str(fault))

    def _check_header(self, block: Block, previous: bytes) -> None:
        where = f"block {self.blocks}"
        data_hash = hashlib.sha256(b"".join(block.envelopes)).digest()
        equal = self.findings.equal
        equal("BLOCK_NUMBER", where, expected=self.blocks, found=block.number)
        equal("PREVIOUS_HASH", where, expected=previous.hex(), found=block.previous_hash.hex())
        equal("DATA_HASH", where, expected=data_hash.hex(), found=block.data_hash.hex())
        equal("CODE_COUNT", where, expected=len(block.envelopes), found=len(block.codes))

    def _play(self, block: Block, judge: Judge) -> None:
        self.state.begin_block()
        for position, (envelope, said) in enumerate(zip(block.envelopes, block.codes, strict=False)):
            where = f"block {block.number} transaction {position}"
            transaction = None
            verdict = Verdict(code=Code.BAD_PAYLOAD)
            try:
                transaction = read_transaction(envelope)
                verdict = judge.verdict(transaction, self.state)
            except MalformedError as fault:
                where += f" ({fault})"
            code = verdict.code
            self.transactions += 1
            self.invalid += said != Code.VALID
            if said != code and (Code.VALID in {said, code} or code in EXACT):
                self.findings.add("VALIDATION_CODE", where, expected=code.name, found=said)
            # A transaction that the block marks valid is applied even if the code is wrong (recorded above): peers did so too.
            if said == Code.VALID and transaction is not None:
                self.functions[transaction.function] += 1
                self._check(transaction, verdict, where=where)
                self.state.apply(transaction, (block.number, position))

    def _check(self, transaction: Transaction, verdict: Verdict, *, where: str) -> None:
        try:
            entry = self._entry(transaction, verdict, where=where)
            for check in self.checks:
                check(entry, self.state)
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            self.findings.add(
                "RECORD_MALFORMED", f"{where} {transaction.tx_id}", expected="a record", found=repr(fault)
            )

    def _entry(self, transaction: Transaction, verdict: Verdict, *, where: str) -> Entry:
        if verdict.creator is None:
            raise MalformedError("the creator's certificate is not of a known organisation")
        return Entry(
            where=where,
            transaction=transaction,
            creator=verdict.creator,
            endorsers=verdict.endorsers,
            now_ms=ledger_time_ms(transaction.timestamp_ms, self.state),
            records={
                key: None if value is None else read_record(value)
                for key, value in transaction.writes.items()
            },
        )


def ledger_time_ms(timestamp_ms: int, state: State) -> int:
    """Return a transaction's time on the ledger's clock, which a sandbox maps from real time."""
    mapping = (state.record("cfg") or {}).get("time")
    if mapping is None:
        return timestamp_ms
    elapsed_ms = max(0, timestamp_ms - mapping["realOriginMs"])
    return int(mapping["ledgerOriginMs"] + elapsed_ms * mapping["speed"])
