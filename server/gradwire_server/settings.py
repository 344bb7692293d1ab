"""What a worker process is told: one frozen record, filled from flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from gradwire_protocol.addresses import is_local
from gradwire_server.quota_settings import Quotas, parse_bytes

__all__ = ["Settings", "parse"]

_NO_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a worker listens, on what device it computes, and its bounds."""

    listen: str
    device: str
    max_sessions: int
    drain_seconds: float
    threads: int
    until_stdin_closes: bool
    public_server: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tokens: str = ""
    lease_seconds: float = 300.0
    metrics_listen: str = ""
    metrics_beyond_loopback: bool = False
    quotas: Quotas = _NO_QUOTAS
    checkpoint_urls: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError for settings under which a worker must not start."""
        if not is_local(self.listen) and not (self.tls_certificate and self.tokens):
            raise ValueError(
                f"a worker that listens beyond loopback needs TLS and tokens; got --listen {self.listen} without both; give "
                "--tls-certificate, --tls-key and --tokens, or listen on 127.0.0.1:PORT, [::1]:PORT or unix:PATH"
            )
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("TLS needs a certificate and its key; give both of --tls-certificate and --tls-key")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError(
                "--tls-client-ca asks for clients' certificates, which needs TLS; give --tls-certificate and --tls-key too"
            )
        if not self.lease_seconds >= 0:
            raise ValueError(f"--lease-seconds must be 0 or more; got {self.lease_seconds}")
        if self.metrics_listen:
            self._check_metrics()
        if self.max_sessions < 1:
            raise ValueError(f"--max-sessions must be at least 1; got {self.max_sessions}")

    def _check_metrics(self) -> None:
        host, _, port = self.metrics_listen.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"--metrics-listen needs HOST:PORT; got {self.metrics_listen!r}")
        if not is_local(self.metrics_listen) and not self.metrics_beyond_loopback:
            raise ValueError(
                "metrics beyond loopback can be read by whoever reaches their port; got --metrics-listen "
                f"{self.metrics_listen}; add --metrics-beyond-loopback if that is meant, or listen on 127.0.0.1:PORT"
            )


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings of a command line."""
    parser = argparse.ArgumentParser(prog="gradwire worker", description="Hold tensors and run calls on them.")
    parser.add_argument("--listen", default="127.0.0.1:7471", help="HOST:PORT (port 0 picks one) or unix:PATH")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--max-sessions", type=int, default=64, help="refuse more clients than this at once")
    parser.add_argument(
        "--drain-seconds", type=float, default=30.0, help="how long running calls may take after SIGTERM"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="BLAS threads; more of them change the last bits of results"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input does (an embedded worker)"
    )
    parser.add_argument(
        "--public-server", action="store_true", help="use grpcio's documented server: slower, and nothing private"
    )
    parser.add_argument(
        "--lease-seconds", type=float, default=300.0, help="how long a session is kept whose connection was lost"
    )
    parser.add_argument(
        "--metrics-listen", default="", metavar="HOST:PORT", help="serve Prometheus metrics there (off by default)"
    )
    parser.add_argument(
        "--metrics-beyond-loopback", action="store_true", help="let --metrics-listen name an address others can reach"
    )
    _add_checkpoints(parser)
    _add_quotas(parser)
    doors = parser.add_argument_group("doors", "who may come in; all files may be renewed while the worker runs")
    doors.add_argument(
        "--tls-certificate", default="", metavar="FILE", help="PEM chain that clients check the worker by"
    )
    doors.add_argument("--tls-key", default="", metavar="FILE", help="its private key, PEM")
    doors.add_argument(
        "--tls-client-ca",
        default="",
        metavar="FILE",
        help="take only clients whose certificate is signed by this (mTLS)",
    )
    doors.add_argument(
        "--tokens", default="", metavar="FILE", help="let in these tokens only; `gradwire token new` makes one"
    )
    given = parser.parse_args(arguments)
    settings = Settings(
        given.listen, given.device, given.max_sessions, given.drain_seconds, given.threads, given.until_stdin_closes,
        given.public_server, given.tls_certificate, given.tls_key, given.tls_client_ca, given.tokens, given.lease_seconds,
        given.metrics_listen, given.metrics_beyond_loopback,
        Quotas(given.max_session_bytes, given.max_session_handles, given.max_tenant_bytes, given.max_tenant_sessions),
        tuple(given.checkpoint_urls),
    )  # fmt: skip
    try:
        settings.check()
    except ValueError as error:
        parser.error(str(error))
    return settings


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint-urls", action="append", default=[], metavar="PREFIX",
        help="let clients save and load checkpoints under this URL, such as s3://bucket/runs/{tenant}; may come several times",
    )  # fmt: skip


def _add_quotas(parser: argparse.ArgumentParser) -> None:
    quotas = parser.add_argument_group("quotas", "what one client may hold; 0, the default, is no quota")
    for name, kind, what in (
        ("--max-session-bytes", parse_bytes, "tensors, graphs and programs of a session, such as 4GiB"),
        ("--max-session-handles", int, "tensors of a session"),
        ("--max-tenant-bytes", parse_bytes, "all sessions of a tenant together"),
        ("--max-tenant-sessions", int, "sessions of a tenant"),
    ):
        quotas.add_argument(name, type=kind, default=0, metavar="N", help=what)
