"""A graph that is played on a Ray cluster from outside, by Ray's client, for the tests.

    python -m tests.support.ray_client FOLDER

is run in a network of its own. The cluster is the head alone; commands are given on another host, `desk`. What became
of `FOLDER/cluster.toml` is printed as JSON.
"""

import json
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host
from benchmarks.studies.cluster.nodes import Nodes, until
from tests.support.ray_nodes import left, run

PORT = 10001
NOBODY = "10.78.0.77"  # in desk's network
TRIES = 2  # where the head's process for a command has died all the same
HEAD = {
    "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "80",  # for a client's process there; Ray's own are 30
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # else that process dies now and then on a busy host, when it is forked
}
# Ray's client tries three times, after 5, 10 and 15 s.
HASTY = {"RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "1", "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "1"}


def main() -> None:
    folder = Path(sys.argv[1])
    with Host() as desk, Nodes(folder, desk, HEAD) as nodes:
        head = desk.own_address
        found: dict[str, Any] = {"shifted": bool(nodes.shift)}
        outside = {name: text for name, text in nodes.environment.items() if name != "RAY_ADDRESS"}

        def play(environment: dict[str, str], host: str = head) -> dict[str, Any]:
            enter = [*desk.enter(), *nodes.shift]
            return run(folder, "cluster", outside | environment, on=f"ray://{host}:{PORT}", enter=enter)

        found["nobody"] = play({}, NOBODY)
        until(lambda: accepts(head), "Ray client server")
        for _ in range(TRIES):
            found["from outside"] = play({})
            if "try again" not in found["from outside"]["said"]:
                break
        found["folders left"] = [path.name for path in folder.glob("emopipe-run-*")]
        found["another token"] = play(HASTY | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
        found["left"] = left(nodes)
    print(json.dumps(found))


def accepts(host: str) -> bool:
    """Whether somebody listens at the port."""
    try:
        socket.create_connection((host, PORT), 1.0).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
