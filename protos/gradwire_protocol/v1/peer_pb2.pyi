from gradwire_protocol.v1 import bulk_pb2 as _bulk_pb2
from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from gradwire_protocol.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IdentifyRequest(_message.Message):
    __slots__ = ("incarnation",)
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    def __init__(self, incarnation: _Optional[str] = ...) -> None: ...

class IdentifyReply(_message.Message):
    __slots__ = ("is_this",)
    IS_THIS_FIELD_NUMBER: _ClassVar[int]
    is_this: bool
    def __init__(self, is_this: _Optional[bool] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: bytes
    def __init__(self, ticket: _Optional[bytes] = ...) -> None: ...

class MeetRequest(_message.Message):
    __slots__ = ("secret", "verb", "keys", "value", "amount", "wait_ms")
    class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GET: _ClassVar[MeetRequest.Verb]
        SET: _ClassVar[MeetRequest.Verb]
        ADD: _ClassVar[MeetRequest.Verb]
        HAS: _ClassVar[MeetRequest.Verb]
    GET: MeetRequest.Verb
    SET: MeetRequest.Verb
    ADD: MeetRequest.Verb
    HAS: MeetRequest.Verb
    SECRET_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    secret: bytes
    verb: MeetRequest.Verb
    keys: _containers.RepeatedScalarFieldContainer[str]
    value: bytes
    amount: int
    wait_ms: int
    def __init__(self, secret: _Optional[bytes] = ..., verb: _Optional[_Union[MeetRequest.Verb, str]] = ..., keys: _Optional[_Iterable[str]] = ..., value: _Optional[bytes] = ..., amount: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class MeetReply(_message.Message):
    __slots__ = ("value", "amount", "found", "failure")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    amount: int
    found: bool
    failure: _failure_pb2.Failure
    def __init__(self, value: _Optional[bytes] = ..., amount: _Optional[int] = ..., found: _Optional[bool] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...
