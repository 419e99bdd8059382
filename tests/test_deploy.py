"""What is deployed: the files are what their readers expect, and say the same of Ray and of emopipe's own files."""

import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.paths import ROOT

yaml = pytest.importorskip("yaml")
DEPLOY = ROOT / "deploy"

COMPOSE = {
    "type": "object",
    "required": ["services"],
    "properties": {
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image", "build", "command"],
                "properties": {
                    "command": {"type": "string", "pattern": "^ray start .*--block$"},
                    "build": {"type": "object", "required": ["context", "dockerfile"]},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "volumes": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}
GROUP = {
    "type": "object",
    "required": ["rayStartParams", "template"],
    "properties": {
        # Anything but text is refused by the operator.
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["containers"],
                    "properties": {"containers": {"items": {"required": ["name", "image", "resources"]}}},
                }
            },
        },
    },
}
CLUSTER = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayCluster"},
        "spec": {
            "type": "object",
            "required": ["rayVersion", "headGroupSpec", "workerGroupSpecs"],
            "properties": {
                "headGroupSpec": GROUP,
                "workerGroupSpecs": {
                    "type": "array",
                    "items": {"allOf": [GROUP, {"required": ["groupName", "replicas", "minReplicas", "maxReplicas"]}]},
                },
            },
        },
    },
}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@pytest.mark.parametrize(("name", "schema"), [("compose.yaml", COMPOSE), ("ray-cluster.yaml", CLUSTER)])
def test_a_file_is_what_its_reader_expects(name: str, schema: dict[str, Any]) -> None:
    jsonschema.validate(read(name), schema)


def test_kubernetes_and_the_lock_have_the_same_ray() -> None:
    locked = re.search(r"^ray==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert read("ray-cluster.yaml")["spec"]["rayVersion"] == locked[1]


def test_every_option_is_one_that_ray_has() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    known = {name for option in scripts.start.params for name in option.opts + option.secondary_opts}
    commands = [shlex.split(service["command"])[2:] for service in read("compose.yaml")["services"].values()]
    spec = read("ray-cluster.yaml")["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    options = {option.partition("=")[0] for command in commands for option in command}
    options |= {f"--{name}" for group in groups for name in group["rayStartParams"]}
    assert options
    assert options - known == set()


def test_compose_builds_what_is_there() -> None:
    for service in read("compose.yaml")["services"].values():
        context = (DEPLOY / service["build"]["context"]).resolve()
        assert context == ROOT.resolve()
        assert (context / service["build"]["dockerfile"]).is_file()


def test_the_image_takes_files_that_are_there_and_does_not_run_as_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("FROM", "USER", "CMD"))] == ["FROM", "USER", "CMD"]
    assert "USER emopipe" in lines
    for name in re.findall(r"source/(\S+)", "\n".join(lines)):
        assert Path(ROOT, name).exists(), name
