"""A gRPC server in which every call has a completion queue of its own, polled by the thread that serves the call.

grpcio's own server polls one queue in a thread of its own and hands each message to the handler's thread: two hops between
threads per message, more than all the rest of a small one. Here the thread that waits for a message is the one that
runs it. Handlers are registered as with `grpc.server`, so the generated `add_...Servicer_to_server` works unchanged.

It stands on grpcio's Cython layer, which is private: `available` says whether it is as expected, and `grpc.server` takes over
where it is not. Both pass the same tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from gradwire_protocol.told import told

__all__ = ["OwnQueueServer", "available"]

_OK = 0
_CANCELLED = 1
_INVALID_ARGUMENT = 3
_UNIMPLEMENTED = 12
_INTERNAL = 13

# How long the one message of a call may take after its head. Who sends the head alone, which needs no token, holds a thread.
_REQUEST_SECONDS = 5.0


def available() -> bool:
    """Return whether this grpcio has what the server needs."""
    try:
        from grpc._cython import cygrpc
    except ImportError:
        return False
    wanted = (
        "CompletionQueue", "ReceiveCloseOnServerOperation", "ReceiveMessageOperation", "SendInitialMetadataOperation",
        "SendMessageOperation", "SendStatusFromServerOperation", "Server",
    )  # fmt: skip
    return all(hasattr(cygrpc, name) for name in wanted)


class _Aborted(Exception):
    """A handler ended its call with a status."""


class _Call:
    """One call, driven by the thread that serves it."""

    def __init__(self, cygrpc: Any, event: Any, queue: Any) -> None:
        self._cygrpc, self._call, self._queue = cygrpc, event.call, queue
        self._sending = self._receiving = self._opened = False
        self._message: bytes | None = None
        self._open = 0  # operations that are not done
        self.is_over = False  # the client is gone, or has its status
        self.code: int = _OK
        self.details = b""
        self.callbacks: list[Callable[[], None]] = []
        self._start((cygrpc.ReceiveCloseOnServerOperation(0),), "over")

    def _start(self, operations: tuple[Any, ...], tag: str) -> None:
        self._call.start_server_batch(operations, tag)
        self._open += 1

    def _take(self, deadline: float | None = None) -> bool:
        """Wait for the next thing that happens to the call; return False if none did by the deadline."""
        event = self._queue.poll(deadline=deadline) if deadline is not None else self._queue.poll()
        if event.completion_type is self._cygrpc.CompletionType.queue_timeout:
            return False
        self._open -= 1
        if event.tag == "sent":
            self._sending = False
        elif event.tag == "received":
            self._receiving = False
            self._message = event.batch_operations[0].message()
        elif event.tag == "over":
            self.is_over = True
            for callback in self.callbacks:
                callback()
        return True

    def _open_once(self) -> None:
        if not self._opened:
            self._opened = True
            self._start((self._cygrpc.SendInitialMetadataOperation((), 0),), "opened")

    def ask(self) -> None:
        """Ask for the next message, so that it can come while this thread works."""
        if not self._receiving and not self.is_over:
            self._receiving = True
            self._start((self._cygrpc.ReceiveMessageOperation(0),), "received")

    def receive(self, deadline: float | None = None) -> bytes | None:
        """Wait for the message that was asked for; None at the end of the client's messages, or at the deadline."""
        self._open_once()
        if self._message is None:  # else it came while `send` waited, and another one must not take its place
            self.ask()
        while self._receiving and not self.is_over:
            if not self._take(deadline):
                self.cancel()
                break
        message, self._message = self._message, None
        return message

    def is_active(self) -> bool:
        """Return whether the client still waits."""
        while not self.is_over and self._take(deadline=0):
            pass
        return not self.is_over

    def send(self, message: bytes) -> None:
        """Start sending; gRPC takes one message of a call at a time, so wait for the one before."""
        self._open_once()
        while self._sending and not self.is_over:
            self._take()
        if self.is_over:
            raise _Aborted
        self._sending = True
        self._start((self._cygrpc.SendMessageOperation(message, 0),), "sent")

    def finish(self) -> None:
        """Send the status, and wait until nothing of the call is left."""
        self._open_once()
        while self._sending and not self.is_over:
            self._take()
        status = self._cygrpc.SendStatusFromServerOperation((), self.code, self.details, 0)
        self._start((status,), "status")
        while self._open:
            self._take()
        self._queue.shutdown()
        while self._queue.poll().completion_type is not self._cygrpc.CompletionType.queue_shutdown:
            pass

    def cancel(self) -> None:
        """End the call at once."""
        self._call.cancel()


class _Context(grpc.ServicerContext):
    """What a handler may ask of its call."""

    def __init__(self, call: _Call, event: Any) -> None:
        self._call, self._event = call, event

    def is_active(self) -> bool:
        return self._call.is_active()

    def time_remaining(self) -> float:
        return max(float(self._event.call_details.deadline) - time.time(), 0.0)

    def cancel(self) -> bool:
        self._call.cancel()
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        if self._call.is_over:
            return False
        self._call.callbacks.append(callback)
        return True

    def invocation_metadata(self) -> Any:
        return self._event.invocation_metadata

    def peer(self) -> str:
        return str(self._event.call.peer().decode())

    def peer_identities(self) -> Any:
        from grpc._cython import cygrpc

        return cygrpc.peer_identities(self._event.call)

    def peer_identity_key(self) -> str | None:
        from grpc._cython import cygrpc

        key = cygrpc.peer_identity_key(self._event.call)
        return None if key is None else key.decode()

    def auth_context(self) -> Any:
        from grpc._cython import cygrpc

        found = cygrpc.auth_context(self._event.call) or {}
        return {key.decode(): values for key, values in found.items()}

    def send_initial_metadata(self, initial_metadata: Any) -> NoReturn:
        raise NotImplementedError("a call of this server has no initial metadata of its own; send a message instead")

    def set_trailing_metadata(self, trailing_metadata: Any) -> NoReturn:
        raise NotImplementedError("a call of this server has no trailing metadata; send a message instead")

    def set_code(self, code: grpc.StatusCode) -> None:
        self._call.code = code.value[0]

    def set_details(self, details: str) -> None:
        self._call.details = details.encode()

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        self.set_code(code)
        self.set_details(details)
        raise _Aborted

    def abort_with_status(self, status: Any) -> NoReturn:
        self.abort(status.code, status.details)


