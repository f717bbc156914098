"""Modbus has no authentication, so edgegw only ever reads."""

import ast
import re
import struct
from pathlib import Path
from typing import Any

import pymodbus.pdu
import pymodbus.pdu.bit_message
import pymodbus.pdu.file_message
import pymodbus.pdu.register_message
import pytest
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.pdu import ModbusPDU

from edgegw.meters import modbus_connection
from edgegw.meters.modbus_connection import ModbusConnection
from edgegw.meters.profile import Block, named_profile, shipped_profiles

EDGEGW = Path(modbus_connection.__file__).parents[1]
WRITING = {5, 6, 15, 16, 22, 23}
SENDING = {
    "execute",
    "send",
    "sendto",
    "pdu_send",
    "low_level_send",
    "write",
    "writelines",
}  # of pymodbus and asyncio


def pymodbus_modules() -> dict[str, set[str]]:
    """File -> the pymodbus names that it imports."""
    found: dict[str, set[str]] = {}
    for path in EDGEGW.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and any(
                name.name.split(".")[0] == "pymodbus" for name in node.names
            ):
                found.setdefault(path.name, set()).add("*")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pymodbus":
                found.setdefault(path.name, set()).update(name.name for name in node.names)
    return found


def writing_names() -> set[str]:
    """Requests and client calls of pymodbus that write, by its own function codes and names."""
    modules = (pymodbus.pdu.bit_message, pymodbus.pdu.register_message, pymodbus.pdu.file_message)
    requests = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, ModbusPDU) and value.function_code in WRITING
    }
    calls = {name for name in dir(ModbusClientMixin) if "write" in name}
    assert {
        "WriteSingleCoilRequest",
        "MaskWriteRegisterRequest",
        "ReadWriteMultipleRegistersRequest",
    } <= requests
    assert {"write_register", "write_coils", "mask_write_register", "readwrite_registers"} <= calls
    return requests | calls


def test_pymodbus_is_seen_in_one_file_and_there_only_reads() -> None:
    """One file of edgegw imports pymodbus, and of its requests only the two that read registers."""
    imports = pymodbus_modules()
    assert set(imports) == {"modbus_connection.py"}
    assert {name for name in imports["modbus_connection.py"] if name.endswith("Request")} == {
        "ReadHoldingRegistersRequest",
        "ReadInputRegistersRequest",
    }


def test_nothing_that_writes_is_named() -> None:
    """No source names a request or a call that writes, nor sends a frame past the one place that sends."""
    names = writing_names()
    source = (EDGEGW / "meters" / "modbus_connection.py").read_text()
    assert not [name for name in names if re.search(rf"\b{name}\b", source)]
    sent = [
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in SENDING
    ]
    assert sent == ["write"]


def test_only_reads_have_an_encoder() -> None:
    """Of all function codes only 3 and 4 can be encoded, and each frame has the requested one."""
    assert set(modbus_connection._READS) == {3, 4}
    for function_code in modbus_connection._READS:
        encoded = modbus_connection.encoded(Block(fc=function_code, start=0x5000, count=8))
        assert encoded == struct.pack(">BHH", function_code, 0x5000, 8)
    for function_code in set(range(256)) - {3, 4}:
        with pytest.raises(KeyError):
            modbus_connection.encoded(Block(fc=function_code, start=0, count=1))


@pytest.mark.parametrize("function_code", sorted(WRITING))
async def test_a_profile_that_wants_to_write_is_never_asked(function_code: int) -> None:
    """Even a block that names a writing function code, past the profile's own check, makes no frame."""

    class Deaf:
        """A connected client that fails when anything is sent."""

        connected = True

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    bus = ModbusConnection("127.0.0.1", 1, framing="tcp", timeout_s=0.1, gap_s=0.0)
    bus._client = Deaf()  # type: ignore[assignment]  # only ever asked whether it is connected
    bus.close = lambda: None  # type: ignore[method-assign]  # there is no connection
    with pytest.raises(KeyError):
        await bus.request(1, Block(fc=function_code, start=0, count=1))


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_read(name: str) -> None:
    """Every block of every profile that edgegw brings is a read."""
    profile = named_profile(name)
    identities = [*profile.match, *([profile.serial] if profile.serial else [])]
    blocks = [profile.energy_block, profile.power_block, *(identity.block for identity in identities)]
    assert {block.fc for block in blocks if block} <= {3, 4}
