"""Addresses for servers of tests."""

import socket


def free_endpoint() -> str:
    """`http://127.0.0.1:PORT` with a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
