"""What of a changed configuration holds at once, and what waits for a restart. Pure.

Decides section by section. EVSEs and meters can be added while the daemon runs; one that is gone or moved may have open
holds and lines, so that it waits for a restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgegw.config.schema import ChargerConfig, Config, MeterConfig

AT_ONCE = frozenset({"session", "sale", "settlement", "log"})  # tables that hold as soon as they are read
_OCPP_AT_ONCE = frozenset(
    {"default_version", "sample_interval_s", "accept_unknown", "plaintext_networks", "public_host"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """`effective` is what holds now: the new file but for what `needs_restart` names."""

    effective: Config
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def plan_reload(old: Config, new: Config) -> Reload:
    """What becomes of each difference."""
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
    """New ones come in; those that changed or are gone stay as they were."""
    known = {one.id: one for one in old}
    wanted = {one.id: one for one in new}
    added = [name for name in wanted if name not in known]
    late = [name for name, one in known.items() if wanted.get(name) != one]
    kept = (*known.values(), *(wanted[name] for name in added))
    return kept, [f"meter {name}" for name in added], [f"meter {name}" for name in late]


def _chargers(
    old: Iterable[ChargerConfig], new: Iterable[ChargerConfig], meters: set[str]
) -> tuple[tuple[ChargerConfig, ...], list[str], list[str]]:
    """New ones and new passwords hold at once, so do limits; EVSEs that moved or are gone wait, and who wants theirs too."""
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
    """What can be one charger's only."""
    return {held for evse in charger.evses for held in (("evse", evse.id), ("meter", evse.meter))}


def _places(charger: ChargerConfig | None) -> set[tuple[str, int, str]]:
    """Which EVSE has which number and which meter."""
    return set() if charger is None else {(evse.id, evse.number, evse.meter) for evse in charger.evses}
