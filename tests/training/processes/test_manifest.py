"""The manifest for Kubernetes, against the schemas of Kubernetes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import peers

MANIFEST = Path(__file__).parents[3] / "examples" / "kubernetes" / "train.yaml"


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))


@pytest.mark.peer
def test_the_manifest_is_what_kubernetes_accepts() -> None:
    validator = peers.kubernetes_validate()
    version = validator.latest_version()
    service, job = documents()
    for document in (service, job):
        assert validator.validate(document, version, strict=True)
    job["spec"]["template"]["spec"]["containers"][0]["argz"] = []
    with pytest.raises(validator.ValidationError, match="argz"):
        validator.validate(job, version, strict=True)


def test_the_manifest_starts_as_many_machines_as_torchrun_waits_for() -> None:
    service, job = documents()
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert f"--nnodes={spec['completions']} " in container["args"][0]
    assert f"--nproc-per-node={container['resources']['limits']['nvidia.com/gpu']} " in container["args"][0]
    assert spec["parallelism"] == spec["completions"]
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    shards = spec["completions"] * container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--shards {shards} " in container["args"][0]
