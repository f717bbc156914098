"""Define the gateway's refusals: gRPC code, message and details in a Fabric gateway peer's wording.

Clients classify failures by this wording. Source: docs/reliability.md, What a peer's failure means; Fabric's
internal/pkg/gateway.
"""

from dataclasses import dataclass

from edgegw.fabric.proto import gateway_pb2, status_pb2
from edgegw.fabric.wire import encode

DETAIL_TYPE = "type.googleapis.com/gateway.ErrorDetail"
ENDORSE_FAILED = "failed to endorse transaction, see attached details for more info"
COLLECT_FAILED = "failed to collect enough transaction endorsements, see attached details for more info"
MISMATCH = "ProposalResponsePayloads do not match"
EVALUATE_FAILED = "evaluate call to endorser returned error: "
NO_ORDERER = "no orderers could successfully process transaction"
NOT_SIGNED = "prepared transaction must be signed"
FORBIDDEN = (
    "received unsuccessful response from orderer: status=FORBIDDEN, info=implicit policy evaluation failed - "
    "0 sub-policies were satisfied, but this policy requires 1 of the 'Writers' sub-policies to be satisfied: "
    "permission denied"
)
NOT_A_READER = (
    "Failed evaluating policy on signed data during check policy [/Channel/Application/Readers]: "
    "[implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the "
    "'Readers' sub-policies to be satisfied]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One peer's message in a refusal."""

    address: str
    msp_id: str
    message: str


class CallRefusedError(Exception):
    """Ends a call with a gRPC status code (by name), message and details."""

    def __init__(self, code: str, message: str, *details: Detail) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def trailer(self, code_number: int) -> bytes:
        """Return the value of `grpc-status-details-bin`: google.rpc.Status with a gateway.ErrorDetail per detail."""
        status = status_pb2.Status(code=code_number, message=self.message)
        for detail in self.details:
            packed = gateway_pb2.ErrorDetail(
                address=detail.address, msp_id=detail.msp_id, message=detail.message
            )
            status.details.add(type_url=DETAIL_TYPE, value=encode(packed))
        return encode(status)
