"""Hosts by name and number."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, in brackets or not, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
