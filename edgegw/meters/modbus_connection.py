"""Send Modbus requests on one connection, one at a time, and verify every response.

pymodbus 3.16 returns a late response for the next request, accepts a response of any length, and waits for the timeout
after a disconnect. This module therefore disables the library's retries, verifies unit, function and register count of
each response, fails the request at once on a disconnect, and closes the connection after any fault (a timeout, a wrong
response, a cancelled task). Never decides what to read or when. The only module that imports pymodbus.
Source: Modbus application protocol 1.1b3; Modbus over serial line 1.02, §2.5.1 (the quiet time between RTU frames).
"""

import asyncio
import logging
import struct
from collections.abc import Sequence
from functools import cache
from typing import Literal

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
)

from edgegw.meters.profile import Block

Framing = Literal["tcp", "rtu-tcp"]

# pymodbus logs its last twenty frames with each error; faults are raised as ReadError instead.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


# Modbus application protocol 1.1b3, chapter 7
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway: the device did not respond",
}
ILLEGAL_ADDRESS = 2


class ReadError(Exception):
    """A read gave no value; the text is the reason that is reported.

    `code` is one of `common.error_codes`, `detail` a description for people.
    """

    def __init__(self, reason: str, *, code: str, detail: str) -> None:
        super().__init__(reason)
        self.code = code
        self.detail = detail


class UnreachableError(ReadError):
    """The host cannot be reached, which is not the fault of a unit behind it."""


class RefusedError(ReadError):
    """The unit responded with a Modbus exception; the connection stays open."""

    def __init__(self, exception_code: int, *, block: Block) -> None:
        meaning = EXCEPTIONS.get(exception_code, "not in the standard")
        missing = exception_code == ILLEGAL_ADDRESS
        super().__init__(
            f"exception_{exception_code}",
            code="EGW-2001" if missing else "EGW-2002",
            detail=f"register {block.start:#06x} not present ({meaning})"
            if missing
            else f"exception {exception_code} ({meaning}) at register {block.start:#06x}",
        )
        self.exception_code = exception_code


def _read_holding(block: Block) -> ModbusPDU:
    return ReadHoldingRegistersRequest(address=block.start, count=block.count)


def _read_inputs(block: Block) -> ModbusPDU:
    return ReadInputRegistersRequest(address=block.start, count=block.count)


# The only functions edgegw uses are reads. It never builds a write request, because Modbus has no authentication.
_READS = {3: _read_holding, 4: _read_inputs}
_ANSWERS = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}
_HEAD = struct.Struct(">HHHBBB")  # transaction, protocol, length, unit, function, bytes


@cache
def encoded(block: Block) -> bytes:
    """Return the request PDU for a block, as pymodbus encodes it, without a frame."""
    request = _READS[block.fc](block)
    return bytes([request.function_code]) + request.encode()


class _Framer(FramerSocket):
    """A Modbus TCP framer with a fast path for the expected response; pymodbus decodes anything else."""

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 - pymodbus's name
        """See FramerBase."""
        size = len(data)
        if size > _HEAD.size:
            tid, protocol, length, unit, function, count = _HEAD.unpack_from(data)
            expected = (tid, unit, protocol) == (exp_tid, exp_devid, 0)
            whole = size == length + 6 == count + _HEAD.size and not count % 2
            if expected and whole and function in _ANSWERS:
                answer = _ANSWERS[function](dev_id=unit, transaction_id=tid)
                answer.registers = list(struct.unpack_from(f">{count // 2}H", data, _HEAD.size))
                return size, answer
        return super().handleFrame(data, exp_devid, exp_tid)


