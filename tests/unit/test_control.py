"""The control socket is for its owner only, answers in JSON, and reports faults as text."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.errors import DeviceError
from edgegw.ops.control_socket import SOCKET, RunFolderError, reachable, serve_control


async def echo(arguments: Mapping[str, Any]) -> object:
    return dict(arguments)


async def fail(_arguments: Mapping[str, Any]) -> object:
    raise DeviceError("the charger is gone")


async def asked(run_dir: Path, line: bytes) -> Any:
    with reachable(run_dir) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def test_commands_are_answered_and_what_is_none_is_refused(tmp_path: Path) -> None:
    """A known command gets its answer, a fault its text, an invalid line a refusal; the connection stays open."""
    async with serve_control(tmp_path, {"echo": echo, "fail": fail}):
        assert await asked(tmp_path, b'{"command":"echo","x":1}') == {"answer": {"x": 1}}
        assert await asked(tmp_path, b'{"command":"fail"}') == {"error": "the charger is gone"}
        for rubbish in (b"hello", b"[]", b"{}", b'{"command":["x"]}', b'{"command":"none"}'):
            assert await asked(tmp_path, rubbish) == {"error": "unknown command"}


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A folder that cannot be used raises a fault with a remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="file: File exists") as fault:
        async with serve_control(tmp_path / "file", {}):
            pass
    assert "station.run_dir" in fault.value.hint


async def test_only_its_owner_may_ask_and_the_socket_goes_with_the_daemon(tmp_path: Path) -> None:
    """The file mode is the whole of the access control, from the first moment on; a stale socket is replaced."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    (deep / SOCKET).touch()
    async with serve_control(deep, {"echo": echo}):
        assert stat.S_IMODE((deep / SOCKET).stat().st_mode) == 0o600
        assert await asked(deep, b'{"command":"echo"}') == {"answer": {}}
    assert not (deep / SOCKET).exists()
