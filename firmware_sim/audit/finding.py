"""Collect the differences that an audit finds.

A run is verified if the list stays empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: a code, where it is, and the expected and the found value."""

    code: str
    where: str
    expected: Any
    found: Any


@dataclass(slots=True)
class Findings:
    """All differences of an audit, in the order in which they were found."""

    found: list[Finding] = field(default_factory=list)

    def add(self, code: str, where: str, *, expected: Any, found: Any) -> None:
        """Record a difference."""
        self.found.append(Finding(code, where, expected, found))

    def equal(self, code: str, where: str, *, expected: Any, found: Any) -> None:
        """Record a difference if the two values are not equal."""
        if expected != found:
            self.add(code, where, expected=expected, found=found)

    def require(self, code: str, where: str, *, holds: bool, rule: str, found: Any) -> None:
        """Record a difference unless the rule `holds`; `rule` becomes the expected value."""
        if not holds:
            self.add(code, where, expected=rule, found=found)
