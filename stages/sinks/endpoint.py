"""Where results are published: what is wrong with an address."""

import socket
from pathlib import Path

import zmq

from emopipe.pipeline.access.addresses import in_use, is_loopback, split_tcp
from emopipe.pipeline.access.endpoint import KEYS_REMEDY


def endpoint_problem(endpoint: str, *, keys: bool = False) -> str | None:
    """Why results cannot be published at `endpoint`, as a sentence for the user; None where they can.

    With `keys` an address may be one that other machines reach.
    """
    scheme, _, address = endpoint.partition("://")
    if scheme == "ipc":
        path = ipc_path(endpoint)
        if address in ("", "*", "@"):
            return f"{endpoint} names no path, expected one such as ipc:///tmp/emotions.ipc"
        if path and not path.parent.is_dir():
            return f"{endpoint}: the directory {path.parent} does not exist; create it, or choose another path"
        if len(address.encode()) > zmq.IPC_PATH_MAX_LEN:
            return f"{endpoint}: the path is longer than the {zmq.IPC_PATH_MAX_LEN} bytes a socket's may have"
        return None
    if scheme != "tcp":
        return f"{endpoint!r} is not an address, expected tcp://127.0.0.1:PORT or ipc://PATH"
    try:
        host, port = split_tcp(endpoint)
    except ValueError:
        port = 0
    if not port:
        return f"{endpoint} has no port between 1 and 65535, expected an address such as tcp://127.0.0.1:5560"
    if not keys and not is_loopback(host):
        return (
            f"{endpoint} can be reached from other machines, which takes encryption and an allow-list; {KEYS_REMEDY}, "
            f"or choose a loopback address such as tcp://127.0.0.1:{port}"
        )
    return None


def in_use_problem(endpoint: str) -> str | None:
    """Why an ipc path is not free: ZeroMQ itself would take it away from its owner without a word."""
    path = ipc_path(endpoint)
    if path is None or not path.exists():
        return None
    if not path.is_socket():
        return f"{endpoint}: {path} exists and is not a socket; choose another path"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None  # left behind by a run that was killed
    return in_use(endpoint)


def ipc_path(endpoint: str) -> Path | None:
    """The file of an ipc endpoint; None for any other, Linux' abstract names (`ipc://@name`) included."""
    scheme, _, address = endpoint.partition("://")
    return Path(address) if scheme == "ipc" and not address.startswith("@") else None
