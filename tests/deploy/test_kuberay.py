"""The KubeRay example: what its operator and Kubernetes would take, and whether its commands are Ray's and ours."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.objects import load, needs_judges, validate

pytestmark = needs_judges

_FOLDER = Path(__file__).parents[2] / "deploy" / "kuberay"


def _ray_version() -> str:
    try:
        return version("ray")
    except PackageNotFoundError:
        return ""


_needs_ray = pytest.mark.skipif(not _ray_version(), reason="Ray is not there: pip install 'gradwire[pool]'")


def _cluster() -> dict[str, Any]:
    [found] = load((_FOLDER / "raycluster.yaml").read_text())
    return copy.deepcopy(found)


def _groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]


def test_it_is_what_the_schemas_say() -> None:
    validate(_cluster())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("kind",), "of a kind that is known"),
        (("spec", "authOption"), "'authOption' was unexpected"),
        (("spec", "authOptions", "mode"), "is not one of"),
        (("spec", "workerGroupSpecs", 0, "replica"), "'replica' was unexpected"),
        (("spec", "workerGroupSpecs", 0, "template", "spec", "hostnetwork"), "'hostnetwork' was unexpected"),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "imag"), "'imag' was unexpected"),
    ],
)
def test_what_is_not_known_fails(path: tuple[str | int, ...], words: str) -> None:
    cluster = _cluster()
    inner: Any = cluster
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = "Other"
    with pytest.raises(ValueError, match=words):
        validate(cluster)


def test_pods_have_the_names_that_workers_are_known_by() -> None:
    names, gateway = load((_FOLDER / "names.yaml").read_text())
    for service in (names, gateway):
        validate(service)
        assert service["spec"]["clusterIP"] == "None"
    cluster = _cluster()
    labels = [group["template"]["metadata"]["labels"] for group in _groups(cluster)]
    assert labels == [names["spec"]["selector"]] * len(labels)
    assert gateway["spec"]["selector"]["ray.io/cluster"] == cluster["metadata"]["name"]
    readme = (_FOLDER / "README.md").read_text()
    assert f"{{ip}}.{names['metadata']['name']}." in readme
    assert f"pool://{gateway['metadata']['name']}." in readme


@_needs_ray
def test_its_ray_is_ours_and_has_its_flags() -> None:
    cluster = _cluster()
    assert cluster["spec"]["rayVersion"] == _ray_version()
    shown = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--help"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    flags = set(re.findall(r"--[a-z-]+", shown))
    assert {f"--{name}" for group in _groups(cluster) for name in group["rayStartParams"]} <= flags


def test_ports_that_are_probed_are_raylets_and_gcs() -> None:
    for group in _groups(_cluster()):
        [container] = group["template"]["spec"]["containers"]
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert str(ports["raylet"]) == group["rayStartParams"]["node-manager-port"]
        assert container["livenessProbe"]["tcpSocket"]["port"] in ports
        assert {one["name"] for one in group["template"]["spec"]["volumes"]} == {
            one["name"] for one in container["volumeMounts"]
        }


@_needs_ray
def test_the_command_in_its_readme_is_a_pools() -> None:
    from gradwire_pool.commands import _parser, _plan

    text = (_FOLDER / "README.md").read_text().replace("\\\n", " ")
    [line] = [one for one in text.splitlines() if "pool up" in one and one.startswith("kubectl exec")]
    command = shlex.split(re.search(r"sh -c '(.*)'", line)[1].replace("$HOST_IP", "192.0.2.7"))  # type: ignore[index]
    assert command[:2] == ["gradwire", "pool"]
    plan = _plan(_parser().parse_args(command[2:]))
    # Beyond loopback, so that each worker listens at its own node's address.
    assert (plan["listen"], plan["worker_host"], plan["workers"]) == ("192.0.2.7:7470", "", 2)
    assert str(plan["advertise"]).startswith("{ip}.gradwire-pool.")
    assert set(plan["doors"].values()) == {  # type: ignore[attr-defined]
        "", "/etc/gradwire/tokens.toml", "/etc/gradwire/tls.crt", "/etc/gradwire/tls.key",
    }  # fmt: skip
