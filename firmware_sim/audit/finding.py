"""What an audit finds: a code, where, what should stand there and what does.

Decides nothing; a run is verified where the list stays empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference."""

    code: str
    where: str
    expected: Any
    found: Any


@dataclass(slots=True)
class Findings:
    """All differences of an audit, in the order in which they were met."""

    found: list[Finding] = field(default_factory=list)

    def add(self, code: str, where: str, *, expected: Any, found: Any) -> None:
        """Note a difference."""
        self.found.append(Finding(code, where, expected, found))

    def equal(self, code: str, where: str, *, expected: Any, found: Any) -> None:
        """Note a difference where there is one."""
        if expected != found:
            self.add(code, where, expected=expected, found=found)

    def require(self, code: str, where: str, *, holds: bool, rule: str, found: Any) -> None:
        """Note a broken rule."""
        if not holds:
            self.add(code, where, expected=rule, found=found)
