"""A Ray cluster of two hosts, for programs that run in a network of their own (`benchmarks.hosts.isolated`)."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from benchmarks.hosts import Host
from tests.support.ray_hosts import COMMON, HEAD_PORT, RAY, start


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a command that uses the cluster; the head, zone=a, is here, the other node is zone=b."""
    with Host() as far, contextlib.ExitStack() as nodes:
        environment = os.environ | {
            "RAY_ADDRESS": f"{far.own_address}:{HEAD_PORT}",
            "RAY_TMPDIR": f"{folder}/ray",
            "TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        head = ["--head", f"--port={HEAD_PORT}", f"--node-ip-address={far.own_address}", "--include-dashboard=false"]
        second = [f"--address={far.own_address}:{HEAD_PORT}", f"--node-ip-address={far.address}"]
        for name, command in (
            ("head", [RAY, "start", *head, "--labels=zone=a"]),
            ("second", [*far.enter(), RAY, "start", *second, "--labels=zone=b"]),
        ):
            log = folder / f"{name}.log"
            start(nodes, [*command, *COMMON], environment, log)
        yield environment
