"""Addresses to bind: their parts, whether one is this machine's alone, and what to say of one that is taken."""

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, in brackets or not, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether an address stands for all of this machine's: others cannot connect to it."""
    try:
        return host == "*" or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def own_address_towards(host: str, port: int) -> str:
    """The address of this machine by which `host` is reached, and reaches it; nothing is sent.

    Raises:
        OSError: there is no way to it.
    """
    family, kind, protocol, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(at)
        return str(probe.getsockname()[0])


def tcp_address(host: str, port: int | str = "*") -> str:
    """`tcp://HOST:PORT`, by default at a port that is free."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def split_tcp(address: str) -> tuple[str, int]:
    """Host and port of `tcp://HOST:PORT`; port `*`, which is one that is free, is 0.

    Raises:
        ValueError: it is no such address; with a sentence for the user.
    """
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if scheme != "tcp" or not host:
        raise ValueError(f"{address!r} is not an address, expected one such as tcp://127.0.0.1:5560")
    if port == "*":
        return host, 0
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"{address} has no port between 1 and 65535, expected an address such as tcp://{host}:5560")
    return host, int(port)


def in_use(address: str) -> str:
    """What to tell a user whose address another program has bound."""
    return f"{address} is in use; stop the program that has bound it (another run, perhaps), or choose another address"
