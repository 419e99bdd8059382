"""A Ray cluster, joined for one run: which there is, whom it is made of, and whether a graph fits on it."""

import asyncio
import contextlib
import os
import socket
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ray

from emopipe.pipeline.access.addresses import own_address_towards, split_tcp
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.spec import Graph, copy_of, original
from emopipe.pipeline.text import count

LOCAL = "ray"
CLIENT = "ray://"
ADDRESS = "RAY_ADDRESS"
CONNECT_TIMEOUT_S = 5.0
JOIN_TIMEOUT_S = 90.0  # Ray itself waits for ever where a head that is there answers no more
OBJECT_STORE_BYTES = 80_000_000  # the least that Ray allows: nothing of a run goes there
NICENESS = "RAY_worker_niceness"  # of actors; Ray's own is 15, so that any other program goes first
NOT_LET_IN = "ray client connection timeout"  # in Ray's words, after three tries in 30 s; also where a token is wrong
NO_SERVER = ("Starting Ray client server failed", "Proxy failed to Connect", "ZombieProcess")  # for this client
TOKEN = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, as on the head"
T = TypeVar("T")
OPTIONS: dict[str, Any] = {"logging_level": "ERROR", "include_dashboard": False}


class Node(NamedTuple):
    """A node that lives."""

    id: str
    address: str
    labels: Mapping[str, str]
    gpus: float
    cpus: float


