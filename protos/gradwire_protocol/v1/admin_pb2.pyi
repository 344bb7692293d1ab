from gradwire_protocol.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerStatusReply(_message.Message):
    __slots__ = ("version", "device", "incarnation", "draining", "session_limit", "batches", "calls", "errors", "batch_seconds", "resident_bytes", "sessions", "waiting_sessions")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    SESSION_LIMIT_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    WAITING_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    device: str
    incarnation: str
    draining: bool
    session_limit: int
    batches: int
    calls: int
    errors: int
    batch_seconds: float
    resident_bytes: int
    sessions: _containers.RepeatedCompositeFieldContainer[SessionStatus]
    waiting_sessions: int
    def __init__(self, version: _Optional[str] = ..., device: _Optional[str] = ..., incarnation: _Optional[str] = ..., draining: _Optional[bool] = ..., session_limit: _Optional[int] = ..., batches: _Optional[int] = ..., calls: _Optional[int] = ..., errors: _Optional[int] = ..., batch_seconds: _Optional[float] = ..., resident_bytes: _Optional[int] = ..., sessions: _Optional[_Iterable[_Union[SessionStatus, _Mapping]]] = ..., waiting_sessions: _Optional[int] = ...) -> None: ...

class SessionStatus(_message.Message):
    __slots__ = ("name", "batches", "calls", "handles", "held_bytes", "running_seconds", "has_client", "repeated_batches", "unanswered_batches")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HAS_CLIENT_FIELD_NUMBER: _ClassVar[int]
    REPEATED_BATCHES_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_BATCHES_FIELD_NUMBER: _ClassVar[int]
    name: str
    batches: int
    calls: int
    handles: int
    held_bytes: int
    running_seconds: float
    has_client: bool
    repeated_batches: int
    unanswered_batches: int
    def __init__(self, name: _Optional[str] = ..., batches: _Optional[int] = ..., calls: _Optional[int] = ..., handles: _Optional[int] = ..., held_bytes: _Optional[int] = ..., running_seconds: _Optional[float] = ..., has_client: _Optional[bool] = ..., repeated_batches: _Optional[int] = ..., unanswered_batches: _Optional[int] = ...) -> None: ...
