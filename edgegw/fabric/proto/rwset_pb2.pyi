from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TxReadWriteSet(_message.Message):
    __slots__ = ("data_model", "ns_rwset")
    class DataModel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KV: _ClassVar[TxReadWriteSet.DataModel]
    KV: TxReadWriteSet.DataModel
    DATA_MODEL_FIELD_NUMBER: _ClassVar[int]
    NS_RWSET_FIELD_NUMBER: _ClassVar[int]
    data_model: TxReadWriteSet.DataModel
    ns_rwset: _containers.RepeatedCompositeFieldContainer[NsReadWriteSet]
    def __init__(self, data_model: _Optional[_Union[TxReadWriteSet.DataModel, str]] = ..., ns_rwset: _Optional[_Iterable[_Union[NsReadWriteSet, _Mapping]]] = ...) -> None: ...

class NsReadWriteSet(_message.Message):
    __slots__ = ("namespace", "rwset")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RWSET_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    rwset: bytes
    def __init__(self, namespace: _Optional[str] = ..., rwset: _Optional[bytes] = ...) -> None: ...
