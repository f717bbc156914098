"""The control socket's commands about chargers: list, show a pending charger, reject, lower the security profile.

Decides the form of the answers. A password hash leaves this process only for `edgegw charger approve`, over a socket that
only its owner may open.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.pending_chargers import PendingCharger
from edgegw.common.errors import EdgegwError
from edgegw.config.schema import Config
from edgegw.core.state import Station
from edgegw.ops.control_socket import Command, ControlCommand
from edgegw.store.security_profiles import ChargerProfiles


class UnknownChargerError(EdgegwError):
    """No unknown charger with this id has connected."""

    hint = "edgegw charger list shows all chargers"


class ChargerCommands:
    """Commands about the chargers of one daemon."""

    def __init__(self, chargers: Chargers, profiles: ChargerProfiles) -> None:
        self._chargers = chargers
        self._profiles = profiles

    def commands(
        self, config: Callable[[], Config], station: Callable[[], Station]
    ) -> Mapping[ControlCommand, Command]:
        """Return the commands by name; `config` and `station` return the current ones."""

        async def chargers(_arguments: Mapping[str, Any]) -> object:
            return await self._list(config(), station())

        return {
            "chargers": chargers,
            "stranger": self._tell_stranger,
            "reject": self._reject,
            "lower_profile": self._lower_profile,
        }

    async def _list(self, config: Config, station: Station) -> object:
        profiles = await asyncio.to_thread(
            lambda: {charger.id: self._profiles.highest(charger.id) for charger in config.chargers}
        )
        connected = self._chargers.connected()
        pending_chargers = self._chargers.pending_chargers()
        return {
            "configured": [
                {
                    "id": charger.id,
                    "online": charger.id in connected,
                    "version": charger.version,
                    "security_profile": profiles[charger.id],
                    "evses": [
                        {
                            "number": evse.number,
                            "id": evse.id,
                            "meter": evse.meter,
                            "phase": station.evses[evse.id].phase.value,
                        }
                        for evse in charger.evses
                    ],
                }
                for charger in config.chargers
            ],
            "waiting": [shown(one) for one in pending_chargers if not one.rejected],
            "refused": [asdict(one) for one in self._chargers.refusals()],
            "rejected": [one.charger_id for one in pending_chargers if one.rejected],
        }

    async def _tell_stranger(self, arguments: Mapping[str, Any]) -> object:
        charger_id = str(arguments.get("charger_id", ""))
        for one in self._chargers.pending_chargers():
            if one.charger_id == charger_id:
                return {**shown(one), "password_hash": one.password_hash}
        raise UnknownChargerError(f"no unknown charger {charger_id!r} has connected")

    async def _reject(self, arguments: Mapping[str, Any]) -> object:
        charger_id = str(arguments.get("charger_id", ""))
        if not await self._chargers.reject(charger_id):
            raise UnknownChargerError(f"no unknown charger {charger_id!r} has connected")
        return {"rejected": charger_id}

    async def _lower_profile(self, arguments: Mapping[str, Any]) -> object:
        charger_id = str(arguments.get("charger_id", ""))
        await asyncio.to_thread(self._profiles.lower, charger_id)
        return {"lowered": charger_id}


def shown(pending: PendingCharger) -> dict[str, object]:
    """Return the fields of a pending charger without its password hash."""
    return {name: value for name, value in asdict(pending).items() if name != "password_hash"}
