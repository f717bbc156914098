"""Refusals: a code, the problem and what to do, in one line."""

import re

import pytest

from edgegw.common.error_codes import REMEDIES, explained


@pytest.mark.parametrize("code", REMEDIES)
def test_a_refusal_says_what_to_do(code: str) -> None:
    """Codes have one form, and no text ends as a sentence would, because it becomes part of one."""
    one = REMEDIES[code]
    assert re.fullmatch(r"EGW-\d{4}", code)
    assert one.problem
    assert one.remedy
    assert not (one.problem + one.remedy).endswith(".")
    assert explained(code, "CP-1") == f"{code} {one.problem}: CP-1; {one.remedy}"
    assert explained(code) == f"{code} {one.problem}; {one.remedy}"
