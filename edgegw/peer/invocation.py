"""A call as both hosts hand it to the contract: who asks, and for which function with which arguments.

Decides what the contract sees of an identity and of a proposal's arguments, once, so that the two hosts cannot
differ in it. Never checks a certificate or a signature: peers do.
"""

from collections.abc import Callable, Sequence

from edgegw.contract.stub import Creator, Response, Stub
from edgegw.fabric.identity import GATEWAY_ATTRIBUTE, ROLE_ATTRIBUTE, Identity

Contract = Callable[[Stub, str, tuple[str, ...]], Response]
"""The chaincode: stub, function name, further arguments."""


def caller(identity: Identity) -> Creator:
    """The submitting identity as the contract sees it."""
    return Creator(
        msp_id=identity.msp_id,
        role=identity.attributes.get(ROLE_ATTRIBUTE, ""),
        gateway_id=identity.attributes.get(GATEWAY_ATTRIBUTE, ""),
        certificate_sha256=identity.certificate_sha256,
    )


def words(args: Sequence[bytes]) -> tuple[str, tuple[str, ...]]:
    """Function name and further arguments."""
    name, *rest = [arg.decode("utf-8", "replace") for arg in args] or [""]
    return name, tuple(rest)
