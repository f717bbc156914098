"""Build the keys of the world state: `type~part~part` in ASCII, with fixed-width numbers where order matters.

Source: docs/contract.md, Records.
"""

CONFIG = "cfg"
SUPPLIER = "supplier"
GUARDS = ("config", "gateway", "meter", "mint", "tariff")
_NEWEST = 10**19


def key(kind: str, *parts: str | int) -> str:
    """Return a key of `parts`; pass a part that must sort as a number through `wide`."""
    return "~".join((kind, *map(str, parts)))


def prefix(kind: str, *parts: str | int) -> str:
    """Return the prefix of all keys below these parts."""
    return key(kind, *parts) + "~"


def end_of(start: str) -> str:
    """Return the first key after all that begin with `start`; `~` is the highest character used in keys."""
    return start + "\x7f"


def wide(number: int) -> str:
    """Return `number` (epoch seconds) as twelve digits, so that text order equals number order."""
    return f"{number:012d}"


def newest_first(time_ms: int) -> str:
    """Return twenty digits that decrease as time increases, for newest-first scans."""
    return f"{_NEWEST - time_ms:020d}"


def guard(name: str) -> str:
    """Return a key that all three organisations must endorse; it protects keys that have no policy yet."""
    assert name in GUARDS
    return key("guard", name)
