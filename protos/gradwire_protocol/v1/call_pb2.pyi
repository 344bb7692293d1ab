from gradwire_protocol.v1 import tensor_pb2 as _tensor_pb2
from gradwire_protocol.v1 import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Static(_message.Message):
    __slots__ = ("boolean", "integer", "text", "dtype", "ints", "booleans")
    class Ints(_message.Message):
        __slots__ = ("values",)
        VALUES_FIELD_NUMBER: _ClassVar[int]
        values: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    INTS_FIELD_NUMBER: _ClassVar[int]
    BOOLEANS_FIELD_NUMBER: _ClassVar[int]
    boolean: bool
    integer: int
    text: str
    dtype: int
    ints: Static.Ints
    booleans: Static.Ints
    def __init__(self, boolean: _Optional[bool] = ..., integer: _Optional[int] = ..., text: _Optional[str] = ..., dtype: _Optional[int] = ..., ints: _Optional[_Union[Static.Ints, _Mapping]] = ..., booleans: _Optional[_Union[Static.Ints, _Mapping]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("op", "metas", "statics", "kinds", "lengths", "needs", "default_dtype", "usual")
    OP_FIELD_NUMBER: _ClassVar[int]
    METAS_FIELD_NUMBER: _ClassVar[int]
    STATICS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_DTYPE_FIELD_NUMBER: _ClassVar[int]
    USUAL_FIELD_NUMBER: _ClassVar[int]
    op: str
    metas: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorMeta]
    statics: _containers.RepeatedCompositeFieldContainer[Static]
    kinds: str
    lengths: _containers.RepeatedScalarFieldContainer[int]
    needs: bytes
    default_dtype: int
    usual: bool
    def __init__(self, op: _Optional[str] = ..., metas: _Optional[_Iterable[_Union[_tensor_pb2.TensorMeta, _Mapping]]] = ..., statics: _Optional[_Iterable[_Union[Static, _Mapping]]] = ..., kinds: _Optional[str] = ..., lengths: _Optional[_Iterable[int]] = ..., needs: _Optional[bytes] = ..., default_dtype: _Optional[int] = ..., usual: _Optional[bool] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("number", "first_handle", "first_signature", "signatures", "calls", "inputs", "floats", "ints", "tensors", "released", "acknowledged", "reset_signatures", "programs", "profile")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_HANDLE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FLOATS_FIELD_NUMBER: _ClassVar[int]
    INTS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    RESET_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    number: int
    first_handle: int
    first_signature: int
    signatures: _containers.RepeatedCompositeFieldContainer[Signature]
    calls: _containers.RepeatedScalarFieldContainer[int]
    inputs: _containers.RepeatedScalarFieldContainer[int]
    floats: _containers.RepeatedScalarFieldContainer[float]
    ints: _containers.RepeatedScalarFieldContainer[int]
    tensors: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.InlineTensor]
    released: _containers.RepeatedScalarFieldContainer[int]
    acknowledged: int
    reset_signatures: bool
    programs: _containers.RepeatedScalarFieldContainer[bytes]
    profile: bool
    def __init__(self, number: _Optional[int] = ..., first_handle: _Optional[int] = ..., first_signature: _Optional[int] = ..., signatures: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ..., calls: _Optional[_Iterable[int]] = ..., inputs: _Optional[_Iterable[int]] = ..., floats: _Optional[_Iterable[float]] = ..., ints: _Optional[_Iterable[int]] = ..., tensors: _Optional[_Iterable[_Union[_tensor_pb2.InlineTensor, _Mapping]]] = ..., released: _Optional[_Iterable[int]] = ..., acknowledged: _Optional[int] = ..., reset_signatures: _Optional[bool] = ..., programs: _Optional[_Iterable[bytes]] = ..., profile: _Optional[bool] = ...) -> None: ...

class Outline(_message.Message):
    __slots__ = ("nodes", "results")
    class Edge(_message.Message):
        __slots__ = ("kind", "index", "output")
        class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            NONE: _ClassVar[Outline.Edge.Kind]
            OLD: _ClassVar[Outline.Edge.Kind]
            LEAF: _ClassVar[Outline.Edge.Kind]
            NEW: _ClassVar[Outline.Edge.Kind]
        NONE: Outline.Edge.Kind
        OLD: Outline.Edge.Kind
        LEAF: Outline.Edge.Kind
        NEW: Outline.Edge.Kind
        KIND_FIELD_NUMBER: _ClassVar[int]
        INDEX_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FIELD_NUMBER: _ClassVar[int]
        kind: Outline.Edge.Kind
        index: int
        output: int
        def __init__(self, kind: _Optional[_Union[Outline.Edge.Kind, str]] = ..., index: _Optional[int] = ..., output: _Optional[int] = ...) -> None: ...
    class Node(_message.Message):
        __slots__ = ("name", "keeps", "edges", "outputs")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KEEPS_FIELD_NUMBER: _ClassVar[int]
        EDGES_FIELD_NUMBER: _ClassVar[int]
        OUTPUTS_FIELD_NUMBER: _ClassVar[int]
        name: str
        keeps: bool
        edges: _containers.RepeatedCompositeFieldContainer[Outline.Edge]
        outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorMeta]
        def __init__(self, name: _Optional[str] = ..., keeps: _Optional[bool] = ..., edges: _Optional[_Iterable[_Union[Outline.Edge, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorMeta, _Mapping]]] = ...) -> None: ...
    NODES_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Outline.Node]
    results: _containers.RepeatedCompositeFieldContainer[Outline.Edge]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Outline.Node, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[Outline.Edge, _Mapping]]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("data", "large", "outline", "failure")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LARGE_FIELD_NUMBER: _ClassVar[int]
    OUTLINE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    large: bool
    outline: Outline
    failure: _failure_pb2.Failure
    def __init__(self, data: _Optional[bytes] = ..., large: _Optional[bool] = ..., outline: _Optional[_Union[Outline, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("started_ns", "finished_ns", "prepared_ns", "call_ns")
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_NS_FIELD_NUMBER: _ClassVar[int]
    PREPARED_NS_FIELD_NUMBER: _ClassVar[int]
    CALL_NS_FIELD_NUMBER: _ClassVar[int]
    started_ns: int
    finished_ns: int
    prepared_ns: int
    call_ns: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, started_ns: _Optional[int] = ..., finished_ns: _Optional[int] = ..., prepared_ns: _Optional[int] = ..., call_ns: _Optional[_Iterable[int]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("number", "values", "failures", "refused", "timing", "draining")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    number: int
    values: _containers.RepeatedCompositeFieldContainer[Value]
    failures: _containers.RepeatedCompositeFieldContainer[_failure_pb2.Failure]
    refused: _failure_pb2.Failure
    timing: Timing
    draining: bool
    def __init__(self, number: _Optional[int] = ..., values: _Optional[_Iterable[_Union[Value, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[_failure_pb2.Failure, _Mapping]]] = ..., refused: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., draining: _Optional[bool] = ...) -> None: ...
