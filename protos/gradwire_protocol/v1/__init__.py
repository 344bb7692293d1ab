"""Generated protobuf stubs of wire version 1."""
