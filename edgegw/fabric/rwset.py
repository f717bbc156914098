"""Serialise and parse read-write sets: what a simulated transaction read (with versions) and writes.

Serialises with sorted keys, so that honest endorsers produce the same bytes. Never decides whether a read is still
current.
Source: Fabric ledger/rwset and kvrwset; a key's policy is its VALIDATION_PARAMETER metadata.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from edgegw.fabric.policy import VALIDATION_PARAMETER
from edgegw.fabric.proto import kvrwset_pb2, rwset_pb2
from edgegw.fabric.wire import MalformedMessageError, decode, encode


class Version(NamedTuple):
    """The version of a value: number of the block that wrote it, and the transaction's position in it."""

    block: int
    tx: int


@dataclass(slots=True)
class RangeRead:
    """Keys found in `[start, end)`, in order; if the reader stopped early, `end` is the last key it read."""

    start: str
    end: str
    reads: list[tuple[str, Version]] = field(default_factory=list)
    exhausted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWriteSet:
    """One namespace's reads and writes; a value of None is a deletion, a version of None an absent key."""

    reads: dict[str, Version | None]
    ranges: tuple[RangeRead, ...]
    writes: dict[str, bytes | None]
    policies: dict[str, bytes]


def serialize(namespace: str, rwset: ReadWriteSet) -> bytes:
    """Return TxReadWriteSet bytes, deterministic for the same content."""
    inner = kvrwset_pb2.KVRWSet(
        reads=[_read(key, rwset.reads[key]) for key in sorted(rwset.reads)],
        range_queries_info=[
            kvrwset_pb2.RangeQueryInfo(
                start_key=seen.start,
                end_key=seen.end,
                itr_exhausted=seen.exhausted,
                raw_reads=kvrwset_pb2.QueryReads(
                    kv_reads=[_read(key, version) for key, version in seen.reads]
                ),
            )
            for seen in rwset.ranges
        ],
        writes=[
            kvrwset_pb2.KVWrite(key=key, is_delete=value is None, value=value or b"")
            for key, value in sorted(rwset.writes.items())
        ],
        metadata_writes=[
            kvrwset_pb2.KVMetadataWrite(
                key=key,
                entries=[kvrwset_pb2.KVMetadataEntry(name=VALIDATION_PARAMETER, value=policy)],
            )
            for key, policy in sorted(rwset.policies.items())
        ],
    )
    entry = rwset_pb2.NsReadWriteSet(namespace=namespace, rwset=encode(inner))
    return encode(rwset_pb2.TxReadWriteSet(ns_rwset=[entry]))


def parse(namespace: str, data: bytes) -> ReadWriteSet:
    """Parse the read-write set of `namespace`, the only one allowed; raise MalformedMessageError."""
    outer = decode(rwset_pb2.TxReadWriteSet, data)
    if any(entry.namespace != namespace for entry in outer.ns_rwset):
        raise MalformedMessageError("touches another chaincode's namespace")
    inner = decode(kvrwset_pb2.KVRWSet, b"".join(entry.rwset for entry in outer.ns_rwset))
    if any(seen.WhichOneof("reads_info") == "reads_merkle_hashes" for seen in inner.range_queries_info):
        raise MalformedMessageError("range read as hashes")
    return ReadWriteSet(
        reads={read.key: _version(read) for read in inner.reads},
        ranges=tuple(
            RangeRead(
                seen.start_key,
                seen.end_key,
                [(read.key, _version(read) or Version(0, 0)) for read in seen.raw_reads.kv_reads],
                seen.itr_exhausted,
            )
            for seen in inner.range_queries_info
        ),
        writes={write.key: None if write.is_delete else write.value for write in inner.writes},
        policies={
            write.key: entry.value
            for write in inner.metadata_writes
            for entry in write.entries
            if entry.name == VALIDATION_PARAMETER
        },
    )


def writes_of(namespace: str, data: bytes) -> dict[str, bytes | None]:
    """Return what a transaction writes in `namespace`.

    Other namespaces are ignored, because a Fabric transaction also reads `_lifecycle`.

    Raises:
        MalformedMessageError: the bytes are not a read-write set.
    """
    outer = decode(rwset_pb2.TxReadWriteSet, data)
    inner = [decode(kvrwset_pb2.KVRWSet, one.rwset) for one in outer.ns_rwset if one.namespace == namespace]
    return {write.key: None if write.is_delete else write.value for one in inner for write in one.writes}


def _read(key: str, version: Version | None) -> kvrwset_pb2.KVRead:
    read = kvrwset_pb2.KVRead(key=key)
    if version is not None:
        read.version.block_num, read.version.tx_num = version
        read.version.SetInParent()
    return read


def _version(read: kvrwset_pb2.KVRead) -> Version | None:
    if not read.HasField("version"):
        return None
    return Version(read.version.block_num, read.version.tx_num)
