"""Addresses to bind: whether one is this machine's alone, and what to say of one that is taken."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, in brackets or not, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def in_use(address: str) -> str:
    """What to tell a user whose address another program has bound."""
    return f"{address} is in use; stop the program that has bound it (another run, perhaps), or choose another address"
