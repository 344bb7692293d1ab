from gradwire_protocol.v1 import call_pb2 as _call_pb2
from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from gradwire_protocol.v1 import access_pb2 as _access_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("protocol_version", "op_table_digest", "client", "resume")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    op_table_digest: bytes
    client: str
    resume: bytes
    def __init__(self, protocol_version: _Optional[int] = ..., op_table_digest: _Optional[bytes] = ..., client: _Optional[str] = ..., resume: _Optional[bytes] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session", "token", "incarnation", "device", "fingerprint", "max_unacked_batches", "max_inline_bytes", "lease_seconds")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MAX_UNACKED_BATCHES_FIELD_NUMBER: _ClassVar[int]
    MAX_INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    session: str
    token: bytes
    incarnation: str
    device: str
    fingerprint: str
    max_unacked_batches: int
    max_inline_bytes: int
    lease_seconds: float
    def __init__(self, session: _Optional[str] = ..., token: _Optional[bytes] = ..., incarnation: _Optional[str] = ..., device: _Optional[str] = ..., fingerprint: _Optional[str] = ..., max_unacked_batches: _Optional[int] = ..., max_inline_bytes: _Optional[int] = ..., lease_seconds: _Optional[float] = ...) -> None: ...

class ClientFrame(_message.Message):
    __slots__ = ("hello", "batch", "end")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: _call_pb2.Batch
    end: End
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[_call_pb2.Batch, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerFrame(_message.Message):
    __slots__ = ("welcome", "ack", "refused")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: _call_pb2.Ack
    refused: _failure_pb2.Failure
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[_call_pb2.Ack, _Mapping]] = ..., refused: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    def __init__(self, token: _Optional[bytes] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("applied", "running", "running_seconds", "draining", "failure")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    applied: int
    running: int
    running_seconds: float
    draining: bool
    failure: _failure_pb2.Failure
    def __init__(self, applied: _Optional[int] = ..., running: _Optional[int] = ..., running_seconds: _Optional[float] = ..., draining: _Optional[bool] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainWorkerReply(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    def __init__(self, sessions: _Optional[int] = ...) -> None: ...
