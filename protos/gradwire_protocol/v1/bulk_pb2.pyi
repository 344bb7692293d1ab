from gradwire_protocol.v1 import tensor_pb2 as _tensor_pb2
from gradwire_protocol.v1 import access_pb2 as _access_pb2
from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShareRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    def __init__(self, token: _Optional[bytes] = ...) -> None: ...

class ShareReply(_message.Message):
    __slots__ = ("process", "descriptor", "nonce", "slots", "slot_bytes", "failure")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    process: int
    descriptor: int
    nonce: bytes
    slots: int
    slot_bytes: int
    failure: _failure_pb2.Failure
    def __init__(self, process: _Optional[int] = ..., descriptor: _Optional[int] = ..., nonce: _Optional[bytes] = ..., slots: _Optional[int] = ..., slot_bytes: _Optional[int] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("token", "upload", "meta", "secret", "stream", "start")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    upload: int
    meta: _tensor_pb2.TensorMeta
    secret: bytes
    stream: int
    start: int
    def __init__(self, token: _Optional[bytes] = ..., upload: _Optional[int] = ..., meta: _Optional[_Union[_tensor_pb2.TensorMeta, _Mapping]] = ..., secret: _Optional[bytes] = ..., stream: _Optional[int] = ..., start: _Optional[int] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("index", "bytes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    index: int
    bytes: int
    def __init__(self, index: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("header", "data", "slot", "checksum", "failure")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    data: bytes
    slot: Slot
    checksum: int
    failure: _failure_pb2.Failure
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., data: _Optional[bytes] = ..., slot: _Optional[_Union[Slot, _Mapping]] = ..., checksum: _Optional[int] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Freed(_message.Message):
    __slots__ = ("slots",)
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    slots: int
    def __init__(self, slots: _Optional[int] = ...) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ("freed", "wanted")
    class Wanted(_message.Message):
        __slots__ = ("token", "handle", "secret", "stream")
        TOKEN_FIELD_NUMBER: _ClassVar[int]
        HANDLE_FIELD_NUMBER: _ClassVar[int]
        SECRET_FIELD_NUMBER: _ClassVar[int]
        STREAM_FIELD_NUMBER: _ClassVar[int]
        token: bytes
        handle: int
        secret: bytes
        stream: int
        def __init__(self, token: _Optional[bytes] = ..., handle: _Optional[int] = ..., secret: _Optional[bytes] = ..., stream: _Optional[int] = ...) -> None: ...
    FREED_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    freed: Freed
    wanted: DownloadRequest.Wanted
    def __init__(self, freed: _Optional[_Union[Freed, _Mapping]] = ..., wanted: _Optional[_Union[DownloadRequest.Wanted, _Mapping]] = ...) -> None: ...
