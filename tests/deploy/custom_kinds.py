"""What `deploy/` uses of kinds that Kubernetes does not define itself, as schemas of our own that allow nothing else.

Each is a part of the operator's CRD: the fields below stand there, with these types (prometheus-operator 0.93, KubeRay 1.7). What
`deploy/` begins to use besides has to be looked up there and added here.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMAS", "pod_templates"]

_NAME = {"type": "string", "minLength": 1}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def _record(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _kind(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _record(("name",), name=_NAME, namespace=_NAME, labels=_STRINGS, annotations=_STRINGS)
    return _record(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


_POD_MONITOR = _record(
    ("selector", "podMetricsEndpoints"),
    jobLabel=_NAME,
    selector=_record(("matchLabels",), matchLabels=_STRINGS),
    podMetricsEndpoints={
        "type": "array",
        "minItems": 1,
        "items": _record(("port",), port=_NAME, path=_NAME, interval={"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}),
    },
)
_COUNT = {"type": "integer", "minimum": 0}
# What a template holds is judged by Kubernetes' own schema of a PodTemplate.
_TEMPLATE = {"type": "object"}
_RAY_CLUSTER = _record(
    ("rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"),
    rayVersion=_NAME,
    authOptions=_record(("mode",), mode={"enum": ["disabled", "token"]}),
    headGroupSpec=_record(("rayStartParams", "template"), rayStartParams=_STRINGS, template=_TEMPLATE),
    workerGroupSpecs={
        "type": "array",
        "items": _record(
            ("groupName", "replicas", "minReplicas", "maxReplicas", "template"),
            groupName=_NAME,
            replicas=_COUNT,
            minReplicas=_COUNT,
            maxReplicas=_COUNT,
            rayStartParams=_STRINGS,
            template=_TEMPLATE,
        ),
    },
)
SCHEMAS = {
    "monitoring.coreos.com/v1/PodMonitor": _kind("monitoring.coreos.com/v1", "PodMonitor", _POD_MONITOR),
    "ray.io/v1/RayCluster": _kind("ray.io/v1", "RayCluster", _RAY_CLUSTER),
}


def pod_templates(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pod templates in an object of such a kind."""
    spec = found["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]] if found["kind"] == "RayCluster" else []
    return [group["template"] for group in groups]
