"""cluster.ray_cluster: whether a graph fits on the nodes, and why a cluster cannot be joined, each in one sentence."""

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from emopipe.pipeline.cluster import ray_cluster
from emopipe.pipeline.cluster.ray_cluster import NICENESS, Cluster, Node, need_room, process_gpus
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.graph.shards import sharded
from tests.support.graphs import good

NODES = [Node("1", "10.0.0.1", {"zone": "a"}, 1.0, 1.0), Node("2", "10.0.0.2", {"zone": "b"}, 0.0, 1.0)]


def graph(label: dict[str, str] | None = None, process: str = "vision", **gpus: float) -> Graph:
    table = good()
    for stage, number in gpus.items():
        table["stages"][stage]["gpus"] = number
    if label is not None:
        table["processes"] = {process: {"label": label}}
    return graph_from_table(table, "g.toml")


def free(graph: Graph) -> list[str]:
    """The processes without sinks."""
    stages = graph.stages
    return [name for name, names in graph.processes.items() if all(stages[each].cls.outputs for each in names)]


def refusal(graph: Graph) -> str:
    with pytest.raises(EmopipeError) as caught:
        need_room(graph, free(graph), NODES)
    return str(caught.value)


def test_a_graph_that_fits() -> None:
    fits = graph({"zone": "a"}, faces=0.25, fusion=0.5)
    need_room(fits, free(fits), NODES)
    assert process_gpus(fits, "vision") == 0.75


def test_labels_that_nobody_has() -> None:
    expected = (
        "g.toml: processes.vision.label: no node of the cluster has it; start one with `ray start --labels zone=c …`"
    )
    assert refusal(graph({"zone": "c"})) == expected


def test_more_gpus_than_a_node_has() -> None:
    expected = "g.toml: stages.faces.gpus: 2 are asked for in one process, but no node of the cluster has more than 1"
    assert refusal(graph(faces=2)) == expected


def test_more_gpus_than_the_cluster_has() -> None:
    expected = "g.toml: the stages ask for 1.25 GPUs, but the cluster of 2 nodes has 1"
    assert refusal(graph(faces=0.5, voice=0.75)) == expected


def in_shards(**tables: object) -> Graph:
    """Two copies of a graph, with names as the user has given them."""
    use = "tests.support.restart_stages:"
    stages: dict[str, Any] = {
        "count": {"use": f"{use}Recordings", "gpus": tables.pop("gpus", 0)},
        "lines": {"use": f"{use}Lines", "inputs": {"numbers": "count.numbers"}, "path": "lines.txt"},
    }
    return sharded(graph_from_table({"pipeline": {"shards": 2}, "stages": stages, **tables}, "g.toml"))


def test_what_shards_ask_for_is_said_by_the_names_in_the_graph() -> None:
    label = "g.toml: processes.count.label: no node of the cluster has it; start one with `ray start --labels zone=c …`"
    assert refusal(in_shards(processes={"count": {"label": {"zone": "c"}}})) == label
    assert refusal(in_shards(gpus=2)) == (
        "g.toml: stages.count.gpus: 2 are asked for in one process, but no node of the cluster has more than 1"
    )
    assert refusal(in_shards(gpus=0.75)) == (
        "g.toml: in 2 shards the stages ask for 1.5 GPUs, but the cluster of 2 nodes has 1"
    )


def test_a_sink_stays() -> None:
    sink = next(name for name, stage in graph().stages.items() if not stage.cls.outputs)
    said = refusal(graph({"zone": "a"}, process=graph().stages[sink].process))
    assert "a process with a sink stays where the run is begun" in said


def joined(where: str) -> str:
    with pytest.raises(EmopipeError) as caught:
        asyncio.run(Cluster.join(where, verbose=False))
    return str(caught.value)


def test_what_is_no_cluster() -> None:
    assert joined("rya") == '--on rya: expected "ray", or the head of a cluster, ray://HOST:PORT'


