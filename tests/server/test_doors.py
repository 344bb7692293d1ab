"""The doors without sockets: tokens files, what is read again, and who may call what. The clock is the test's."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from gradwire.token_command import entry, token
from gradwire_protocol.access import bearer_token, declared_roles
from gradwire_protocol.v1 import worker_pb2
from gradwire_server.doors.doorkeeper import Denied, Doorkeeper
from gradwire_server.doors.reloaded import Reloaded
from gradwire_server.doors.tokens import Tokens, parse_tokens, read_tokens

RUN = "/gradwire.v1.Worker/Run"
DIGEST = "0" * 64


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def doors(text: str, clock: Clock | None = None) -> Doorkeeper:
    made = Doorkeeper(Reloaded([], lambda: parse_tokens(text)), clock or Clock())
    made.declare("gradwire.v1.Worker")
    return made


def denial(made: Doorkeeper, method: str, metadata: list[tuple[str, str]]) -> str:
    with pytest.raises(Denied) as found:
        made.admit(method, metadata)
    return found.value.code.name


def test_a_token_is_found_by_itself_alone() -> None:
    tokens = parse_tokens(entry("gw_one", "a", "run", None) + entry("gw_two", "b", "admin", 1))
    first, second = tokens.find("gw_one"), tokens.find("gw_two")
    assert first is not None and (first.tenant, first.role, first.expires) == ("a", "run", None)
    assert second is not None and second.tenant == "b" and second.expires is not None
    assert second.is_expired(second.expires) and not second.is_expired(second.expires - 1)
    assert tokens.find("gw_three") is None and tokens.find("") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tenants = 1", "entries only"),
        ("[[token]]\nsha256 = 'gw_clear'\ntenant = 'a'\nrole = 'run'", "token 1 needs sha256"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a b'\nrole = 'run'", "needs a tenant"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a'\nrole = 'root'", "needs a role"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a'\nrole = 'run'\nexpires = '2027-01-01'", "with its zone"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a'\nrole = 'run'\nexpires = 2027-01-01T00:00:00", "with its zone"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a'\nrole = 'run'\nexpire = 2027-01-01T00:00:00Z", "got expire"),
        (f"[[token]]\nsha256 = '{DIGEST}'\ntenant = 'a'\nrole = 'run'\n" * 2, "stands in it twice"),
        ("[[token", "Expected"),
    ],
)
def test_a_wrong_tokens_file_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as found:
        parse_tokens(text)
    assert "gw_clear" not in str(found.value), "a token that stands there in clear must not get into a log"


def test_a_tokens_file_that_others_may_write_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.toml"
    write(path, entry("gw_one", "a", "run", None))
    read_tokens(str(path))
    assert caplog.text == ""
    path.chmod(0o644)
    read_tokens(str(path))
    assert "chmod 600" in caplog.text
    path.chmod(0o646)
    with pytest.raises(ValueError, match="only its owner may write it"):
        read_tokens(str(path))


def test_a_changed_file_counts_after_a_second_and_a_broken_one_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "tokens.toml", Clock()
    write(path, entry("gw_old", "a", "run", None))
    loaded: Reloaded[Tokens] = Reloaded([str(path)], lambda: read_tokens(str(path)), clock)
    write(path, entry("gw_new", "a", "run", None))
    os.utime(path, ns=(1, 1))
    clock.now = 0.9
    assert loaded.get().find("gw_old"), "files are looked at once a second"
    clock.now = 1.0
    assert loaded.get().find("gw_new") and not loaded.get().find("gw_old")
    caplog.clear()
    write(path, "[[token")
    for clock.now in (2.0, 3.0, 4.0):
        assert loaded.get().find("gw_new")
    assert len(caplog.records) == 1 and "stays in force" in caplog.text
    path.unlink()
    clock.now = 5.0
    assert loaded.get().find("gw_new")


def test_a_call_comes_in_by_a_token_that_is_good_for_its_role() -> None:
    clock = Clock()
    made = doors("".join(entry(f"gw_{role}", role, role, 1) for role in ("run", "metrics", "admin")), clock)
    assert made.admit(RUN, bearer("gw_run")).tenant == "run"
    assert made.admit(RUN, bearer("gw_admin")).tenant == "admin"
    assert denial(made, RUN, bearer("gw_metrics")) == "PERMISSION_DENIED"
    assert denial(made, RUN, bearer("gw_other")) == "UNAUTHENTICATED"
    assert denial(made, RUN, []) == "UNAUTHENTICATED"
    assert denial(made, RUN, bearer("gw_run") * 2) == "UNAUTHENTICATED"
    assert denial(made, RUN, [("authorization", "Basic gw_run")]) == "UNAUTHENTICATED"
    assert denial(made, "/gradwire.v1.Worker/Undeclared", bearer("gw_admin")) == "PERMISSION_DENIED"
    clock.now = 1e12
    assert denial(made, RUN, bearer("gw_run")) == "UNAUTHENTICATED"


def test_without_a_tokens_file_declared_methods_are_open_and_others_are_not() -> None:
    made = Doorkeeper()
    made.declare("gradwire.v1.Worker")
    assert made.admit(RUN, []).tenant == ""
    assert denial(made, "/gradwire.v1.Worker/Undeclared", []) == "PERMISSION_DENIED"


def test_a_method_that_declares_nothing_is_an_error_at_registration() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="undeclared.proto", package="undeclared", syntax="proto3")
    file.dependency.append(worker_pb2.DESCRIPTOR.name)
    kind = ".gradwire.v1.Hello"
    file.service.add(name="Door").method.add(name="Open", input_type=kind, output_type=kind)
    descriptor_pool.Default().Add(file)  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match=r"undeclared\.Door has none for Open"):
        declared_roles("undeclared.Door")


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer a b", "Bearer " + "a" * 513, "Bearer ä", b"Bearer a"]
)
def test_what_is_no_bearer_token(value: str | bytes) -> None:
    assert bearer_token([("authorization", value)]) == ""


def test_streams_end_with_their_tokens() -> None:
    class Context:
        is_cancelled = False

        def __init__(self, token: str) -> None:
            self._token = token

        def invocation_metadata(self) -> list[tuple[str, str]]:
            return bearer(self._token)

        def add_callback(self, callback: object) -> bool:
            return True

        def cancel(self) -> None:
            self.is_cancelled = True

    clock = Clock()
    made = doors(entry("gw_short", "a", "run", 1) + entry("gw_long", "a", "run", None), clock)
    handler = grpc.stream_stream_rpc_method_handler(lambda requests, context: iter(()))
    short, long = Context("gw_short"), Context("gw_long")
    for context in (short, long):
        made._watched(handler).stream_stream(iter(()), context)
    assert made.end_expired() == 0
    clock.now = 1e12
    assert made.end_expired() == 1 and short.is_cancelled and not long.is_cancelled
    assert made.end_expired() == 0


def test_the_command_prints_a_token_and_an_entry_that_lets_it_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert token(["new", "--tenant", "vision", "--role", "metrics", "--days", "1"]) == 0
    printed = capsys.readouterr()
    made = printed.err.split()[-1]
    assert made.startswith("gw_") and made not in printed.out
    grant = parse_tokens(printed.out).find(made)
    assert grant is not None and (grant.tenant, grant.role) == ("vision", "metrics")
    for wrong in (["--tenant", "a b"], ["--tenant", "a", "--days", "-1"], ["--tenant", "a", "--role", "root"]):
        with pytest.raises(SystemExit):
            token(["new", *wrong])
