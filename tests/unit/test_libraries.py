"""A library for a device or a server is imported in few, listed files, so that it can be replaced by a small change."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORTED_BY = {
    "grpc": {"edgegw/ledger/grpc_wire.py", "edgegw/peer/chaincode/server.py", "edgegw/peer/server.py"},
    "paho": {"edgegw/telemetry/link.py"},
    "pymodbus": {"edgegw/meters/modbus_connection.py", "firmware_sim/modbus_server.py"},
    "uvicorn": {
        "edgegw/common/connections.py",
        "edgegw/representative/server.py",
        "edgegw/web/server.py",
    },
    "websockets": {
        "edgegw/chargers/listener.py",
        "firmware_sim/ocpp16_client.py",
        "firmware_sim/ocpp2_calls.py",
        "firmware_sim/ocpp2_client.py",
        "firmware_sim/ocpp_client.py",
    },
}
# Starlette is the language that pages are written in; the daemon names the type of an application.
PAGES = ("edgegw/web/", "edgegw/daemon/", "edgegw/common/connections.py", "edgegw/representative/server.py")


def imported(path: Path) -> Iterator[str]:
    """Top-level names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def importers(library: str) -> set[str]:
    """Files of the program that import a library."""
    files = [path for folder in ("edgegw", "firmware_sim") for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix() for path in files if library in imported(path)}


@pytest.mark.parametrize("library", IMPORTED_BY)
def test_a_server_or_device_library_is_imported_where_the_list_says(library: str) -> None:
    """The files that import the library are those of the list, no more and no less."""
    assert importers(library) == IMPORTED_BY[library]


def test_starlette_stays_with_the_pages() -> None:
    """Starlette is imported by pages, by the daemon that serves them and by the representative's server only."""
    found = importers("starlette")
    assert found
    assert [file for file in found if not file.startswith(PAGES)] == []
