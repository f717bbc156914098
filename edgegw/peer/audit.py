"""Recompute every block of an embedded peer's file, and read raw blocks for other auditors.

Recomputes header chain, data hash, creators' and endorsers' signatures, policies, MVCC and the world state with the
peer's own rules. Source: docs/ledger.md, Blocks.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edgegw.fabric import block as blocks
from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.wire import MalformedMessageError
from edgegw.peer.store import FILE_NAME, snapshot
from edgegw.peer.validate import Rules, validate
from edgegw.peer.world_state import World

REMARK = (
    "One process holds the keys of all three organisations: these blocks show that the file is consistent, "
    "not that three parties agreed. A development network proves nothing between organisations."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of an audit: without fault if `faults` is empty; `codes` counts validation codes by name."""

    blocks: int
    codes: dict[str, int]
    faults: tuple[str, ...]
    last_hash: bytes
    remark: str = REMARK


def replay(raw_blocks: Iterable[bytes], rules: Rules, world: World) -> Report:
    """Validate all blocks again from the first one on, and apply them to `world`, which starts empty."""
    faults: list[str] = []
    codes: Counter[str] = Counter()
    seen: set[str] = set()
    previous, count = b"", 0
    for number, raw in enumerate(raw_blocks):
        count += 1
        try:
            block = blocks.parse_block(raw)
        except MalformedMessageError as fault:
            faults.append(f"block {number}: {fault}")
            break
        envelopes = list(block.data.data)
        verdicts = validate(envelopes, rules, world, known=seen.__contains__)
        checks = {
            "number": block.header.number == number,
            "previous hash": block.header.previous_hash == previous,
            "data hash": block.header.data_hash == blocks.data_hash(envelopes),
            "validation codes": blocks.codes_of(block) == bytes(verdict.code for verdict in verdicts),
        }
        faults += [f"block {number}: {name} differs" for name, holds in checks.items() if not holds]
        world.apply(
            number, [(at, entry.rwset) for at, entry in enumerate(verdicts) if entry.rwset is not None]
        )
        seen.update(verdict.tx_id for verdict in verdicts)
        codes.update(peer_pb2.TxValidationCode.Name(verdict.code) for verdict in verdicts)
        previous = blocks.header_hash(block.header)
    return Report(blocks=count, codes=dict(codes), faults=tuple(faults), last_hash=previous)


def verify(data: Path, rules: Rules) -> Report:
    """Replay the blocks of a peer's folder and compare the stored world state with the recomputed one."""
    world = World()
    with snapshot(data / FILE_NAME) as stored:
        report = replay(stored.blocks(), rules, world)
        state = [(row.key, row.value, row.version, row.policy) for row in stored.state()]
    if state == list(world.contents()):
        return report
    return replace(report, faults=(*report.faults, "stored world differs from the blocks"))


def read_block(data: Path, number: int) -> bytes | None:
    """Return a raw block of a peer's folder, or None if it does not exist."""
    with snapshot(data / FILE_NAME) as stored:
        return stored.block(number)
