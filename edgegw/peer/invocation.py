"""Convert a proposal's creator and arguments to what the contract receives, for both hosts alike.

Never checks a certificate or a signature; peers do.
"""

from collections.abc import Callable, Sequence

from edgegw.contract.stub import Creator, Response, Stub
from edgegw.fabric.identity import GATEWAY_ATTRIBUTE, ROLE_ATTRIBUTE, Identity

Contract = Callable[[Stub, str, tuple[str, ...]], Response]
"""The contract's entry point: stub, function name, further arguments."""


def caller(identity: Identity) -> Creator:
    """Return the submitting identity as the contract sees it."""
    return Creator(
        msp_id=identity.msp_id,
        role=identity.attributes.get(ROLE_ATTRIBUTE, ""),
        gateway_id=identity.attributes.get(GATEWAY_ATTRIBUTE, ""),
        certificate_sha256=identity.certificate_sha256,
    )


def words(args: Sequence[bytes]) -> tuple[str, tuple[str, ...]]:
    """Return the function name and the further arguments."""
    name, *rest = [arg.decode("utf-8", "replace") for arg in args] or [""]
    return name, tuple(rest)