class Cluster:
    """A cluster that this process has joined.

    Attributes:
        address: of this host, as the nodes reach it.
        node: the id of the node that is on this host; empty where there is none.
    """

    def __init__(self, address: str, node: str) -> None:
        self.address = address
        self.node = node

    @classmethod
    async def join(cls, where: str, *, verbose: bool, cores: int = 1) -> "Cluster":
        """Join the cluster `ray` (of RAY_ADDRESS, of this host, or one that is started) or `ray://HOST:PORT`.

        Args:
            where: as `--on` has it.
            verbose: pass on what actors log.
            cores: of a cluster that is started: how many actors that ask for one have room.

        Raises:
            EmopipeError: it cannot be reached, or runs another version.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if where == LOCAL and (given := os.environ.get(ADDRESS, "")).startswith(CLIENT):
            where = given
        try:
            if where == LOCAL:
                if not await _in_time(_join_here, verbose):
                    await asyncio.to_thread(_start_here, verbose, cores)
                context = ray.get_runtime_context()
                node = context.get_node_id()
                return cls(ray.util.get_node_ip_address(), node)
            expected = '"ray", or the head of a cluster, ray://HOST:PORT'
            if not where.startswith(CLIENT):
                raise EmopipeError(f"--on {where}: expected {expected}")
            remedy = "is the head up, and this the port of its Ray client server (10001 where nobody chose another)?"
            address = await asyncio.to_thread(_reach, where, where, expected, remedy)
            await _in_time(_join_from_outside, where, verbose)
            return cls(address, "")
        except TimeoutError:
            late = f"the head has not let this host in within {JOIN_TIMEOUT_S:g} s; does `ray status` answer there?"
            raise EmopipeError(f"--on {where}: {late}") from None
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EmopipeError(f"--on {where}: {_explained(error)}") from None

    @staticmethod
    def leave() -> None:
        """Go; a cluster that was started for the run ends."""
        ray.shutdown()

    @staticmethod
    def nodes() -> list[Node]:
        """Those that live."""
        return [
            Node(each["NodeID"], each["NodeManagerAddress"], each["Labels"], has.get("GPU", 0.0), has.get("CPU", 0.0))
            for each in ray.nodes()
            if each["Alive"]
            for has in [each["Resources"]]
        ]


def need_room(graph: Graph, processes: Sequence[str], nodes: Sequence[Node]) -> None:
    """Refuse a graph for whose `processes` the nodes have not what it asks for.

    Raises:
        EmopipeError: labels that nobody has, or more GPUs than there are.
    """
    for process, wanted in graph.remote.labels.items():
        where = f"{graph.path}: processes.{original(process)}.label"
        if process not in processes:
            say = "a process with a sink stays where the run is begun; give its other stages a process of their own"
            raise EmopipeError(f"{where}: {say}")
        if not any(wanted.items() <= node.labels.items() for node in nodes):
            text = ", ".join(f"{key}={value}" for key, value in wanted.items())
            raise EmopipeError(f"{where}: no node of the cluster has it; start one with `ray start --labels {text} …`")
    most = max((node.gpus for node in nodes), default=0.0)
    for process in processes:
        if (gpus := process_gpus(graph, process)) > most:
            asking = [original(name) for name in graph.processes[process] if graph.stages[name].gpus]
            keys = ", ".join(f"stages.{name}.gpus" for name in asking)
            here = f"but no node of the cluster has more than {most:g}"
            raise EmopipeError(f"{graph.path}: {keys}: {gpus:g} are asked for in one process, {here}")
    wanted_gpus, there = sum(process_gpus(graph, each) for each in processes), sum(node.gpus for node in nodes)
    if wanted_gpus > there:
        has = f"but the cluster of {count(len(nodes), 'node')} has {there:g}"
        shards = len({copy_of(process) for process in processes})
        where = f"in {shards} shards " if shards > 1 else ""
        raise EmopipeError(f"{graph.path}: {where}the stages ask for {wanted_gpus:g} GPUs, {has}")


def process_gpus(graph: Graph, process: str) -> float:
    """The GPUs, or the part of one, that the stages of a process ask for."""
    return sum(graph.stages[name].gpus for name in graph.processes[process])


async def _in_time(join: Callable[..., T], *arguments: object) -> T:
    """What `join` returns, which may never do so: it has a thread for which nobody waits, at the process' end either.

    Raises:
        TimeoutError: it has not returned in `JOIN_TIMEOUT_S`.
    """
    joined: Future[T] = Future()
    joined.set_running_or_notify_cancel()

    def call() -> None:
        try:
            joined.set_result(join(*arguments))
        except BaseException as error:
            joined.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    async with asyncio.timeout(JOIN_TIMEOUT_S):
        return await asyncio.wrap_future(joined)


def _join_here(verbose: bool) -> bool:
    """Join the cluster of RAY_ADDRESS, or of this host; False where there is none."""
    if ray.is_initialized():
        return True
    options = {"log_to_driver": verbose, "logging_level": "ERROR"}
    if given := os.environ.get(ADDRESS, ""):
        _reach(given, f"{LOCAL}: {ADDRESS}={given}", "HOST:PORT of a cluster's head", "is the head up?")
        ray.init(given, **options)
        return True
    if address := _own_cluster():
        with contextlib.suppress(ConnectionError):  # something else is there now
            ray.init(address, **options)
            return True
    return False


def _start_here(verbose: bool, cores: int) -> None:
    """Start a cluster, within 30 s; its processes end when the thread that has started them does, so not `_in_time`."""
    os.environ.setdefault(NICENESS, "0")
    try:
        ray.init("local", log_to_driver=verbose, num_cpus=cores, object_store_memory=OBJECT_STORE_BYTES, **OPTIONS)
    except Exception as error:
        if type(error) is not Exception:
            raise
        say = "no cluster came up on this host, which may be too busy; start one with `ray start --head`"
        raise EmopipeError(f"--on {LOCAL}: {say} ({_explained(error)})") from None  # of no kind: 30 s are over


def _join_from_outside(where: str, verbose: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says what is said by the error, too
        ray.init(where, log_to_driver=verbose, logging_level="ERROR")


def _own_cluster() -> str:
    """The address of the cluster of this host; empty where there is none."""
    folder = next((os.environ[name] for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), "/tmp")
    try:
        address = Path(folder, "ray", "ray_current_cluster").read_text().strip()  # as `ray start` leaves it
        _reach(address, "", "", "")
    except (OSError, EmopipeError):  # there is none, or none any more
        return ""
    return address


def _reach(address: str, given: str, expected: str, remedy: str) -> str:
    """The address of this host by which a cluster's head is reached; Ray itself tries for minutes, or for ever.

    Args:
        given: of `--on`, for the user, who is told what was `expected`, or the `remedy`.

    Raises:
        EmopipeError: it is not.
    """
    try:
        host, port = split_tcp(f"tcp://{address.removeprefix(CLIENT)}")
    except ValueError:
        raise EmopipeError(f"--on {given}: expected {expected}") from None
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
        return own_address_towards(host, port)
    except OSError as error:
        raise EmopipeError(f"--on {given}: cannot be reached: {error.strerror or error}; {remedy}") from None


def _explained(error: Exception) -> str:
    if isinstance(error, ray.exceptions.AuthenticationError):
        return f"the cluster has a token, and this host not the same; {TOKEN}"
    if str(error).startswith(NOT_LET_IN):
        return f"Ray's client was not let in: the head is too busy, or has a token, and this host not the same; {TOKEN}"
    if any(words in str(error) for words in NO_SERVER):
        remedy = "try again, or start the head with GRPC_ENABLE_FORK_SUPPORT=0"
        return f"the head's process for this host died, as happens where that is busy; {remedy}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "version mismatch" in str(error).lower():
        facts = ", ".join(dict.fromkeys(line for line in lines if line.startswith(("Ray:", "Python:"))))
        return f"the head runs other versions of Ray or Python than this host ({facts}); install the same on both"
    if len(lines) > 1 and lines[0].endswith(":"):  # of the head, with a traceback
        return f"{lines[0]} {lines[-1]}"
    return lines[0] if lines else type(error).__name__
