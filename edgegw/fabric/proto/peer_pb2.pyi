from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TxValidationCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALID: _ClassVar[TxValidationCode]
    NIL_ENVELOPE: _ClassVar[TxValidationCode]
    BAD_PAYLOAD: _ClassVar[TxValidationCode]
    BAD_COMMON_HEADER: _ClassVar[TxValidationCode]
    BAD_CREATOR_SIGNATURE: _ClassVar[TxValidationCode]
    INVALID_ENDORSER_TRANSACTION: _ClassVar[TxValidationCode]
    INVALID_CONFIG_TRANSACTION: _ClassVar[TxValidationCode]
    UNSUPPORTED_TX_PAYLOAD: _ClassVar[TxValidationCode]
    BAD_PROPOSAL_TXID: _ClassVar[TxValidationCode]
    DUPLICATE_TXID: _ClassVar[TxValidationCode]
    ENDORSEMENT_POLICY_FAILURE: _ClassVar[TxValidationCode]
    MVCC_READ_CONFLICT: _ClassVar[TxValidationCode]
    PHANTOM_READ_CONFLICT: _ClassVar[TxValidationCode]
    UNKNOWN_TX_TYPE: _ClassVar[TxValidationCode]
    TARGET_CHAIN_NOT_FOUND: _ClassVar[TxValidationCode]
    MARSHAL_TX_ERROR: _ClassVar[TxValidationCode]
    NIL_TXACTION: _ClassVar[TxValidationCode]
    EXPIRED_CHAINCODE: _ClassVar[TxValidationCode]
    CHAINCODE_VERSION_CONFLICT: _ClassVar[TxValidationCode]
    BAD_HEADER_EXTENSION: _ClassVar[TxValidationCode]
    BAD_CHANNEL_HEADER: _ClassVar[TxValidationCode]
    BAD_RESPONSE_PAYLOAD: _ClassVar[TxValidationCode]
    BAD_RWSET: _ClassVar[TxValidationCode]
    ILLEGAL_WRITESET: _ClassVar[TxValidationCode]
    INVALID_WRITESET: _ClassVar[TxValidationCode]
    INVALID_CHAINCODE: _ClassVar[TxValidationCode]
    NOT_VALIDATED: _ClassVar[TxValidationCode]
    INVALID_OTHER_REASON: _ClassVar[TxValidationCode]

