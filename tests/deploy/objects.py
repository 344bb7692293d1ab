"""Kubernetes objects: the chart's, as Helm renders it, and what says whether an object is one that an API server would take.

Strict: a kind without a schema here fails, and so does a field that its schema lacks.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

__all__ = ["CHART", "NAMED", "load", "needs_judges", "of_kind", "render", "validate"]

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "gradwire"
# The Secrets, without which nothing is rendered.
NAMED = {"tls": {"secretName": "gradwire-tls"}, "tokens": {"secretName": "gradwire-tokens"}}
# The oldest and the newest that the chart is meant for: its `kubeVersion`.
_KUBERNETES = ("1.30", "1.37")

needs_judges = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("helm_python", "kubernetes_validate")),
    reason="Helm or Kubernetes' schemas are not there: tests/deploy/requirements.txt",
)


def load(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream."""
    import yaml

    return [found for found in yaml.safe_load_all(text) if found]


def render(values: dict[str, Any], *, release: str = "gw", namespace: str = "ns") -> list[dict[str, Any]]:
    """Return the chart's objects for these values, by Helm's own engine."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=release, namespace=namespace)
    return [found for path in sorted(rendered) for found in load(rendered[path])]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only object of a kind."""
    [found] = [one for one in objects if one["kind"] == kind]
    return found


def validate(found: dict[str, Any]) -> None:
    """Raise ValueError for an object that is of no kind known here, or that is not what its kind's schema says."""
    import jsonschema
    import kubernetes_validate
    from kubernetes_validate.utils import SchemaNotFoundError

    from tests.deploy.custom_kinds import SCHEMAS, pod_templates

    name = f"{found.get('apiVersion')}/{found.get('kind')}"
    try:
        if name in SCHEMAS:
            jsonschema.Draft202012Validator(SCHEMAS[name]).validate(found)
            for template in pod_templates(found):
                validate({"apiVersion": "v1", "kind": "PodTemplate", "template": template})
            return
        for version in _KUBERNETES:
            kubernetes_validate.validate(found, version, strict=True)
    except SchemaNotFoundError as error:
        raise ValueError(f"an object must be of a kind that is known; got {name}: {error.message}") from None
    except jsonschema.ValidationError as error:
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{name} must be what its schema says; {where}: {error.message}") from None
