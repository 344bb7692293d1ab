"""The Helm chart: what Helm makes of it, and whether Kubernetes would take that."""

from __future__ import annotations

import copy
import shlex
from typing import Any

import pytest

from gradwire_server.settings import parse
from tests.deploy.objects import CHART, NAMED, needs_judges, of_kind, render, validate

pytestmark = needs_judges

_LABELS = {"release": "prometheus"}
EVERYTHING: dict[str, Any] = {
    "tls": {"secretName": "gradwire-tls", "clientCertificates": True},
    "tokens": {"secretName": "gradwire-tokens"},
    "drain": {"tokenSecretName": "gradwire-drain"},
    "replicas": 3,
    "drainSeconds": 120,
    "extraFlags": ["--max-sessions=8", "--max-tenant-bytes=4GiB"],
    "gpu": {"count": 1},
    "image": {"repository": "registry.example.org/gradwire-cuda", "tag": "0.1.0"},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"accelerator": "h100"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"example.org/team": "vision"},
    "gateway": {"type": "LoadBalancer"},
    "metrics": {"podMonitor": {"enabled": True, "labels": _LABELS}},
    "networkPolicy": {
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
    },
}
NOTHING_MORE: dict[str, Any] = {
    **NAMED,
    "gateway": {"enabled": False},
    "metrics": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "resources": {"requests": None, "limits": None},
}
_KINDS = ["NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet"]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (NAMED, _KINDS),
        (EVERYTHING, sorted([*_KINDS, "PodMonitor"])),
        (NOTHING_MORE, ["Service", "ServiceAccount", "StatefulSet"]),
    ],
    ids=["the secrets only", "everything", "as little as may be"],
)
def test_kubernetes_takes_every_object(values: dict[str, Any], kinds: list[str]) -> None:
    objects = render(values)
    assert sorted(one["kind"] for one in objects) == kinds
    for one in objects:
        validate(one)


@pytest.mark.parametrize("values", [NAMED, EVERYTHING], ids=["the secrets only", "everything"])
def test_helm_lints_it_without_a_warning(values: dict[str, Any]) -> None:
    import helm_python

    report = helm_python.lint(CHART, values, strict=True)
    # 1 is advice: an icon is all it misses.
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tokens": NAMED["tokens"]}, "needs TLS; no Secret is named; give tls.secretName"),
        ({"tls": NAMED["tls"]}, "needs tokens; no Secret is named; give tokens.secretName"),
        ({**NAMED, "replica": 3}, "additional properties 'replica' not allowed"),
        ({**NAMED, "tls": {"secret": "x"}}, "additional properties 'secret' not allowed"),
        ({**NAMED, "replicas": "three"}, "got string, want integer"),
        ({**NAMED, "extraFlags": ["drain"]}, "does not match pattern"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    import helm_python

    with pytest.raises(helm_python.HelmError, match=words):
        render(values)


def _changed(kind: str, *path: str | int, to: Any) -> dict[str, Any]:
    found = copy.deepcopy(of_kind(render(EVERYTHING), kind))
    inner: Any = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return found


_CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (("StatefulSet", "kind"), "of a kind that is known"),
        (("StatefulSet", "apiVersion"), "of a kind that is known"),
        (("PodMonitor", "apiVersion"), "of a kind that is known"),
        (("StatefulSet", "spec", "replica"), "'replica' was unexpected"),
        (("StatefulSet", *_CONTAINER, "livenesProbe"), "'livenesProbe' was unexpected"),
        (("StatefulSet", *_CONTAINER, "securityContext", "runAsNonroot"), "'runAsNonroot' was unexpected"),
        (("NetworkPolicy", "spec", "policyTypes"), "is not of type 'array'"),
        (("PodMonitor", "spec", "podMetricEndpoints"), "'podMetricEndpoints' was unexpected"),
        (("PodMonitor", "spec", "podMetricsEndpoints", 0, "intervall"), "'intervall' was unexpected"),
    ],
)
def test_what_kubernetes_does_not_know_fails(found: tuple[str | int, ...], words: str) -> None:
    kind, *path = found
    with pytest.raises(ValueError, match=words):
        validate(_changed(str(kind), *path, to="Other"))


def test_the_arguments_are_a_workers() -> None:
    settings = parse(of_kind(render(EVERYTHING), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["args"])
    assert (settings.listen, settings.device, settings.drain_seconds) == ("0.0.0.0:7471", "cuda:0", 120.0)
    assert (settings.max_sessions, settings.quotas.tenant_bytes) == (8, 4 << 30)
    assert (settings.metrics_listen, settings.metrics_beyond_loopback) == ("0.0.0.0:9471", True)
    assert settings.tls_client_ca == "/etc/gradwire/tls/ca.crt"


@pytest.mark.parametrize("values", [NAMED, EVERYTHING], ids=["the secrets only", "everything"])
def test_every_file_that_is_named_is_mounted(values: dict[str, Any]) -> None:
    pod = of_kind(render(values), "StatefulSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    commands = [container["args"], *(shlex.split(words) for words in shell_commands(container))]
    files = [word.rpartition("=")[2] for words in commands for word in words if "/etc/gradwire/" in word]
    files += [one["value"] for one in container["env"] if one.get("value", "").startswith("/etc/gradwire/")]
    mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"] if one.get("readOnly")}
    assert {file.rpartition("/")[0] for file in files} == set(mounted)
    assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in container["volumeMounts"]}


def shell_commands(container: dict[str, Any]) -> list[str]:
    """Return what probes and hooks tell a shell."""
    actions = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    actions += [container["lifecycle"]["preStop"]] if "lifecycle" in container else []
    assert all(one["exec"]["command"][:2] == ["sh", "-c"] for one in actions)
    return [one["exec"]["command"][2] for one in actions]


def test_a_pod_has_no_rights_and_time_to_drain() -> None:
    pod = of_kind(render(EVERYTHING), "StatefulSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 120 + 15
    probe = container["livenessProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] > 120
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"]) == (False, True)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": "1"}


def test_ports_and_labels_meet() -> None:
    objects = render(EVERYTHING)
    template = of_kind(objects, "StatefulSet")["spec"]["template"]
    names = {one["name"] for one in template["spec"]["containers"][0]["ports"]}
    labels = template["metadata"]["labels"].items()
    monitor, policy = of_kind(objects, "PodMonitor"), of_kind(objects, "NetworkPolicy")
    services = [one for one in objects if one["kind"] == "Service"]
    assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} <= names
    assert {one["targetPort"] for service in services for one in service["spec"]["ports"]} <= names
    assert {one["port"] for rule in policy["spec"]["ingress"] for one in rule.get("ports", [])} == names
    # Alert rules ask for this job.
    assert dict(labels)[monitor["spec"]["jobLabel"]] == "gradwire"
    assert monitor["metadata"]["labels"].items() >= _LABELS.items()
    selectors = [one["spec"]["selector"] for one in services]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in (monitor, of_kind(objects, "PodDisruptionBudget"))]
    selectors += [policy["spec"]["podSelector"]["matchLabels"]]
    assert all(selector.items() <= labels for selector in selectors)
    assert of_kind(objects, "StatefulSet")["spec"]["serviceName"] in {one["metadata"]["name"] for one in services}


def test_a_policy_without_clients_lets_in_none() -> None:
    policy = of_kind(render({**NAMED, "networkPolicy": {"clients": [], "prometheus": []}}), "NetworkPolicy")
    [only] = policy["spec"]["ingress"]
    assert list(only["from"][0]) == ["podSelector"]
