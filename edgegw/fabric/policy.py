"""Build and evaluate signature policies: which organisations' nodes must have signed.

Takes verified signers; never verifies a signature itself.
Source: Fabric common/policies.proto; each signature counts once in an evaluation.
"""

from collections.abc import Iterable, Sequence

from edgegw.fabric.identity import Identity
from edgegw.fabric.proto import policies_pb2
from edgegw.fabric.wire import MalformedMessageError, decode, encode

VALIDATION_PARAMETER = "VALIDATION_PARAMETER"
"""Name of the key metadata that holds a key's own endorsement policy."""


def out_of(n: int, msp_ids: Iterable[str]) -> bytes:
    """Return the serialised policy "peers of `n` of these organisations", deterministic for a set of names."""
    names = sorted(set(msp_ids))
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(names))]
    principals = [
        policies_pb2.MSPPrincipal(
            principal_classification=policies_pb2.MSPPrincipal.ROLE,
            principal=encode(policies_pb2.MSPRole(msp_identifier=name, role=policies_pb2.MSPRole.PEER)),
        )
        for name in names
    ]
    rule = policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=n, rules=rules))
    return encode(policies_pb2.SignaturePolicyEnvelope(version=0, rule=rule, identities=principals))


def satisfied(policy: bytes, signers: Sequence[Identity]) -> bool:
    """Return whether these signers satisfy the policy; a policy that cannot be parsed is never satisfied."""
    try:
        envelope = decode(policies_pb2.SignaturePolicyEnvelope, policy)
        return _holds(envelope.rule, list(envelope.identities), signers, used=set())
    except (MalformedMessageError, IndexError):
        return False


def organisations(policy: bytes) -> frozenset[str]:
    """Return the organisations a policy names; empty if it cannot be parsed."""
    try:
        envelope = decode(policies_pb2.SignaturePolicyEnvelope, policy)
        roles = [decode(policies_pb2.MSPRole, entry.principal) for entry in envelope.identities]
    except MalformedMessageError:
        return frozenset()
    return frozenset(role.msp_identifier for role in roles)


def _holds(
    rule: policies_pb2.SignaturePolicy,
    principals: list[policies_pb2.MSPPrincipal],
    signers: Sequence[Identity],
    *,
    used: set[int],
) -> bool:
    """Evaluate one rule; add the signers it uses to `used` only if it is satisfied."""
    if rule.WhichOneof("Type") == "n_out_of":
        trial = set(used)
        verified = 0
        for inner in rule.n_out_of.rules:
            verified += _holds(inner, principals, signers, used=trial)
        if verified < rule.n_out_of.n:
            return False
        used |= trial
        return True
    role = decode(policies_pb2.MSPRole, principals[rule.signed_by].principal)
    wanted = policies_pb2.MSPRole.MSPRoleType.Name(role.role).lower()
    for index, signer in enumerate(signers):
        if index in used or signer.msp_id != role.msp_identifier:
            continue
        if wanted == "member" or wanted in signer.node_roles:
            used.add(index)
            return True
    return False
