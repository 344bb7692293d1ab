from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Failure(_message.Message):
    __slots__ = ("error", "message", "batch", "call", "op", "program_call", "program_step", "retry_after_seconds")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_CALL_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_STEP_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    error: str
    message: str
    batch: int
    call: int
    op: str
    program_call: int
    program_step: int
    retry_after_seconds: float
    def __init__(self, error: _Optional[str] = ..., message: _Optional[str] = ..., batch: _Optional[int] = ..., call: _Optional[int] = ..., op: _Optional[str] = ..., program_call: _Optional[int] = ..., program_step: _Optional[int] = ..., retry_after_seconds: _Optional[float] = ...) -> None: ...
