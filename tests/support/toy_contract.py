"""Implement a small contract for tests of peer and client: a counter, a map, ranges, a guarded key, refusals, events."""

import json
from typing import Any

from edgegw.contract.stub import Response, Stub


def invoke(stub: Stub, function: str, args: tuple[str, ...]) -> Response:
    """Call a function of the contract with the JSON object in `args`."""
    given = json.loads(args[0]) if args else {}
    call = {
        "Add": _add,
        "Put": _put,
        "PutBlind": _put_blind,
        "Get": _get,
        "Delete": _delete,
        "Count": _count,
        "Guard": _guard,
        "Whoami": _whoami,
        "Both": _both,
    }.get(function)
    if call is None:
        return Response(status=500, message=f"UNKNOWN_FUNCTION: {function}")
    return call(stub, given)


def _ok(**result: Any) -> Response:
    return Response(status=200, payload=json.dumps(result, sort_keys=True, separators=(",", ":")).encode())


def _add(stub: Stub, given: dict[str, Any]) -> Response:
    """Add to a counter; refuse a result below zero."""
    value = int(stub.get(given["key"]) or b"0") + given["n"]
    if value < 0:
        return Response(status=500, message="INSUFFICIENT: the counter would be negative")
    stub.put(given["key"], str(value).encode())
    stub.set_event("toy.added", json.dumps({"key": given["key"], "value": value}).encode())
    return _ok(value=value)


def _put(stub: Stub, given: dict[str, Any]) -> Response:
    stub.get(given["key"])
    return _put_blind(stub, given)


def _put_blind(stub: Stub, given: dict[str, Any]) -> Response:
    stub.put(given["key"], given["value"].encode())
    return _ok()


def _get(stub: Stub, given: dict[str, Any]) -> Response:
    value = stub.get(given["key"])
    return _ok(value=None if value is None else value.decode())


def _delete(stub: Stub, given: dict[str, Any]) -> Response:
    stub.delete(given["key"])
    return _ok()


def _count(stub: Stub, given: dict[str, Any]) -> Response:
    """Count the keys of a range and write the number."""
    found = list(stub.scan(given["start"], given["end"], given.get("limit", 1000)))
    stub.put(given["into"], str(len(found)).encode())
    return _ok(count=len(found))


def _guard(stub: Stub, given: dict[str, Any]) -> Response:
    stub.put(given["key"], b"guarded")
    stub.set_policy(given["key"], given["msps"])
    return _ok()


def _whoami(stub: Stub, _given: dict[str, Any]) -> Response:
    creator = stub.creator
    return _ok(msp=creator.msp_id, role=creator.role, gateway=creator.gateway_id, ms=stub.timestamp_ms)


def _both(stub: Stub, given: dict[str, Any]) -> Response:
    """Read a key after writing it: the read must not see the write."""
    stub.put(given["key"], b"new")
    return _ok(seen=(stub.get(given["key"]) or b"").decode())
