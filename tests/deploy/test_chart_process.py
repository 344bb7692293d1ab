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


def _start(folder: Path, values: dict[str, Any]) -> Pod:
    [container] = of_kind(render(values), "StatefulSet")["spec"]["template"]["spec"]["containers"]
    command = [word.replace("/etc/gradwire", str(folder)) for word in container["command"] + container["args"]]
    given = {
        one["name"]: one["value"].replace("/etc/gradwire", str(folder)) for one in container["env"] if "value" in one
    }
    environment = {
        **given,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # Here no kubelet writes the pod's name into a hosts file.
        "GRADWIRE_SELF": f"127.0.0.1:{values['port']}",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Pod(container, folder, environment, process)


@pytest.fixture(params=[False, True], ids=["TLS", "mTLS"])
def pods(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Pod]]:
    """Two running pods of the chart."""
    values = {
        "tls": {"secretName": "a", "clientCertificates": request.param},
        "tokens": {"secretName": "b"},
        "drain": {"tokenSecretName": "c"},
        "drainSeconds": 5,
    }
    _write_secrets(tmp_path, render(values))
    ports = [{"port": _free_port(), "metrics": {"port": _free_port()}} for _ in range(2)]
    running = [_start(tmp_path, {**values, **own}) for own in ports]
    try:
        for pod in running:
            assert pod.process.stdout is not None
            first = pod.process.stdout.readline()
            assert "serving cpu on" in first, first + pod.process.stdout.read()
        yield running
    finally:
        for pod in running:
            pod.process.kill()
            pod.process.communicate(timeout=30)


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


_COPY = """
import sys
import gradwire as gw
from gradwire.transfer import road
first, second = gw.connect(sys.argv[1:])
ones = gw.ones(1000, device="cpu:0").to("cpu:1")
print(ones.sum().item(), road(first, second) is not None)
"""


def _check_probe(pod: Pod) -> None:
    probes = [pod.spec[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert all(probe["exec"] == probes[0]["exec"] for probe in probes)
    asked = pod.run(probes[0])
    assert (asked.returncode, asked.stdout) == (0, "SERVING\n"), asked.stderr
    # A probe that cannot fail would show nothing: the certificate does not have this name.
    elsewhere = pod.environment["GRADWIRE_SELF"].replace("127.0.0.1", "localhost")
    assert pod.run(probes[0], GRADWIRE_SELF=elsewhere).returncode == 1


def _check_metrics(pod: Pod) -> None:
    [port] = [one["containerPort"] for one in pod.spec["ports"] if one["name"] == "metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        assert b"\ngradwire_sessions 0.0\n" in reply.read()


def _check_copy(pods: list[Pod]) -> None:
    """The workers fetch from each other by TLS, by what the chart gives their environment, not through the client."""
    token = (pods[0].folder / "drain" / "token").read_text()
    copied = subprocess.run(
        [sys.executable, "-c", _COPY, *(pod.environment["GRADWIRE_SELF"] for pod in pods)],
        env={**pods[0].environment, "GRADWIRE_TOKEN": token}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (copied.returncode, copied.stdout) == (0, "1000.0 True\n"), copied.stderr


def test_the_containers_serve_copy_and_drain(pods: list[Pod]) -> None:
    pod = pods[0]
    assert _check_by_its_name(pod) == health_pb2.HealthCheckResponse.SERVING
    _check_probe(pod)
    _check_metrics(pod)
    _check_copy(pods)
    drained = pod.run(pod.spec["lifecycle"]["preStop"])
    assert drained.returncode == 0, drained.stderr
    assert drained.stdout.startswith("draining: ")
    assert pod.process.wait(timeout=20) == 0
