"""Handle the control command `adopt`, with which an operator confirms a replaced meter.

Never opens an epoch itself; `core.metering` does, with the new meter's own registers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edgegw.common.errors import DeviceError
from edgegw.core.events import MeterAdopted
from edgegw.core.state import Station
from edgegw.ports.gateway import Emit

ANSWER_S = 10.0
_LOOK_S = 0.05


def adopt_command(
    station: Callable[[], Station], emit: Emit, *, answer_s: float = ANSWER_S
) -> Callable[[Mapping[str, Any]], Awaitable[object]]:
    """Return the handler for {"meter_id": …}, which adopts the serial number now read and waits for its first reading.

    The handler raises DeviceError if the meter was not replaced, or if no reading arrives within `answer_s`.
    """

    async def adopt(arguments: Mapping[str, Any]) -> object:
        meter_id = str(arguments.get("meter_id", ""))
        account = station().meters.get(meter_id)
        if account is None:
            raise DeviceError(
                f"no meter {meter_id!r} is configured; configured meters: {', '.join(sorted(station().meters))}"
            )
        if account.stranger is None:
            raise DeviceError(
                f"meter {meter_id} was not replaced: its serial number is {account.serial or 'unknown'}"
            )
        emit(MeterAdopted(meter_id=meter_id, serial=account.stranger))
        try:
            async with asyncio.timeout(answer_s):
                while (now := station().meters[meter_id]).epoch == account.epoch:  # noqa: ASYNC110 - state, no event
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise DeviceError(
                f"meter {meter_id}: {account.stranger} is adopted, but no reading arrived within {answer_s:g} s"
            ) from error
        first = now.first
        assert first is not None
        return {
            "meter_id": meter_id,
            "was": account.serial,
            "is": now.serial,
            "epoch": now.epoch,
            "import_wh": first.import_mwh // 1000,
            "export_wh": first.export_mwh // 1000,
        }

    return adopt