class MetaDataKeys(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALIDATION_PARAMETER: _ClassVar[MetaDataKeys]
    VALIDATION_PARAMETER_V2: _ClassVar[MetaDataKeys]
VALID: TxValidationCode
NIL_ENVELOPE: TxValidationCode
BAD_PAYLOAD: TxValidationCode
BAD_COMMON_HEADER: TxValidationCode
BAD_CREATOR_SIGNATURE: TxValidationCode
INVALID_ENDORSER_TRANSACTION: TxValidationCode
INVALID_CONFIG_TRANSACTION: TxValidationCode
UNSUPPORTED_TX_PAYLOAD: TxValidationCode
BAD_PROPOSAL_TXID: TxValidationCode
DUPLICATE_TXID: TxValidationCode
ENDORSEMENT_POLICY_FAILURE: TxValidationCode
MVCC_READ_CONFLICT: TxValidationCode
PHANTOM_READ_CONFLICT: TxValidationCode
UNKNOWN_TX_TYPE: TxValidationCode
TARGET_CHAIN_NOT_FOUND: TxValidationCode
MARSHAL_TX_ERROR: TxValidationCode
NIL_TXACTION: TxValidationCode
EXPIRED_CHAINCODE: TxValidationCode
CHAINCODE_VERSION_CONFLICT: TxValidationCode
BAD_HEADER_EXTENSION: TxValidationCode
BAD_CHANNEL_HEADER: TxValidationCode
BAD_RESPONSE_PAYLOAD: TxValidationCode
BAD_RWSET: TxValidationCode
ILLEGAL_WRITESET: TxValidationCode
INVALID_WRITESET: TxValidationCode
INVALID_CHAINCODE: TxValidationCode
NOT_VALIDATED: TxValidationCode
INVALID_OTHER_REASON: TxValidationCode
VALIDATION_PARAMETER: MetaDataKeys
VALIDATION_PARAMETER_V2: MetaDataKeys

class ChaincodeID(_message.Message):
    __slots__ = ("path", "name", "version")
    PATH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    path: str
    name: str
    version: str
    def __init__(self, path: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ChaincodeInput(_message.Message):
    __slots__ = ("args", "decorations", "is_init")
    class DecorationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    ARGS_FIELD_NUMBER: _ClassVar[int]
    DECORATIONS_FIELD_NUMBER: _ClassVar[int]
    IS_INIT_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedScalarFieldContainer[bytes]
    decorations: _containers.ScalarMap[str, bytes]
    is_init: bool
    def __init__(self, args: _Optional[_Iterable[bytes]] = ..., decorations: _Optional[_Mapping[str, bytes]] = ..., is_init: _Optional[bool] = ...) -> None: ...

class ChaincodeSpec(_message.Message):
    __slots__ = ("type", "chaincode_id", "input", "timeout")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNDEFINED: _ClassVar[ChaincodeSpec.Type]
        GOLANG: _ClassVar[ChaincodeSpec.Type]
        NODE: _ClassVar[ChaincodeSpec.Type]
        CAR: _ClassVar[ChaincodeSpec.Type]
        JAVA: _ClassVar[ChaincodeSpec.Type]
    UNDEFINED: ChaincodeSpec.Type
    GOLANG: ChaincodeSpec.Type
    NODE: ChaincodeSpec.Type
    CAR: ChaincodeSpec.Type
    JAVA: ChaincodeSpec.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CHAINCODE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    type: ChaincodeSpec.Type
    chaincode_id: ChaincodeID
    input: ChaincodeInput
    timeout: int
    def __init__(self, type: _Optional[_Union[ChaincodeSpec.Type, str]] = ..., chaincode_id: _Optional[_Union[ChaincodeID, _Mapping]] = ..., input: _Optional[_Union[ChaincodeInput, _Mapping]] = ..., timeout: _Optional[int] = ...) -> None: ...

class ChaincodeInvocationSpec(_message.Message):
    __slots__ = ("chaincode_spec",)
    CHAINCODE_SPEC_FIELD_NUMBER: _ClassVar[int]
    chaincode_spec: ChaincodeSpec
    def __init__(self, chaincode_spec: _Optional[_Union[ChaincodeSpec, _Mapping]] = ...) -> None: ...

class ChaincodeHeaderExtension(_message.Message):
    __slots__ = ("chaincode_id",)
    CHAINCODE_ID_FIELD_NUMBER: _ClassVar[int]
    chaincode_id: ChaincodeID
    def __init__(self, chaincode_id: _Optional[_Union[ChaincodeID, _Mapping]] = ...) -> None: ...

class ChaincodeProposalPayload(_message.Message):
    __slots__ = ("input", "TransientMap")
    class TransientMapEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TRANSIENTMAP_FIELD_NUMBER: _ClassVar[int]
    input: bytes
    TransientMap: _containers.ScalarMap[str, bytes]
    def __init__(self, input: _Optional[bytes] = ..., TransientMap: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("header", "payload", "extension")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    payload: bytes
    extension: bytes
    def __init__(self, header: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., extension: _Optional[bytes] = ...) -> None: ...

class SignedProposal(_message.Message):
    __slots__ = ("proposal_bytes", "signature")
    PROPOSAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    proposal_bytes: bytes
    signature: bytes
    def __init__(self, proposal_bytes: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("status", "message", "payload")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    status: int
    message: str
    payload: bytes
    def __init__(self, status: _Optional[int] = ..., message: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ChaincodeAction(_message.Message):
    __slots__ = ("results", "events", "response", "chaincode_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CHAINCODE_ID_FIELD_NUMBER: _ClassVar[int]
    results: bytes
    events: bytes
    response: Response
    chaincode_id: ChaincodeID
    def __init__(self, results: _Optional[bytes] = ..., events: _Optional[bytes] = ..., response: _Optional[_Union[Response, _Mapping]] = ..., chaincode_id: _Optional[_Union[ChaincodeID, _Mapping]] = ...) -> None: ...

class ProposalResponsePayload(_message.Message):
    __slots__ = ("proposal_hash", "extension")
    PROPOSAL_HASH_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    proposal_hash: bytes
    extension: bytes
    def __init__(self, proposal_hash: _Optional[bytes] = ..., extension: _Optional[bytes] = ...) -> None: ...

class Endorsement(_message.Message):
    __slots__ = ("endorser", "signature")
    ENDORSER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    endorser: bytes
    signature: bytes
    def __init__(self, endorser: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ChaincodeEndorsedAction(_message.Message):
    __slots__ = ("proposal_response_payload", "endorsements")
    PROPOSAL_RESPONSE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    proposal_response_payload: bytes
    endorsements: _containers.RepeatedCompositeFieldContainer[Endorsement]
    def __init__(self, proposal_response_payload: _Optional[bytes] = ..., endorsements: _Optional[_Iterable[_Union[Endorsement, _Mapping]]] = ...) -> None: ...

class ChaincodeActionPayload(_message.Message):
    __slots__ = ("chaincode_proposal_payload", "action")
    CHAINCODE_PROPOSAL_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    chaincode_proposal_payload: bytes
    action: ChaincodeEndorsedAction
    def __init__(self, chaincode_proposal_payload: _Optional[bytes] = ..., action: _Optional[_Union[ChaincodeEndorsedAction, _Mapping]] = ...) -> None: ...

class TransactionAction(_message.Message):
    __slots__ = ("header", "payload")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    payload: bytes
    def __init__(self, header: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Transaction(_message.Message):
    __slots__ = ("actions",)
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedCompositeFieldContainer[TransactionAction]
    def __init__(self, actions: _Optional[_Iterable[_Union[TransactionAction, _Mapping]]] = ...) -> None: ...

class ChaincodeEvent(_message.Message):
    __slots__ = ("chaincode_id", "tx_id", "event_name", "payload")
    CHAINCODE_ID_FIELD_NUMBER: _ClassVar[int]
    TX_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    chaincode_id: str
    tx_id: str
    event_name: str
    payload: bytes
    def __init__(self, chaincode_id: _Optional[str] = ..., tx_id: _Optional[str] = ..., event_name: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...
