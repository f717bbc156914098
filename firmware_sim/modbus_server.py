"""Serve simulated meters over Modbus TCP, each at a port of its own; registers are computed at each read.

Decides nothing about energy: `source` returns what has flowed, `MeterModel` encodes it, `MeterFaults` describes how the
meter misbehaves. This is the only file that imports pymodbus.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware_sim.meter import MeterModel, Physics

Source = Callable[[], tuple[int, int, int]]
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


@dataclass(slots=True)
class MeterFaults:
    """How the meter misbehaves; it may be changed while the meter is served.

    `silent`: no answer. `delay_s`: real seconds before each answer. `frozen`: a fixed state to answer with.
    `base_import_mwh`, `base_export_mwh`: the true registers at the last counter reset, which are subtracted.
    """

    silent: bool = False
    delay_s: float = 0.0
    frozen: Physics | None = None
    base_import_mwh: int = 0
    base_export_mwh: int = 0


@dataclass(slots=True)
class ServedMeter:
    """A meter on the network: its bound port, its faults, and in `reads` the requests it has answered or ignored."""

    port: int
    unit_id: int
    model: MeterModel
    faults: MeterFaults
    source: Source
    reads: int = 0
    server: ModbusTcpServer | None = field(default=None, repr=False)

    def registers(self) -> Physics:
        """Return the meter's state before truncation: the true energy less that of the last counter reset."""
        if self.faults.frozen is not None:
            return self.faults.frozen
        import_mwh, export_mwh, power_w = self.source()
        return Physics(
            import_mwh - self.faults.base_import_mwh, export_mwh - self.faults.base_export_mwh, power_w
        )

    def reset_counters(self) -> None:
        """Restart both registers at zero."""
        self.faults.base_import_mwh, self.faults.base_export_mwh, _ = self.source()

    async def action(  # noqa: PLR0917 - pymodbus passes positional arguments
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Fill in the registers of a read request; refuse a write with ILLEGAL_FUNCTION."""
        if set_values:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        first = address - start_address
        current_registers[first : first + count] = self.model.words(
            function_code, address, count, now=self.registers()
        )
        return None

    def hear(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU | None:  # noqa: FBT001 - pymodbus passes positional arguments
        """Count a request; drop what a real meter would not answer: another unit's request, or any while silent."""
        if sending:
            return pdu
        self.reads += 1
        return None if self.faults.silent or pdu.dev_id != self.unit_id else pdu

    async def stop(self) -> None:
        """Close all connections and free the port."""
        if self.server is not None:
            await self.server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus leaves it untyped
            self.server = None
            await asyncio.sleep(0)


async def serve_meter(
    profile_path: Path,
    source: Source,
    *,
    unit_id: int,
    host: str = "127.0.0.1",
    port: int = 0,
    serial: str = "10000001",
    rtu_frames: bool = False,
) -> ServedMeter:
    """Serve one meter; OSError if it cannot listen at `host` and `port` (0: a free one).

    `source()` returns (import mWh, export mWh, power W) at each read. With `rtu_frames` frames are RTU over TCP.
    """
    meter = ServedMeter(port, unit_id, MeterModel(profile_path, serial=serial), MeterFaults(), source)
    device = SimDevice(unit_id, _layout(meter.model), action=meter.action)
    meter.server = ModbusTcpServer(
        device,
        address=(host, port),
        framer=FramerType.RTU if rtu_frames else FramerType.SOCKET,
        trace_pdu=meter.hear,  # type: ignore[arg-type]  # None means dropped, see ServerRequestHandler.callback_data
    )
    try:
        await meter.server.serve_forever(background=True)
    except RuntimeError as fault:  # pymodbus raises it for an address that it cannot bind
        raise OSError(f"a meter cannot listen at {host}:{port}: is the port in use?") from fault
    listener = meter.server.transport
    meter.port = listener.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # it is an asyncio.Server
    return meter


def _layout(model: MeterModel) -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
    """Return the address ranges that the model answers; pymodbus refuses requests outside of them, as meters do."""
    bits = [SimData(0, values=False, datatype=DataType.BITS)]
    holding, inputs = (
        [
            SimData(start, count=count, datatype=DataType.REGISTERS)
            for start, count in sorted(set(model.spans[fc]))
        ]
        or [SimData(0, datatype=DataType.REGISTERS)]
        for fc in (3, 4)
    )
    return bits, bits, holding, inputs
