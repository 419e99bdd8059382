"""Addresses to bind: their parts, whether one is this machine's alone, and what to say of one that is taken."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, in brackets or not, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


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
