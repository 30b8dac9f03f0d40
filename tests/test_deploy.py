"""The files for docker compose and Kubernetes, as far as they can be checked without either."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from janusload import cli

DEPLOY = Path(__file__).parent.parent / "deploy"


def options_of(arguments: list[Any], **environment: str) -> Any:
    """What our command line makes of a container's arguments: anything that it does not know ends the test."""
    words = []
    for argument in map(str, arguments):
        words.append(re.sub(r"\$[({](\w+)(?::[-?][^})]*)?[)}]", lambda m: environment[m[1]], argument))
    return cli._parser().parse_args(words)


def test_compose_starts_a_master_and_the_workers_that_it_waits_for() -> None:
    table = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    master, worker = table["services"]["master"], table["services"]["worker"]
    environment = {"SCENARIO": "scenarios/capacity.toml", "JANUS_URL": "ws://10.0.0.9:8188", "WORKERS": "3"}
    run = options_of(master["command"], **environment)
    assert (DEPLOY.parent / run.scenario).exists()
    assert run.host == "ws://10.0.0.9:8188" and run.workers == 3
    assert options_of(worker["command"]).worker == run.master
    assert worker["deploy"]["replicas"] == "${WORKERS:-3}" and str(master["command"]).count("${WORKERS:-3}") == 1
    for service in (master, worker):
        assert service["network_mode"] == "host" and service["ulimits"]["nofile"] >= 65536
        assert "JANUS_API_SECRET" in service["environment"]
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve().exists()
    assert re.match(r"\d+s", master["stop_grace_period"])


def test_kubernetes_starts_a_master_and_the_workers_that_it_waits_for() -> None:
    things = {
        (thing["kind"], thing["metadata"]["name"]): thing
        for thing in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    }
    versions = {
        "ConfigMap": "v1",
        "Service": "v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "Job": "batch/v1",
    }
    assert all(thing["apiVersion"] == versions[kind] for (kind, _), thing in things.items())
    master, worker = things[("Job", "janusload-master")]["spec"], things[("Job", "janusload-worker")]["spec"]
    config = things[("ConfigMap", "janusload")]["data"]
    run = options_of(container(master)["args"], **config)
    assert run.host == config["JANUS_URL"] and run.master == "0.0.0.0:5557"
    assert run.workers == worker["parallelism"] == worker["completions"]
    service = things[("Service", "janusload-master")]
    assert options_of(container(worker)["args"]).worker == f"{service['metadata']['name']}:5557"
    assert service["spec"]["ports"][0]["port"] == container(master)["ports"][0]["containerPort"] == 5557
    assert service["spec"]["selector"].items() <= master["template"]["metadata"]["labels"].items()
    policy = things[("NetworkPolicy", "janusload-master")]["spec"]
    allowed = policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert allowed.items() <= worker["template"]["metadata"]["labels"].items()
    for job in (master, worker):
        assert job["backoffLimit"] == 0, "a run that failed is not begun again by itself"
        assert job["template"]["spec"]["restartPolicy"] == "Never"
        secret = container(job)["env"][0]
        assert secret["name"] == "JANUS_API_SECRET" and "value" not in secret


def container(job: dict[str, Any]) -> Any:
    return job["template"]["spec"]["containers"][0]


def test_the_image_is_built_from_the_lock() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    for line in text.splitlines():
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            assert all((DEPLOY.parent / source).exists() for source in sources), line
    assert "USER load" in text and os.sep not in text.rpartition("ENTRYPOINT")[2]
