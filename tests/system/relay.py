"""A TCP relay between a client and a worker that cuts connections at any byte, delays, loses, and goes dark for a while."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

__all__ = ["Relay"]

_PIECE_BYTES = 65_536


class Relay:
    """Forwards connections to `target`. `cut_after` bytes, in one direction, all connections break once."""

    def __init__(self, target: str) -> None:
        self.target = target
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}  # bytes to go until the cut, by direction
        self._dark_until = self._slow_until = 0.0
        self._longest_delay_seconds = 0.0
        self._losing: set[tuple[socket.socket, str]] = set()
        self.lost_bytes = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count: int, direction: str) -> None:
        """Break all connections once so many more bytes went "up" (to the worker) or "down"."""
        self._left[direction] = count

    def lose(self, direction: str, *, newest: bool = False) -> None:
        """Lose, and count, all that the connections of now, or the newest, bring in one direction until a cut."""
        with self._lock:
            pairs = self._pairs[-1:] if newest else self._pairs
            self._losing |= {(client if direction == "up" else worker, direction) for client, worker in pairs}
            self.lost_bytes = 0

    def delay(self, longest_seconds: float, seconds: float) -> None:
        """Hold each piece back for up to so long, for some seconds from now on."""
        self._longest_delay_seconds, self._slow_until = longest_seconds, time.monotonic() + seconds

    def cut(self, *, newest: bool = False) -> None:
        """Break all connections now, or the newest."""
        with self._lock:
            pairs, self._pairs = (self._pairs[-1:], self._pairs[:-1]) if newest else (self._pairs, [])
            self._losing.clear()
            self.cuts += 1
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    # So that nothing that lies in the system's buffers is still delivered, as when a cable is pulled.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    end.close()

    def black_out(self, seconds: float) -> None:
        """Lose all that is sent for so long, new connections too; then break the old ones, whose bytes are missing."""
        self._dark_until = time.monotonic() + seconds
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    @property
    def _is_dark(self) -> bool:
        return time.monotonic() < self._dark_until

    def _passed(self, direction: str, count: int) -> int:
        """Return how many of so many bytes go through before the cut that is due; all of them without one."""
        with self._lock:  # two connections may come to it at once
            left = self._left.pop(direction, None)
            if left is None or count >= left:
                return count if left is None else left - 1
            self._left[direction] = left - count
            return count

    def _is_lost(self, source: socket.socket, direction: str, count: int) -> bool:
        with self._lock:
            is_lost = (source, direction) in self._losing
            self.lost_bytes += count * is_lost
        return is_lost

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_dark:
                client.close()
                continue
            try:
                worker = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, worker))
            for source, sink, direction in ((client, worker, "up"), (worker, client, "down")):
                with contextlib.suppress(OSError):  # it may have been cut already
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._forward, args=(source, sink, direction), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                if self._is_dark or self._is_lost(source, direction, len(piece)):
                    continue
                if time.monotonic() < self._slow_until:
                    time.sleep(random.uniform(0.0, self._longest_delay_seconds))
                passed = self._passed(direction, len(piece))
                sink.sendall(piece[:passed])
                if passed < len(piece):
                    self.cut()
                    return
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
