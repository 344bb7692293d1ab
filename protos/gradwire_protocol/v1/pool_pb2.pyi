from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from gradwire_protocol.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PoolWorker(_message.Message):
    __slots__ = ("name", "state", "incarnation", "address", "device", "node", "process", "leases", "starts", "busy", "available_memory_bytes", "total_memory_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    incarnation: int
    address: str
    device: str
    node: str
    process: int
    leases: int
    starts: int
    busy: float
    available_memory_bytes: int
    total_memory_bytes: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., incarnation: _Optional[int] = ..., address: _Optional[str] = ..., device: _Optional[str] = ..., node: _Optional[str] = ..., process: _Optional[int] = ..., leases: _Optional[int] = ..., starts: _Optional[int] = ..., busy: _Optional[float] = ..., available_memory_bytes: _Optional[int] = ..., total_memory_bytes: _Optional[int] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("workers", "device", "memory_bytes", "exclusive", "wait_seconds", "client")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    workers: int
    device: str
    memory_bytes: int
    exclusive: bool
    wait_seconds: float
    client: str
    def __init__(self, workers: _Optional[int] = ..., device: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., exclusive: _Optional[bool] = ..., wait_seconds: _Optional[float] = ..., client: _Optional[str] = ...) -> None: ...

class LeaseReply(_message.Message):
    __slots__ = ("failure", "lease", "workers", "lease_seconds")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    lease: str
    workers: _containers.RepeatedCompositeFieldContainer[PoolWorker]
    lease_seconds: float
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., lease: _Optional[str] = ..., workers: _Optional[_Iterable[_Union[PoolWorker, _Mapping]]] = ..., lease_seconds: _Optional[float] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("lease", "members", "exclusive", "memory_bytes", "client")
    class Member(_message.Message):
        __slots__ = ("worker", "incarnation")
        WORKER_FIELD_NUMBER: _ClassVar[int]
        INCARNATION_FIELD_NUMBER: _ClassVar[int]
        worker: str
        incarnation: int
        def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[int] = ...) -> None: ...
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    lease: str
    members: _containers.RepeatedCompositeFieldContainer[RenewRequest.Member]
    exclusive: bool
    memory_bytes: int
    client: str
    def __init__(self, lease: _Optional[str] = ..., members: _Optional[_Iterable[_Union[RenewRequest.Member, _Mapping]]] = ..., exclusive: _Optional[bool] = ..., memory_bytes: _Optional[int] = ..., client: _Optional[str] = ...) -> None: ...

class RenewReply(_message.Message):
    __slots__ = ("failure", "lost")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    lost: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., lost: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: str
    def __init__(self, lease: _Optional[str] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("worker", "after", "wait_seconds")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    after: int
    wait_seconds: float
    def __init__(self, worker: _Optional[str] = ..., after: _Optional[int] = ..., wait_seconds: _Optional[float] = ...) -> None: ...

class ResolveReply(_message.Message):
    __slots__ = ("failure", "worker")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    worker: PoolWorker
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., worker: _Optional[_Union[PoolWorker, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("failure", "workers", "leases", "number")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    workers: _containers.RepeatedCompositeFieldContainer[PoolWorker]
    leases: int
    number: int
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., workers: _Optional[_Iterable[_Union[PoolWorker, _Mapping]]] = ..., leases: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class ScaleRequest(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: int
    def __init__(self, workers: _Optional[int] = ...) -> None: ...

class ScaleReply(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: str
    def __init__(self, worker: _Optional[str] = ...) -> None: ...

class DrainReply(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class CreateGroupRequest(_message.Message):
    __slots__ = ("group", "workers", "lease")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    group: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    lease: str
    def __init__(self, group: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., lease: _Optional[str] = ...) -> None: ...

class CreateGroupReply(_message.Message):
    __slots__ = ("failure", "epoch", "secret", "workers")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    epoch: int
    secret: str
    workers: _containers.RepeatedCompositeFieldContainer[PoolWorker]
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., epoch: _Optional[int] = ..., secret: _Optional[str] = ..., workers: _Optional[_Iterable[_Union[PoolWorker, _Mapping]]] = ...) -> None: ...

class AbortGroupRequest(_message.Message):
    __slots__ = ("group", "epoch", "secret", "reason", "close")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    group: str
    epoch: int
    secret: str
    reason: str
    close: bool
    def __init__(self, group: _Optional[str] = ..., epoch: _Optional[int] = ..., secret: _Optional[str] = ..., reason: _Optional[str] = ..., close: _Optional[bool] = ...) -> None: ...

class AbortGroupReply(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class StoreRequest(_message.Message):
    __slots__ = ("group", "epoch", "secret", "set", "get", "add", "check", "wait", "remove", "wait_seconds")
    class Set(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    class Get(_message.Message):
        __slots__ = ("key",)
        KEY_FIELD_NUMBER: _ClassVar[int]
        key: str
        def __init__(self, key: _Optional[str] = ...) -> None: ...
    class Add(_message.Message):
        __slots__ = ("key", "amount")
        KEY_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        key: str
        amount: int
        def __init__(self, key: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...
    class Keys(_message.Message):
        __slots__ = ("keys",)
        KEYS_FIELD_NUMBER: _ClassVar[int]
        keys: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...
    GROUP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    group: str
    epoch: int
    secret: str
    set: StoreRequest.Set
    get: StoreRequest.Get
    add: StoreRequest.Add
    check: StoreRequest.Keys
    wait: StoreRequest.Keys
    remove: StoreRequest.Keys
    wait_seconds: float
    def __init__(self, group: _Optional[str] = ..., epoch: _Optional[int] = ..., secret: _Optional[str] = ..., set: _Optional[_Union[StoreRequest.Set, _Mapping]] = ..., get: _Optional[_Union[StoreRequest.Get, _Mapping]] = ..., add: _Optional[_Union[StoreRequest.Add, _Mapping]] = ..., check: _Optional[_Union[StoreRequest.Keys, _Mapping]] = ..., wait: _Optional[_Union[StoreRequest.Keys, _Mapping]] = ..., remove: _Optional[_Union[StoreRequest.Keys, _Mapping]] = ..., wait_seconds: _Optional[float] = ...) -> None: ...

class StoreReply(_message.Message):
    __slots__ = ("failure", "value", "number", "found")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    value: bytes
    number: int
    found: bool
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., value: _Optional[bytes] = ..., number: _Optional[int] = ..., found: _Optional[bool] = ...) -> None: ...
