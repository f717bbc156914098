"""Decides which changes of the configuration apply at a reload, and which need a restart. Pure.

EVSEs and meters can be added while the daemon runs; one that is removed or moved may have open holds and lines, so that the
change needs a restart.
Source: docs/operations.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgegw.config.schema import ChargerConfig, Config, MeterConfig

AT_ONCE = frozenset({"session", "sale", "settlement", "log"})  # tables that apply at a reload
_OCPP_AT_ONCE = frozenset(
    {"default_version", "sample_interval_s", "accept_unknown", "plaintext_networks", "public_host"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """The result of a reload: `effective` is the new configuration without the changes named in `needs_restart`."""

    effective: Config
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def plan_reload(old: Config, new: Config) -> Reload:
    """Compare two configurations and return what applies at once and what needs a restart."""
    changed: list[str] = []
    waiting: list[str] = []
    update: dict[str, object] = {}
    for name in Config.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after or name in {"chargers", "meters", "ocpp"}:
            continue
        if name in AT_ONCE:
            update[name] = after
            changed.append(name)
        else:
            waiting.append(name)
    meters, new_meters, late_meters = _meters(old.meters, new.meters)
    chargers, new_chargers, late_chargers = _chargers(old.chargers, new.chargers, {one.id for one in meters})
    update |= {"meters": meters, "chargers": chargers}
    changed += [*new_meters, *new_chargers]
    waiting += [*late_meters, *late_chargers]
    same = {key: getattr(new.ocpp, key) for key in _OCPP_AT_ONCE}
    update["ocpp"] = old.ocpp.model_copy(update=same)
    for key in type(old.ocpp).model_fields:
        if getattr(old.ocpp, key) != getattr(new.ocpp, key):
            (changed if key in _OCPP_AT_ONCE else waiting).append(f"ocpp.{key}")
    return Reload(
        effective=old.model_copy(update=update), changed=tuple(changed), needs_restart=tuple(waiting)
    )


def _meters(
    old: Iterable[MeterConfig], new: Iterable[MeterConfig]
) -> tuple[tuple[MeterConfig, ...], list[str], list[str]]:
    """Add new meters; keep changed and removed ones as they were. Return the meters, the added and the late ones."""
    known = {one.id: one for one in old}
    wanted = {one.id: one for one in new}
    added = [name for name in wanted if name not in known]
    late = [name for name, one in known.items() if wanted.get(name) != one]
    kept = (*known.values(), *(wanted[name] for name in added))
    return kept, [f"meter {name}" for name in added], [f"meter {name}" for name in late]


def _chargers(
    old: Iterable[ChargerConfig], new: Iterable[ChargerConfig], meters: set[str]
) -> tuple[tuple[ChargerConfig, ...], list[str], list[str]]:
    """Apply new chargers, passwords and limits; keep a charger whose EVSEs moved, are gone, or belong to another one.

    Return the chargers, and the names of the changed and of the late ones.
    """
    known = {one.id: one for one in old}
    wanted = {one.id: one for one in new}
    kept, changed, late = dict(known), [], [f"charger {name}" for name in known if name not in wanted]
    for name, one in wanted.items():
        if one == known.get(name):
            continue
        others = [charger for charger in kept.values() if charger.id != name]
        is_free = not _held(one) & {place for other in others for place in _held(other)}
        stays = _places(known.get(name)) <= _places(one)
        if is_free and stays and all(evse.meter in meters for evse in one.evses):
            kept[name] = one
            changed.append(f"charger {name}")
        else:
            late.append(f"charger {name}")
    return tuple(kept.values()), changed, late


def _held(charger: ChargerConfig) -> set[tuple[str, str]]:
    """Return the EVSE and meter ids, each of which only one charger may have."""
    return {held for evse in charger.evses for held in (("evse", evse.id), ("meter", evse.meter))}


def _places(charger: ChargerConfig | None) -> set[tuple[str, int, str]]:
    """Return id, number and meter of each EVSE."""
    return set() if charger is None else {(evse.id, evse.number, evse.meter) for evse in charger.evses}
