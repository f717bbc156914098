"""Serve `edgegw` commands on a Unix socket: one JSON request per line, one JSON response per line.

Access is controlled by the socket's file mode alone (0600: its owner and root). The registered functions decide what a
command does. Never carries a password or a key.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgegw.common.errors import EdgegwError

SOCKET = "control.sock"


class RunFolderError(EdgegwError):
    """The control socket cannot be created."""

    hint = "set station.run_dir to a folder that the daemon can write; until then edgegw commands cannot reach it"


_LINE_BYTES_MAX = 1 << 20

ControlCommand = Literal["adopt", "chargers", "lower_profile", "reject", "reload", "status", "stranger"]
"""The commands of a daemon, a closed list: `daemon.running` answers each, and `cli.daemon.ask_daemon` asks no other."""

Name = TypeVar("Name", bound=str)
Command = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Takes the request's arguments and returns a JSON value; an EdgegwError becomes an error response with its text."""


@contextlib.asynccontextmanager
async def serve_control(run_dir: Path, commands: Mapping[Name, Command]) -> AsyncIterator[None]:
    """Serve commands at `run_dir`/control.sock within the block; raise RunFolderError."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(commands, line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    try:
        door = _bound(run_dir)
    except OSError as error:
        raise RunFolderError(f"{run_dir}: {error.strerror}") from error
    server = await asyncio.start_unix_server(handle, sock=door, limit=_LINE_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(OSError):  # the next daemon replaces a leftover socket
            _remove(run_dir)


def _bound(run_dir: Path) -> socket.socket:
    """Return the bound socket, created with mode 0600; replace one left by an earlier daemon."""
    run_dir.mkdir(parents=True, exist_ok=True)
    _remove(run_dir)
    door = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with reachable(run_dir) as path:
            door.bind(str(path))
    except OSError:
        door.close()
        raise
    finally:
        os.umask(before)
    return door


def _remove(run_dir: Path) -> None:
    (run_dir / SOCKET).unlink(missing_ok=True)


async def _answer(commands: Mapping[Any, Command], line: bytes) -> dict[str, object]:
    try:
        request = json.loads(line)
        command = commands[request.pop("command")]
    except (ValueError, KeyError, AttributeError, TypeError):
        return {"error": "unknown command"}
    try:
        return {"answer": await command(request)}
    except EdgegwError as fault:
        return {"error": f"{fault}\n{fault.hint}".strip()}


@contextlib.contextmanager
def reachable(run_dir: Path) -> Iterator[Path]:
    """Yield a path of the socket that fits AF_UNIX's limit (107 bytes) for a folder of any depth."""
    descriptor = os.open(run_dir, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)
