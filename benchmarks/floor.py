"""The floors: what a bare gRPC stream costs here. A server process that echoes, receives or sends bytes, and its client.

Same kind of stream, same client and server mechanisms and same chunk size as gradwire's own, with nothing in between; and
the same through grpcio's documented API on both ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from gradwire.transport import DirectStream, PublicStream
from gradwire_protocol.limits import CHUNK_BYTES
from gradwire_server.own_queue import OwnQueueServer, available

__all__ = ["Floor", "serve"]


class _Handler(grpc.GenericRpcHandler):
    """Three methods over raw bytes, on whatever service name the client uses."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method = details.method.rsplit("/", 1)[-1]
        if method == "Run":
            return grpc.stream_stream_rpc_method_handler(lambda messages, context: messages)
        if method == "Sink":
            return grpc.stream_unary_rpc_method_handler(_sink)
        return grpc.unary_stream_rpc_method_handler(_source)


def _sink(chunks: Iterator[bytes], context: Any) -> bytes:
    """Write chunks into memory made once, as the worker's Upload does."""
    into = np.empty(int(next(chunks)), np.uint8)
    position = 0
    for chunk in chunks:
        into[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
        position += len(chunk)
    return b""


def _source(request: bytes, context: Any) -> Iterator[bytes]:
    data = np.ones(int(request), np.uint8)
    for start in range(0, data.nbytes, CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES].tobytes()


def serve() -> None:
    """Serve in the worker's style and in grpcio's documented one, on two ports, until standard input closes."""
    ports = []
    for server in (OwnQueueServer(8, ()) if available() else _documented(), _documented()):
        server.add_generic_rpc_handlers((_Handler(),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
    print(*ports, flush=True)
    sys.stdin.read()


def _documented() -> Any:
    return grpc.server(ThreadPoolExecutor(8))


class Floor:
    """A client of the bare server, in the style of gradwire's transport."""

    def __init__(self) -> None:
        """Start the server process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.floor"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        same, public = (f"127.0.0.1:{port}" for port in self._process.stdout.readline().split())
        self._same, self._channel = grpc.insecure_channel(same), grpc.insecure_channel(public)
        for channel in (self._same, self._channel):
            grpc.channel_ready_future(channel).result(timeout=10)
        self._stream = DirectStream(self._same, same)
        self._public = PublicStream(self._channel, public)

    def echo(self, message: bytes) -> bytes:
        """Send a message and wait for it to come back."""
        self._stream.send(message)
        return self._stream.receive()

    def echo_public(self, message: bytes) -> bytes:
        """Do the same through grpcio's documented API: a request iterator and a response iterator."""
        self._public.send(message)
        return self._public.receive()

    def upload(self, data: np.ndarray[Any, Any]) -> None:
        """Send bytes in chunks."""
        raw = data.view(np.uint8)

        def chunks() -> Iterator[bytes]:
            yield str(raw.nbytes).encode()
            for start in range(0, raw.nbytes, CHUNK_BYTES):
                yield raw[start : start + CHUNK_BYTES].tobytes()

        send: Any = self._channel.stream_unary("/floor/Sink")
        send(chunks())

    def download(self, nbytes: int) -> None:
        """Receive bytes in chunks into memory made once."""
        into = np.empty(nbytes, np.uint8)
        position = 0
        receive: Any = self._channel.unary_stream("/floor/Source")
        for chunk in receive(str(nbytes).encode()):
            into[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
            position += len(chunk)

    def close(self) -> None:
        """Stop the server."""
        self._stream.close()
        self._public.close()
        self._same.close()
        self._channel.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


if __name__ == "__main__":
    serve()