class OwnQueueServer:
    """Stands for `grpc.server(...)`: the same registration, ports, start and stop."""

    def __init__(
        self, threads: int, options: Sequence[tuple[str, Any]], interceptor: grpc.ServerInterceptor | None = None
    ) -> None:
        """Serve up to `threads` calls at a time, each after the interceptor let it in."""
        self._interceptor = interceptor
        from grpc._cython import cygrpc

        self._cygrpc = cygrpc
        self._server = cygrpc.Server(tuple(options), False)
        self._queue = cygrpc.CompletionQueue()
        self._server.register_completion_queue(self._queue)
        self._handlers: list[Any] = []
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gradwire")
        self._stopped = threading.Event()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Take the handlers of a service."""
        self._handlers += generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Do nothing: the generic handlers are the same ones."""

    def add_insecure_port(self, address: str) -> int:
        """Bind an address; raise RuntimeError if it cannot be had."""
        port: int = self._server.add_http2_port(address.encode())
        if not port:
            raise RuntimeError(f"{address} cannot be bound")
        return port

    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """Bind an address for TLS; raise RuntimeError if it cannot be had."""
        port: int = self._server.add_http2_port(address.encode(), server_credentials._credentials)
        if not port:
            raise RuntimeError(f"{address} cannot be bound")
        return port

    def start(self) -> None:
        """Serve."""
        self._server.start()
        threading.Thread(target=self._accept, name="gradwire-accept", daemon=True).start()

    def stop(self, grace: float | None) -> threading.Event:
        """Take no more calls; after `grace` seconds cancel those that still run. The event is set when none does."""
        self._server.shutdown(self._queue, "stopped")
        if not grace or not self._stopped.wait(grace):
            self._server.cancel_all_calls()
        return self._stopped

    def _accept(self) -> None:
        while True:
            queue = self._cygrpc.CompletionQueue()
            try:
                self._server.request_call(queue, self._queue, queue)
            except ValueError:  # it is shutting down
                queue = None
            event = self._queue.poll()
            while event.tag == "stopped" or not event.success:
                if event.tag == "stopped":
                    self._stopped.set()
                    return
                event = self._queue.poll()
            self._pool.submit(self._serve, event)

    def _serve(self, event: Any) -> None:
        call = _Call(self._cygrpc, event, event.tag)
        try:
            self._run(call, event)
        except _Aborted:
            call.code = call.code or _CANCELLED
        except DecodeError:  # the caller's doing: no error of this worker's, and nothing for its log
            call.code, call.details = (
                _INVALID_ARGUMENT,
                b"a message must decode as the method's .proto says; one does not",
            )
        except Exception as error:
            call.code, call.details = _INTERNAL, str(told(error)).encode()
        finally:
            call.finish()

    def _run(self, call: _Call, event: Any) -> None:
        handler = self._find(event)
        if handler is None:
            call.code, call.details = _UNIMPLEMENTED, b"Method not found!"
            return
        context = _Context(call, event)
        behaviour = _behaviour(handler)
        if handler.request_streaming:
            request: Any = _requests(call, handler.request_deserializer)
        else:
            message = call.receive(time.time() + _REQUEST_SECONDS)
            if message is None:
                return
            request = _decoded(message, handler.request_deserializer)
        answer = behaviour(request, context)
        encode = handler.response_serializer or bytes
        for response in answer if handler.response_streaming else (answer,):
            call.send(encode(response))

    def _find(self, event: Any) -> Any:
        details = _Details(event.call_details.method.decode(), event.invocation_metadata)
        if self._interceptor is None:
            return self._look_up(details)
        return self._interceptor.intercept_service(self._look_up, details)

    def _look_up(self, details: grpc.HandlerCallDetails) -> Any:
        for handlers in self._handlers:
            found = handlers.service(details)
            if found is not None:
                return found
        return None


class _Details(grpc.HandlerCallDetails):
    """The method that is called."""

    def __init__(self, method: str, metadata: Any) -> None:
        self.method, self.invocation_metadata = method, metadata


def _behaviour(handler: Any) -> Callable[..., Any]:
    kinds = {(False, False): "unary_unary", (False, True): "unary_stream", (True, False): "stream_unary"}
    found: Callable[..., Any] = getattr(
        handler, kinds.get((handler.request_streaming, handler.response_streaming), "stream_stream")
    )
    return found


def _decoded(message: bytes, decode: Callable[[bytes], Any] | None) -> Any:
    return message if decode is None else decode(message)


def _requests(call: _Call, decode: Callable[[bytes], Any] | None) -> Iterator[Any]:
    """Yield the client's messages; the next one may come while the caller works on this one."""
    while True:
        message = call.receive()
        if message is None:
            return
        call.ask()
        yield _decoded(message, decode)
