"""One Modbus connection: a request at a time, every answer verified, and closed after anything odd.

pymodbus 3.16 is seen in this file only. It hands out a late answer as the next request's, takes an answer of any length,
and waits out the timeout after a hang-up, so here: no retries inside the library, unit, function and count of each answer
verified, a hang-up fails the request at once, and a connection on which anything was odd (a timeout, a wrong answer, a
cancelled task) is closed and never used again. Never decides what to ask or when.
Source: metering reference, clauses 5.1, 5.4 and 5.6.
"""

import asyncio
import logging
from typing import Literal

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

from edgegw.meters.profile import Block

Framing = Literal["tcp", "rtu-tcp"]

# It dumps its last twenty frames with each error; what went wrong leaves here as a ReadError instead.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ReadError(Exception):
    """This read gives no value; the text is the reason that is reported."""


class UnreachableError(ReadError):
    """Nobody listens: no unit behind this connection is to blame."""


class RefusedError(ReadError):
    """The unit answered with a Modbus exception; the connection is in order."""


class Line:
    """A connection to one host and port; it has one caller, its bus.

    That there is one caller stands in for a shield: a cancelled read ends the caller, and the connection with it.
    `timeout_s` bounds connecting and each answer; `gap_s` keeps an RTU bus quiet after each answer. Real seconds.
    """

    def __init__(self, host: str, port: int, *, framing: Framing, timeout_s: float, gap_s: float) -> None:
        self._host, self._port = host, port
        self._framer = FramerType.SOCKET if framing == "tcp" else FramerType.RTU
        self._timeout_s = timeout_s
        self._gap_s = gap_s
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False
        self._quiet_until = 0.0  # loop time

    @property
    def connected(self) -> bool:
        """Whether a request can be made."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open; a fresh client for each connection, so that nothing of the old one can leak into it.

        Raises UnreachableError.
        """
        self.close()
        self._client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            framer=self._framer,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        if not await self._client.connect():
            self.close()
            raise UnreachableError("unreachable")

    def close(self) -> None:
        """Hang up; whatever still arrives is heard by nobody."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def request(self, unit_id: int, block: Block) -> list[int]:
        """Exactly `block.count` registers of that unit.

        Raises RefusedError (the connection stays), or ReadError (it is closed).
        """
        client = self._client
        if client is None:
            raise ReadError("closed")
        if self._gap_s:
            await asyncio.sleep(max(0.0, self._quiet_until - asyncio.get_running_loop().time()))
        ask = client.read_input_registers if block.fc == 4 else client.read_holding_registers
        clean = False
        self._asking = True
        try:
            answer = await ask(block.start, count=block.count, device_id=unit_id)
            if answer.dev_id != unit_id or answer.function_code & 0x7F != block.fc:
                raise ReadError("foreign_answer")
            if not answer.isError() and len(answer.registers) != block.count:
                raise ReadError("wrong_count")
            clean = True
        except ConnectionException as error:
            raise ReadError("closed") from error
        except ModbusException as error:
            raise ReadError("no_answer") from error
        finally:
            self._asking = False
            if not clean:
                self.close()
            elif self._gap_s:
                self._quiet_until = asyncio.get_running_loop().time() + self._gap_s
        if answer.isError():
            raise RefusedError(f"exception_{answer.exception_code}")
        return list(answer.registers)

    def _connection_changed(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        """A hang-up fails the pending request at once."""
        if connected or not self._asking or self._client is None:
            return
        pending = self._client.ctx.response_future
        if not pending.done():
            pending.set_exception(ConnectionException("closed by the peer"))
