"""Who may call what: every call of either server passes `Doorkeeper.intercept_service` before its handler is looked at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import grpc

from gradwire_protocol.access import ANYONE, SECRET, bearer_token, declared_roles, may
from gradwire_server.doors.reloaded import Reloaded
from gradwire_server.doors.tokens import Grant, Tokens, read_tokens

__all__ = ["Denied", "Doorkeeper", "Registering", "open_doors"]

log = logging.getLogger("gradwire.doors")

# Whom a worker without a tokens file lets in: it listens on loopback or on a socket of its user's.
_ANYBODY = Grant(b"", "", "admin")
_NOBODY = "\0"  # no tenant of a file has this name

_WATCH_SECONDS = 1.0
# Streams that need no token, at a time: each holds a thread, and whoever reaches the port can open them. Below the threads that
# a worker has besides its sessions', so that it still answers health checks and refuses politely.
_MAX_STRANGERS = 12


class Denied(Exception):
    """A call that may not happen, and the status that says so."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Doorkeeper(grpc.ServerInterceptor):
    """Denies by default: a method must be declared, and the call's token good for its role."""

    def __init__(self, tokens: Reloaded[Tokens] | None = None, clock: Callable[[], float] = time.time) -> None:
        """Ask for these tokens; for none where there is no file."""
        self._tokens, self._clock = tokens, clock
        self._roles: dict[str, str] = {}
        self._open: dict[Any, str] = {}  # contexts of running calls, with their tokens
        self._strangers = 0
        self._lock = threading.Lock()

    def declare(self, service: str) -> None:
        """Learn the roles of a service's methods; raise ValueError if one declares none."""
        self._roles.update(declared_roles(service))

    def admit(self, method: str, metadata: Any) -> Grant:
        """Return what a call comes in by; raise Denied."""
        role = self._roles.get(method)
        is_open = self._tokens is None or role in (ANYONE, SECRET)
        grant = _ANYBODY if is_open else self._grant(bearer_token(metadata))
        if role is None or not may(grant.role, role):
            raise Denied(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{method} is for tokens of role {role or 'none: nobody may call it'}; this one has role {grant.role}",
            )
        return grant

    def _grant(self, token: str) -> Grant:
        grant = self._find(token)
        if grant is None:
            came = "one that it does not know" if token else "none"
            raise Denied(
                grpc.StatusCode.UNAUTHENTICATED,
                f"this worker asks for one of its tokens; the call has {came}; give connect(token=...) or GRADWIRE_TOKEN",
            )
        if grant.is_expired(self._clock()):
            raise Denied(grpc.StatusCode.UNAUTHENTICATED, "the call's token has expired; ask for a new one")
        return grant

    def _find(self, token: str) -> Grant | None:
        return self._tokens.get().find(token) if self._tokens is not None and token else None

    def tenant(self, context: Any) -> str:
        """Return the tenant that an admitted call belongs to."""
        if self._tokens is None:
            return _ANYBODY.tenant
        # Looked up again rather than handed over: no place holds both for either server.
        grant = self._find(bearer_token(context.invocation_metadata()))
        return _NOBODY if grant is None else grant.tenant

    # -- both servers call this ----------------------------------------------------------------------------------------

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return the method's handler for a call that may come in, else one that says why not."""
        method = handler_call_details.method
        try:
            self.admit(method, handler_call_details.invocation_metadata)
        except Denied as denied:
            is_undeclared = method not in self._roles and denied.code is grpc.StatusCode.PERMISSION_DENIED
            if is_undeclared and continuation(handler_call_details) is None:
                return None  # of another version: the server says that it has no such method
            log.info("denied: %s: %s", denied.code.name, denied)
            return _denying(denied)
        handler = continuation(handler_call_details)
        if handler is None or self._tokens is None or not handler.response_streaming:
            return handler
        if self._roles[method] in (ANYONE, SECRET):
            return self._counted(handler)
        return self._watched(handler) if handler.request_streaming else handler

    def _counted(self, handler: Any) -> Any:
        """Return the handler of a stream that anybody may open, of which there are only so many."""
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

        def entered(request: Any, context: Any) -> Any:
            with self._lock:
                is_full = self._strangers >= _MAX_STRANGERS
                self._strangers += not is_full
            if is_full:
                context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"a worker with tokens has {_MAX_STRANGERS} streams at a time that need none; end one, or ask later",
                )
            if not context.add_callback(self._forget_stranger):
                self._forget_stranger()
            return behaviour(request, context)

        make = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        return make(entered, handler.request_deserializer, handler.response_serializer)

    def _forget_stranger(self) -> None:
        with self._lock:
            self._strangers -= 1

    def _watched(self, handler: Any) -> Any:
        """Return the handler of a stream that ends with its token: a session would outlive it by days."""

        def entered(requests: Any, context: Any) -> Any:
            with self._lock:
                self._open[context] = bearer_token(context.invocation_metadata())
            if not context.add_callback(lambda: self._leave(context)):
                self._leave(context)
            return handler.stream_stream(requests, context)

        return grpc.stream_stream_rpc_method_handler(entered, handler.request_deserializer, handler.response_serializer)

    def _leave(self, context: Any) -> None:
        with self._lock:
            self._open.pop(context, None)

    def end_expired(self) -> int:
        """Cancel the streams whose token is no longer good; return how many."""
        with self._lock:
            running = list(self._open.items())
        good: dict[str, bool] = {}
        ended = 0
        for context, token in running:
            if token not in good:
                grant = self._find(token)
                good[token] = grant is not None and not grant.is_expired(self._clock())
            if not good[token]:
                context.cancel()
                self._leave(context)
                ended += 1
        return ended

    def watch(self) -> None:
        """End streams with their tokens from now on, if tokens are asked for."""
        if self._tokens is not None:
            threading.Thread(target=self._keep_watching, name="gradwire-doors", daemon=True).start()

    def _keep_watching(self) -> NoReturn:
        while True:
            time.sleep(_WATCH_SECONDS)
            ended = self.end_expired()
            if ended:
                log.warning("%d streams ended with their tokens", ended)


def _denying(denied: Denied) -> Any:
    """Return a handler that reads nothing: what a stranger sends costs no more than its headers."""

    def deny(requests: Any, context: Any) -> None:
        context.abort(denied.code, str(denied))

    return grpc.stream_stream_rpc_method_handler(deny)


class Registering:
    """A server while services are added: a method that does not say who may call it keeps the worker from starting."""

    def __init__(self, server: Any, doors: Doorkeeper) -> None:
        """Pass on to a server what its doorkeeper knows."""
        self._server, self._doors = server, doors

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Add services."""
        for handler in generic_rpc_handlers:
            self._doors.declare(handler.service_name())
        self._server.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Add a service's methods to those that grpcio looks up by their whole name."""
        self._doors.declare(service_name)
        self._server.add_registered_method_handlers(service_name, method_handlers)


def open_doors(tokens_file: str) -> Doorkeeper:
    """Return the doorkeeper of a worker with a tokens file, or without one; raise ValueError for one that cannot be used."""
    return Doorkeeper(Reloaded([tokens_file], lambda: read_tokens(tokens_file)) if tokens_file else None)
