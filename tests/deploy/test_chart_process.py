"""The chart's container, as processes of this machine: its command, its probes and its hook, with the files of its Secrets."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.deploy.objects import needs_judges, of_kind, render
from tests.system.certificates import Authority

pytestmark = [pytest.mark.system, needs_judges]

_POD = "gw-workers-0"


@dataclass
class Pod:
    """The container of one pod."""

    spec: dict[str, Any]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]

    def run(self, action: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run what a probe or a hook says."""
        command = [word.replace("/etc/gradwire", str(self.folder)) for word in action["exec"]["command"]]
        return subprocess.run(
            command, env={**self.environment, **environment}, capture_output=True, text=True, timeout=30, check=False
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _new_token(role: str) -> tuple[str, str]:
    made = subprocess.run(
        [sys.executable, "-m", "gradwire", "token", "new", "--tenant", "keeper", "--role", role],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    [token] = re.findall(r"\S{40,}", made.stderr)
    return token, made.stdout


def _write_secrets(folder: Path, objects: list[dict[str, Any]]) -> None:
    """Write what the three Secrets hold, with the modes that the chart gives their files."""
    pod, authority = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"], Authority(folder, "authority")
    names = [f"*.gw-workers.ns.svc.{_DOMAIN}", "gw.ns.svc", "127.0.0.1"]
    pair, (token, entry) = authority.issue(*names, name="worker"), _new_token("admin")
    files = {
        "tls": {
            "tls.crt": Path(pair.certificate).read_text(),
            "tls.key": Path(pair.key).read_text(),
            "ca.crt": Path(authority.file).read_text(),
        },
        "tokens": {"tokens.toml": entry},
        "drain": {"token": token},
    }
    modes = {one["name"]: one["secret"]["defaultMode"] for one in pod["volumes"] if "secret" in one}
    for secret, contents in files.items():
        (folder / secret).mkdir()
        for name, text in contents.items():
            (folder / secret / name).write_text(text)
            (folder / secret / name).chmod(modes[secret])


_DOMAIN = "cluster.local"


@pytest.fixture(params=[False, True], ids=["TLS", "mTLS"])
def pod(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pod]:
    """A running pod of the chart."""
    values = {
        "tls": {"secretName": "a", "clientCertificates": request.param},
        "tokens": {"secretName": "b"},
        "drain": {"tokenSecretName": "c"},
        "port": _free_port(),
        "metrics": {"port": _free_port(), "podMonitor": {"enabled": True}},
        "drainSeconds": 5,
    }
    objects = render(values)
    _write_secrets(tmp_path, objects)
    [container] = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    command = [word.replace("/etc/gradwire", str(tmp_path)) for word in container["command"] + container["args"]]
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # Here no kubelet writes the pod's name into a hosts file.
        "GRADWIRE_SELF": f"127.0.0.1:{values['port']}",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "serving cpu on" in first, first + process.stdout.read()
    yield Pod(container, tmp_path, environment, process)
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()


def _check_by_its_name(pod: Pod) -> int:
    """Return the health that the pod answers a client that knows it by its name in the cluster."""
    [name] = [one["value"] for one in pod.spec["env"] if one["name"] == "GRADWIRE_SELF"]
    host = name.replace("$(POD_NAME)", _POD).rpartition(":")[0]
    read = {one: (pod.folder / "tls" / one).read_bytes() for one in ("ca.crt", "tls.key", "tls.crt")}
    shown = (read["tls.key"], read["tls.crt"])
    options = (("grpc.ssl_target_name_override", host), ("grpc.enable_http_proxy", 0))
    credentials = grpc.ssl_channel_credentials(read["ca.crt"], *shown)
    with grpc.secure_channel(pod.environment["GRADWIRE_SELF"], credentials, options) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    status: int = answer.status
    return status


def test_the_container_serves_is_probed_and_drained(pod: Pod) -> None:
    assert _check_by_its_name(pod) == health_pb2.HealthCheckResponse.SERVING
    probes = [pod.spec[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert all(probe["exec"] == probes[0]["exec"] for probe in probes)
    asked = pod.run(probes[0])
    assert (asked.returncode, asked.stdout) == (0, "SERVING\n"), asked.stderr
    # A probe that cannot fail would show nothing: the certificate does not have this name.
    assert (
        pod.run(probes[0], GRADWIRE_SELF=pod.environment["GRADWIRE_SELF"].replace("127.0.0.1", "localhost")).returncode
        == 1
    )
    [port] = [one["containerPort"] for one in pod.spec["ports"] if one["name"] == "metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        assert b"\ngradwire_sessions 0.0\n" in reply.read()
    drained = pod.run(pod.spec["lifecycle"]["preStop"])
    assert (drained.returncode, drained.stdout) == (0, "draining: 0 sessions\n"), drained.stderr
    assert pod.process.wait(timeout=20) == 0
