"""The real Fabric for tests: where its programs are, or the one line that says why the tests that need them are skipped."""

import pytest

from edgegw.devnet.programs import NoProgramsError, Programs, find_programs


def fabric_programs() -> Programs | None:
    """Fabric's programs, where FABRIC_BIN or a build of this checkout has them."""
    try:
        return find_programs()
    except NoProgramsError:
        return None


needs_fabric = pytest.mark.skipif(
    fabric_programs() is None,
    reason="Hyperledger Fabric's programs are not here: make fabric-bin builds them, FABRIC_BIN names those you have",
)
