"""Find the programs of a real Hyperledger Fabric, or return the reason for skipping the tests that need them."""

import pytest

from edgegw.devnet.programs import NoProgramsError, Programs, find_programs


def fabric_programs() -> Programs | None:
    """Return Fabric's programs, from FABRIC_BIN or a build of this checkout; None if there are none."""
    try:
        return find_programs()
    except NoProgramsError:
        return None


needs_fabric = pytest.mark.skipif(
    fabric_programs() is None,
    reason="Hyperledger Fabric's programs are not here: make fabric-bin builds them, FABRIC_BIN names those you have",
)
