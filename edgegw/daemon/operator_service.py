"""Implements the operator's port (`web.operator.operator_port.OperatorPort`) on the running daemon.

Converts the answers of the control socket's commands to the port's values. An approval writes and checks the file that
`edgegw charger approve` writes, then reloads; where the daemon may not write it, the answer is the command to type.
"""

import asyncio
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from edgegw.commissioning import approval
from edgegw.commissioning.addresses import charger_urls
from edgegw.common.bundled_files import configs
from edgegw.common.errors import ConfigError
from edgegw.common.passwords import hash_password
from edgegw.core.state import Station
from edgegw.daemon.charger_commands import ChargerCommands, UnknownChargerError
from edgegw.daemon.running import Daemon
from edgegw.ports.station_health import Part
from edgegw.web.operator.operator_port import (
    ApprovalRequest,
    Approved,
    ChargerAddress,
    Chargers,
    ChargerShown,
    EvseShown,
    NotApproved,
    Refused,
    Waiting,
)


class OperatorService:
    """`OperatorPort` of a daemon; `drivers_origin` returns the origin of the drivers' pages."""

    def __init__(self, daemon: Daemon, *, drivers_origin: Callable[[], str] = str) -> None:
        self._daemon = daemon
        self._drivers_origin = drivers_origin
        about_chargers = ChargerCommands(daemon.chargers, daemon.profiles)
        self._commands = about_chargers.commands(lambda: daemon.config, lambda: daemon.gateway.station)
        self._one_at_a_time = asyncio.Lock()

    def station(self) -> Station:
        """See OperatorPort."""
        return self._daemon.gateway.station

    def parts(self) -> Sequence[Part]:
        """See OperatorPort."""
        return self._daemon.board.parts

    async def chargers(self) -> Chargers:
        """See OperatorPort."""
        found: Any = await self._commands["chargers"]({})
        return Chargers(
            configured=tuple(_charger(one) for one in found["configured"]),
            waiting=tuple(_waiting(one) for one in found["waiting"]),
            refused=tuple(Refused(**one) for one in found["refused"]),
            rejected=tuple(found["rejected"]),
        )

    def places(self, charger_id: str = "") -> Sequence[ChargerAddress]:
        """See OperatorPort."""
        found = charger_urls(self._daemon.config.ocpp, charger_id)
        return [ChargerAddress(url=one.url, remark=one.remark) for one in found]

    def drivers_origin(self) -> str:
        """See OperatorPort."""
        return self._drivers_origin()

    def free_meters(self) -> Sequence[str]:
        """See OperatorPort."""
        config = self._daemon.config
        taken = {evse.meter for charger in config.chargers for evse in charger.evses}
        return [meter.id for meter in config.meters if meter.id not in taken]

    def register_maps(self) -> Sequence[str]:
        """See OperatorPort."""
        return sorted(path.stem for path in (configs() / "meters").glob("*.json"))

    async def reject(self, charger_id: str) -> bool:
        """See OperatorPort."""
        try:
            await self._commands["reject"]({"charger_id": charger_id})
        except UnknownChargerError:
            return False
        return True

    async def approve(self, approval_request: ApprovalRequest) -> Approved | NotApproved:
        """See OperatorPort."""
        async with self._one_at_a_time:
            return await self._approve(approval_request)

    async def _approve(self, approval_request: ApprovalRequest) -> Approved | NotApproved:
        if any(one.id == approval_request.charger_id for one in self._daemon.config.chargers):
            return NotApproved(faults=(f"{approval_request.charger_id} is approved already",))
        try:
            pending: Any = await self._commands["stranger"]({"charger_id": approval_request.charger_id})
        except UnknownChargerError as fault:
            return NotApproved(faults=(str(fault),))
        password = (
            approval.new_password() if approval_request.new_password or not pending["password_hash"] else ""
        )
        password_hash = (
            await asyncio.to_thread(hash_password, password) if password else pending["password_hash"]
        )
        tables = _approval(approval_request, password_hash).tables()
        try:
            await asyncio.to_thread(
                approval.put_in_place, self._daemon.path, approval_request.charger_id, tables
            )
            result = await self._daemon.reload()
        except ConfigError as fault:
            return NotApproved(faults=fault.faults)
        except OSError:  # the service may read its configuration and no more
            return NotApproved(command=command_of(approval_request, str(self._daemon.path)))
        return Approved(
            charger_id=approval_request.charger_id,
            password=password,
            changed=_texts(result["changed"]),
            needs_restart=_texts(result["needs_restart"]),
        )


def command_of(approval_request: ApprovalRequest, config: str) -> str:
    """Return the command `edgegw charger approve …` that is equal to the form."""
    words = ["sudo", "edgegw", "charger", "approve", approval_request.charger_id]
    for evse in approval_request.evses:
        words += ["--evse", f"{evse.number}={evse.evse_id}"]
    new = [evse for evse in approval_request.evses if evse.meter is not None]
    if not new:
        for evse in approval_request.evses:
            words += ["--meter", evse.meter_id]
    for number, evse in enumerate(new):
        assert evse.meter is not None
        if number == 0:
            words += ["--meter-profile", evse.meter.profile, "--meter-host", evse.meter.host]
            words += ["--meter-port", str(evse.meter.port)]
        words += ["--meter-unit", str(evse.meter.unit)]
    words += ["--rated-w", str(approval_request.rated_w), "--discharge-w", str(approval_request.discharge_w)]
    for option, value in (("--dialect", approval_request.dialect), ("--version", approval_request.version)):
        words += [option, value] if value else []
    words += ["--new-password"] if approval_request.new_password else []
    return shlex.join([*words, "--config", config])


def _approval(approval_request: ApprovalRequest, password_hash: str) -> approval.Approval:
    return approval.Approval(
        charger_id=approval_request.charger_id,
        password_hash=password_hash,
        evses=tuple(
            approval.EvseWish(
                number=one.number,
                evse_id=one.evse_id,
                meter_id=one.meter_id,
                meter=None if one.meter is None else asdict(one.meter),
            )
            for one in approval_request.evses
        ),
        rated_w=approval_request.rated_w,
        discharge_w=approval_request.discharge_w,
        dialect=approval_request.dialect,
        version=approval_request.version,
    )


def _charger(found: Mapping[str, Any]) -> ChargerShown:
    return ChargerShown(
        charger_id=found["id"],
        online=found["online"],
        version=found["version"] or "",
        security_profile=found["security_profile"] or 0,
        evses=tuple(
            EvseShown(number=one["number"], evse_id=one["id"], meter_id=one["meter"], phase=one["phase"])
            for one in found["evses"]
        ),
    )


def _waiting(found: Mapping[str, Any]) -> Waiting:
    return Waiting(**{one.name: found[one.name] for one in fields(Waiting)})


def _texts(names: object) -> tuple[str, ...]:
    assert isinstance(names, list)
    return tuple(map(str, names))