def test_a_head_that_cannot_be_reached() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"ray://127.0.0.1:{free.getsockname()[1]}"
        assert joined(where).startswith(f"--on {where}: cannot be reached: Connection refused; is the head up")


def test_a_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as head, contextlib.ExitStack() as stack:
        for _ in range(4):  # nobody takes them, so that the next ones are not answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(head.getsockname())
        where = f"ray://127.0.0.1:{head.getsockname()[1]}"
        assert joined(where).startswith(f"--on {where}: cannot be reached: timed out; is the head up")


def test_a_head_that_never_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr("ray.init", lambda *_, **__: over.wait())
    monkeypatch.setattr(ray_cluster, "JOIN_TIMEOUT_S", 0.2)
    try:
        with socket.create_server(("127.0.0.1", 0)) as head:
            where = f"ray://127.0.0.1:{head.getsockname()[1]}"
            late = "the head has not let this host in within 0.2 s; does `ray status` answer there?"
            assert joined(where) == f"--on {where}: {late}"
    finally:
        over.set()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError(
                "Version mismatch: The cluster was started with:\n    Ray: 2.61.0\n    Python: 3.12.1\n"
                "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
            ),
            "the head runs other versions of Ray or Python than this host "
            "(Ray: 2.61.0, Python: 3.12.1, Ray: 2.60.0); install the same on both",
        ),
        (
            ConnectionError("ray client connection timeout"),
            "Ray's client was not let in: the head is too busy, or has a token, and this host not the same; "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, as on the head",
        ),
        (
            ray_cluster.ray.exceptions.AuthenticationError("Invalid"),
            "the cluster has a token, and this host not the same; "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, as on the head",
        ),
        (
            ConnectionAbortedError("Initialization failure from server:\npsutil.ZombieProcess: PID still exists"),
            "the head's process for this host died, as happens where that is busy; "
            "try again, or start the head with GRPC_ENABLE_FORK_SUPPORT=0",
        ),
        (ConnectionError("no more of it\nmore"), "no more of it"),
        (
            ConnectionAbortedError("Initialization failure from server:\nTraceback\n  line 1\nRuntimeError: failed.\n"),
            "Initialization failure from server: RuntimeError: failed.",
        ),
    ],
)
def test_a_head_that_does_not_fit(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("ray.init", fail)
    with socket.create_server(("127.0.0.1", 0)) as head:
        where = f"ray://127.0.0.1:{head.getsockname()[1]}"
        assert joined(where) == f"--on {where}: {said}"


def test_a_cluster_that_does_not_come_up_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str, **_: Any) -> None:
        raise Exception("The current node timed out during startup. This could happen because …")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray.init", fail)
    said = "--on ray: no cluster came up on this host, which may be too busy; start one with `ray start --head` (The"
    assert joined("ray").startswith(said)


def test_actors_of_a_cluster_that_is_started_are_as_nice_as_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    niceness: list[str | None] = []

    def start(address: str, **_: Any) -> None:
        niceness.append(os.environ.get(NICENESS))
        raise ConnectionError("there is none")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray.init", start)
    monkeypatch.setenv(NICENESS, "")  # to have it as it was, afterwards
    monkeypatch.delenv(NICENESS)
    joined("ray")
    assert niceness == ["0"]


def test_a_cluster_of_this_host_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert (
            joined("ray") == f"--on ray: RAY_ADDRESS={address}: cannot be reached: Connection refused; is the head up?"
        )
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert joined("ray") == "--on ray: RAY_ADDRESS=auto: expected HOST:PORT of a cluster's head"


def test_of_a_cluster_that_was_killed_only_its_address_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def begin(address: str, **_: Any) -> None:
        begun.append(address)
        raise ConnectionError("that is enough")

    monkeypatch.setattr("ray.init", begin)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    joined("ray")
    (tmp_path / "ray").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        (tmp_path / "ray/ray_current_cluster").write_text(f"{address}\n")
        joined("ray")
    joined("ray")
    assert begun == ["local", address, "local", "local"]