class ModbusConnection:
    """A connection to one host and port with a single caller, its bus.

    With a single caller a cancelled read needs no shield: it ends the caller, and the connection with it.
    `timeout_s` limits connecting and each response; a change takes effect with the next connection. `gap_s` is the quiet
    time of an RTU bus after each response. Real seconds.
    """

    def __init__(self, host: str, port: int, *, framing: Framing, timeout_s: float, gap_s: float) -> None:
        self._host, self._port = host, port
        self._place = f"{host}:{port}"
        self._framer = FramerType.SOCKET if framing == "tcp" else FramerType.RTU
        self.timeout_s = timeout_s
        self.gap_s = gap_s
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False
        self._heard = b""  # the last bytes received since the request
        self._quiet_until = 0.0  # loop time

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open the connection with a new client, so that no state of an earlier connection remains.

        Raises UnreachableError.
        """
        self.close()
        self._client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            framer=self._framer,
            timeout=self.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
            trace_packet=self._packet_passed,
        )
        if self._framer is FramerType.SOCKET:
            self._client.ctx.framer = _Framer(self._client.ctx.framer.decoder)
        if not await self._client.connect():
            self.close()
            raise UnreachableError(
                "unreachable",
                code="EGW-2005",
                detail=f"no connection to {self._place} within {self.timeout_s:g} s",
            )

    def close(self) -> None:
        """Close the connection; data that still arrives is dropped."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def request(self, unit_id: int, block: Block) -> Sequence[int]:
        """Return exactly `block.count` registers of a unit.

        Raises RefusedError (the connection stays open), or ReadError (it is closed).
        """
        if self.gap_s:
            await asyncio.sleep(max(0.0, self._quiet_until - asyncio.get_running_loop().time()))
        client = self._client
        if client is None or not client.connected:
            self._heard = b""
            raise self._silence("closed", unit_id, block)
        clean = False
        self._asking, self._heard = True, b""
        try:
            answer = await self._answer(client, unit_id, encoded(block))
            registers = _checked(answer, unit_id, block)
            clean = True
        except ConnectionException as error:
            raise self._silence("closed", unit_id, block) from error
        except (ModbusException, TimeoutError) as error:
            raise self._silence("no_answer", unit_id, block) from error
        finally:
            self._asking = False
            if not clean:
                self.close()
            elif self.gap_s:
                self._quiet_until = asyncio.get_running_loop().time() + self.gap_s
        if registers is None:
            raise RefusedError(answer.exception_code, block=block)
        return registers

    async def _answer(self, client: AsyncModbusTcpClient, unit_id: int, request: bytes) -> ModbusPDU:
        """Run one transaction with pymodbus's parts, without its retries, lock and task, as there is one caller.

        Raises TimeoutError, or ConnectionException if the peer disconnects.
        """
        transaction, loop = client.ctx, asyncio.get_running_loop()
        answer: asyncio.Future[ModbusPDU] = loop.create_future()
        transaction.request_dev_id = unit_id
        transaction.request_transaction_id = tid = transaction.getNextTID()
        transaction.recv_buffer = b""
        transaction.response_future = answer
        timer = loop.call_later(self.timeout_s, _expire, answer)
        try:
            frame = transaction.framer.encode(request, unit_id, tid)
            transaction.transport.write(frame)  # type: ignore[attr-defined]  # a TCP transport is a WriteTransport
            return await answer
        finally:
            timer.cancel()

    def _silence(self, reason: str, unit_id: int, block: Block) -> ReadError:
        """Return the error for a missing response, which may be another unit's that pymodbus has dropped."""
        at = 6 if self._framer is FramerType.SOCKET else 0
        heard = self._heard[at : at + 1]
        if heard and heard[0] != unit_id:
            return foreign_unit(heard[0], unit_id)
        what = "hung up" if reason == "closed" else f"gave no answer within {self.timeout_s:g} s"
        where = f"unit {unit_id} at {self._place}, register {block.start:#06x}"
        return ReadError(reason, code="EGW-2005", detail=f"{where}: {what}")

    def _packet_passed(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus's signature
        """Keep the last received bytes, which show the responding unit."""
        if not sending:
            self._heard = data
        return data

    def _connection_changed(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus's signature
        """Fail the pending request at once when the peer disconnects."""
        if connected or not self._asking or self._client is None:
            return
        pending = self._client.ctx.response_future
        if not pending.done():
            pending.set_exception(ConnectionException("closed by the peer"))


def _expire(answer: asyncio.Future[ModbusPDU]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def foreign_unit(heard: int, unit_id: int) -> ReadError:
    """Return the error for a response with another unit id, which is discarded."""
    return ReadError(
        "foreign_unit", code="EGW-2008", detail=f"unit {heard} answered instead of unit {unit_id}; discarded"
    )


def _checked(answer: ModbusPDU, unit_id: int, block: Block) -> Sequence[int] | None:
    """Return the registers, or None for an exception response; raise ReadError for a response to another request."""
    if answer.dev_id != unit_id:
        raise foreign_unit(answer.dev_id, unit_id)
    if answer.function_code & 0x7F != block.fc:
        detail = f"function {answer.function_code & 0x7F} answered instead of function {block.fc}"
        raise ReadError("foreign_answer", code="EGW-2009", detail=detail)
    if answer.isError():
        return None
    registers = answer.registers
    if len(registers) != block.count:
        detail = f"{len(registers)} registers received from {block.start:#06x}, {block.count} requested"
        raise ReadError("wrong_count", code="EGW-2009", detail=detail)
    return registers
