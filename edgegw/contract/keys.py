"""Names of the ledger's keys: `type~part~part`, ASCII, numbers in ordered places of fixed width.

Decides the layout of the world state and nothing else. Source: docs/contract.md, Records.
"""

CONFIG = "cfg"
SUPPLIER = "supplier"
GUARDS = ("config", "gateway", "meter", "mint", "tariff")
_NEWEST = 10**19


def key(kind: str, *parts: str | int) -> str:
    """A key of `parts`; a part that must sort as a number comes through `wide`."""
    return "~".join((kind, *map(str, parts)))


def prefix(kind: str, *parts: str | int) -> str:
    """Start of all keys below these parts."""
    return key(kind, *parts) + "~"


def end_of(start: str) -> str:
    """First key after all that begin with `start`; `~` is the highest character used in keys."""
    return start + "\x7f"


def wide(number: int) -> str:
    """Twelve digits, so that text order is number order (epoch seconds)."""
    return f"{number:012d}"


def newest_first(time_ms: int) -> str:
    """Twenty digits that fall as time rises, for newest-first prefix scans."""
    return f"{_NEWEST - time_ms:020d}"


def guard(name: str) -> str:
    """A key all three organisations must endorse; it protects the creation of keys that have no policy yet."""
    assert name in GUARDS
    return key("guard", name)
