"""grpcio's own server tells the caller the text of an exception that a handler lets through. This keeps it in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from gradwire_protocol.told import told

__all__ = ["Quiet"]


class Quiet(grpc.ServerInterceptor):
    """Ends a stream whose handler fails with INTERNAL and a number of the log's."""

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return the method's handler, quieted; one of a single reply answers with a failure of its own."""
        handler = continuation(handler_call_details)
        if handler is None or not (handler.request_streaming and handler.response_streaming):
            return handler
        behaviour = handler.stream_stream

        def quiet(requests: Any, context: Any) -> Iterator[Any]:
            try:
                yield from behaviour(requests, context)
            except Exception as error:
                # An abort is a bare Exception, and a client that went away an RpcError: grpcio knows what to do.
                if type(error) is Exception or isinstance(error, grpc.RpcError):
                    raise
                context.abort(grpc.StatusCode.INTERNAL, str(told(error)))

        return grpc.stream_stream_rpc_method_handler(quiet, handler.request_deserializer, handler.response_serializer)
