"""Writes a charger's part of the configuration, `conf.d/charger-<id>.toml`, after checking the whole configuration with it.

Decides what an approval writes; an invalid part is never put in place. A new password is generated here, and only its
hash is written.
"""

import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.commissioning.files import Owner, replaced
from edgegw.commissioning.toml import toml
from edgegw.common.errors import ConfigError, EdgegwError
from edgegw.config.files import part_folder
from edgegw.config.schema import load
from edgegw.meters.profile import named_profile

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
PASSWORD_LENGTH = 20  # valid for OCPP 1.6 (at most 20 bytes) and 2.x (16 to 40); 99 bits


class NotHereError(EdgegwError):
    """The charger has no part of its own in `conf.d`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseWish:
    """One EVSE and the meter that bills it; `meter` has the other keys of a new meter."""

    number: int
    evse_id: str
    meter_id: str
    meter: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The configuration of a charger to approve."""

    charger_id: str
    password_hash: str
    evses: tuple[EvseWish, ...]
    rated_w: int
    discharge_w: int = 0
    dialect: str | None = None
    version: str | None = None

    def tables(self) -> dict[str, Any]:
        """Return the charger's part of the configuration; an absent option keeps its default."""
        optional = {"version": self.version, "dialect": self.dialect}
        charger = {
            "id": self.charger_id,
            "password_hash": self.password_hash,
            **{name: value for name, value in optional.items() if value is not None},
            "evses": [
                {
                    "number": evse.number,
                    "id": evse.evse_id,
                    "meter": evse.meter_id,
                    "rated_w": self.rated_w,
                    "discharge_w": self.discharge_w,
                }
                for evse in self.evses
            ],
        }
        meters = [{"id": evse.meter_id, **evse.meter} for evse in self.evses if evse.meter is not None]
        return {"chargers": [charger]} | ({"meters": meters} if meters else {})


def new_password() -> str:
    """Return a random password that is valid for every OCPP version and easy to type."""
    return "".join(secrets.choice(_LETTERS) for _ in range(PASSWORD_LENGTH))


def part_of(config: Path, charger_id: str) -> Path:
    """Return the file of a charger's part."""
    return part_folder(config) / f"charger-{charger_id}.toml"


def put_in_place(config: Path, charger_id: str, tables: Mapping[str, Any]) -> Path:
    """Write a charger's part; raises ConfigError, and changes nothing, where the whole configuration is then invalid."""
    place = part_of(config, charger_id)
    owner = Owner.of_daemon()
    if not place.parent.exists():
        place.parent.mkdir(mode=0o750)
        if owner is not None:
            owner.may_read(place.parent)
    text = f"# Written by edgegw charger approve {charger_id}.\n\n{toml(tables)}"
    with replaced(place, text, owner=owner):
        check_with(config, place, text)
    return place


def with_password(config: Path, charger_id: str, password_hash: str) -> dict[str, Any]:
    """Return a charger's part with a new password hash; raises NotHereError where it has no part of its own."""
    place = part_of(config, charger_id)
    tables = tomllib.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    chargers = [charger for charger in tables.get("chargers", []) if charger["id"] == charger_id]
    if not chargers:
        raise NotHereError(
            f"{charger_id} is configured by hand: add this to its [[chargers]] table and reload: "
            f'password_hash = "{password_hash}"'
        )
    chargers[0]["password_hash"] = password_hash
    return tables


def check_with(config: Path, place: Path, text: str) -> None:
    """Check the whole configuration and its meter profiles as if `place` contained `text`; raises ConfigError."""
    with tempfile.TemporaryDirectory(prefix="edgegw-check-") as folder:
        copy = Path(folder) / config.name
        shutil.copyfile(config, copy)
        parts = part_folder(copy)
        parts.mkdir()
        for file in part_folder(config).glob("*.toml"):
            shutil.copyfile(file, parts / file.name)
        (parts / place.name).write_text(text, encoding="utf-8")
        real = str(config.absolute().parent)
        try:
            meters = load(copy).meters
        except ConfigError as fault:
            raise ConfigError(tuple(line.replace(folder, real) for line in fault.faults)) from fault
    faults: list[str] = []
    for meter in meters:
        try:
            named_profile(meter.profile.replace(folder, real))
        except ConfigError as fault:
            faults += [f"meter {meter.id}: {line}" for line in fault.faults]
    if faults:
        raise ConfigError(tuple(faults))
