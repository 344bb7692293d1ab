from gradwire_protocol.v1 import access_pb2 as _access_pb2
from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from gradwire_protocol.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteShardRequest(_message.Message):
    __slots__ = ("token", "url", "shard", "names", "handles")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    url: str
    shard: str
    names: _containers.RepeatedScalarFieldContainer[str]
    handles: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, token: _Optional[bytes] = ..., url: _Optional[str] = ..., shard: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., handles: _Optional[_Iterable[int]] = ...) -> None: ...

class WriteShardReply(_message.Message):
    __slots__ = ("sums", "failure")
    SUMS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    sums: _containers.RepeatedScalarFieldContainer[str]
    failure: _failure_pb2.Failure
    def __init__(self, sums: _Optional[_Iterable[str]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class CommitCheckpointRequest(_message.Message):
    __slots__ = ("token", "url", "text", "save")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SAVE_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    url: str
    text: str
    save: str
    def __init__(self, token: _Optional[bytes] = ..., url: _Optional[str] = ..., text: _Optional[str] = ..., save: _Optional[str] = ...) -> None: ...

class CommitCheckpointReply(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class DescribeCheckpointRequest(_message.Message):
    __slots__ = ("token", "url")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    url: str
    def __init__(self, token: _Optional[bytes] = ..., url: _Optional[str] = ...) -> None: ...

class DescribeCheckpointReply(_message.Message):
    __slots__ = ("metadata", "failure")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    metadata: _containers.ScalarMap[str, str]
    failure: _failure_pb2.Failure
    def __init__(self, metadata: _Optional[_Mapping[str, str]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class ReadShardRequest(_message.Message):
    __slots__ = ("token", "url", "shard", "first_upload")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    FIRST_UPLOAD_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    url: str
    shard: str
    first_upload: int
    def __init__(self, token: _Optional[bytes] = ..., url: _Optional[str] = ..., shard: _Optional[str] = ..., first_upload: _Optional[int] = ...) -> None: ...

class ReadShardReply(_message.Message):
    __slots__ = ("tensors", "failure")
    class Held(_message.Message):
        __slots__ = ("name", "meta", "sum")
        NAME_FIELD_NUMBER: _ClassVar[int]
        META_FIELD_NUMBER: _ClassVar[int]
        SUM_FIELD_NUMBER: _ClassVar[int]
        name: str
        meta: _tensor_pb2.TensorMeta
        sum: str
        def __init__(self, name: _Optional[str] = ..., meta: _Optional[_Union[_tensor_pb2.TensorMeta, _Mapping]] = ..., sum: _Optional[str] = ...) -> None: ...
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[ReadShardReply.Held]
    failure: _failure_pb2.Failure
    def __init__(self, tensors: _Optional[_Iterable[_Union[ReadShardReply.Held, _Mapping]]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...
