"""Addresses for servers of tests."""

import socket


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of the loopback interface that is free."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_endpoint() -> str:
    """`http://127.0.0.1:PORT` with a port that is free."""
    return f"http://127.0.0.1:{free_port()}"
