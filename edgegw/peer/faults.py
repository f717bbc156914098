"""Fault switches of a test peer: what a network does on bad days, on demand.

Decides how many of the next calls misbehave, and how. A peer started without the option never does.
Source: docs/reliability.md, A submission (a killed orderer forgets what it acknowledged).
"""

import json
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Faults:
    """Counters: the next n calls, or every call where negative; 0 is off.

    forget: Submit answers OK and drops the transaction. unavailable_after: Submit answers UNAVAILABLE
    though it took the transaction. unavailable: every method answers UNAVAILABLE. mismatch: endorsements
    differ. delay: each call waits `delay_ms` first.
    """

    forget: int = 0
    unavailable_after: int = 0
    unavailable: int = 0
    mismatch: int = 0
    delay: int = 0
    delay_ms: int = 0

    @classmethod
    def parse(cls, text: str | bytes) -> "Faults":
        """From a JSON object of integers; raises ValueError for anything else."""
        switches = json.loads(text)
        names = {field.name for field in fields(cls)}
        if not isinstance(switches, dict) or not switches.keys() <= names:
            raise ValueError(f"faults: expected an object with {', '.join(sorted(names))}")
        if any(type(value) is not int for value in switches.values()):
            raise ValueError("faults: expected integers")
        return cls(**switches)

    def take(self, name: str) -> bool:
        """Whether this call misbehaves so; counts it."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0

    def replace(self, other: "Faults") -> None:
        """Take over all of the other's switches."""
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))

    def as_json(self) -> str:
        """The switches as they stand."""
        return json.dumps(asdict(self), sort_keys=True)
