from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNDECLARED: _ClassVar[Role]
    ROLE_ANYONE: _ClassVar[Role]
    ROLE_SECRET: _ClassVar[Role]
    ROLE_RUN: _ClassVar[Role]
    ROLE_METRICS: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
ROLE_UNDECLARED: Role
ROLE_ANYONE: Role
ROLE_SECRET: Role
ROLE_RUN: Role
ROLE_METRICS: Role
ROLE_ADMIN: Role
ROLE_FIELD_NUMBER: _ClassVar[int]
role: _descriptor.FieldDescriptor
