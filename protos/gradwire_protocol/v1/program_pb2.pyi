from gradwire_protocol.v1 import tensor_pb2 as _tensor_pb2
from gradwire_protocol.v1 import call_pb2 as _call_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Program(_message.Message):
    __slots__ = ("inputs", "kinds", "signatures", "calls", "outputs")
    class Number(_message.Message):
        __slots__ = ("boolean", "integer", "real", "complex", "varying")
        class Complex(_message.Message):
            __slots__ = ("real", "imaginary")
            REAL_FIELD_NUMBER: _ClassVar[int]
            IMAGINARY_FIELD_NUMBER: _ClassVar[int]
            real: float
            imaginary: float
            def __init__(self, real: _Optional[float] = ..., imaginary: _Optional[float] = ...) -> None: ...
        BOOLEAN_FIELD_NUMBER: _ClassVar[int]
        INTEGER_FIELD_NUMBER: _ClassVar[int]
        REAL_FIELD_NUMBER: _ClassVar[int]
        COMPLEX_FIELD_NUMBER: _ClassVar[int]
        VARYING_FIELD_NUMBER: _ClassVar[int]
        boolean: bool
        integer: int
        real: float
        complex: Program.Number.Complex
        varying: int
        def __init__(self, boolean: _Optional[bool] = ..., integer: _Optional[int] = ..., real: _Optional[float] = ..., complex: _Optional[_Union[Program.Number.Complex, _Mapping]] = ..., varying: _Optional[int] = ...) -> None: ...
    class Call(_message.Message):
        __slots__ = ("signature", "inputs", "numbers", "data")
        SIGNATURE_FIELD_NUMBER: _ClassVar[int]
        INPUTS_FIELD_NUMBER: _ClassVar[int]
        NUMBERS_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        signature: int
        inputs: _containers.RepeatedScalarFieldContainer[int]
        numbers: _containers.RepeatedCompositeFieldContainer[Program.Number]
        data: bytes
        def __init__(self, signature: _Optional[int] = ..., inputs: _Optional[_Iterable[int]] = ..., numbers: _Optional[_Iterable[_Union[Program.Number, _Mapping]]] = ..., data: _Optional[bytes] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorMeta]
    kinds: str
    signatures: _containers.RepeatedCompositeFieldContainer[_call_pb2.Signature]
    calls: _containers.RepeatedCompositeFieldContainer[Program.Call]
    outputs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorMeta, _Mapping]]] = ..., kinds: _Optional[str] = ..., signatures: _Optional[_Iterable[_Union[_call_pb2.Signature, _Mapping]]] = ..., calls: _Optional[_Iterable[_Union[Program.Call, _Mapping]]] = ..., outputs: _Optional[_Iterable[int]] = ...) -> None: ...
