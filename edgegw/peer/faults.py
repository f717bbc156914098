"""Inject faults into a test peer's calls.

Decides how many of the next calls fail, and how. A peer started without the option injects none.
Source: docs/reliability.md, A submission (a killed orderer forgets what it acknowledged).
"""

import json
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Faults:
    """Counters: a fault affects the next n calls, or every call if negative; 0 is off.

    forget: Submit returns OK and drops the transaction. unavailable_after: Submit returns UNAVAILABLE but accepts the
    transaction. unavailable: every method returns UNAVAILABLE. mismatch: endorsements differ. delay: each call waits
    `delay_ms` first.
    """

    forget: int = 0
    unavailable_after: int = 0
    unavailable: int = 0
    mismatch: int = 0
    delay: int = 0
    delay_ms: int = 0

    @classmethod
    def parse(cls, text: str | bytes) -> "Faults":
        """Parse a JSON object of integers; raise ValueError for anything else."""
        switches = json.loads(text)
        names = {field.name for field in fields(cls)}
        if not isinstance(switches, dict) or not switches.keys() <= names:
            raise ValueError(f"faults: expected an object with {', '.join(sorted(names))}")
        if any(type(value) is not int for value in switches.values()):
            raise ValueError("faults: expected integers")
        return cls(**switches)

    def take(self, name: str) -> bool:
        """Return whether this call has the fault, and count it."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0

    def replace(self, other: "Faults") -> None:
        """Set all counters to those of `other`."""
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))

    def as_json(self) -> str:
        """Return the current counters as JSON."""
        return json.dumps(asdict(self), sort_keys=True)
