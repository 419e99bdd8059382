"""Who asks: a request's address, as limits by address count it."""

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_HEADERS = ("Forwarded", "X-Forwarded-For", "Via")  # of whoever passes on what others ask


class Caller(NamedTuple):
    """Where a request comes from.

    Attributes:
        address: None behind a proxy, which alone knows it.
    """

    address: Address | None

    @classmethod
    def of(cls, request: "web.Request") -> "Caller":
        """The caller of a request."""
        if request.remote is None or any(header in request.headers for header in FORWARDED_HEADERS):
            return cls(None)
        return cls(plain_address(request.remote))

    @property
    def network(self) -> str | None:
        """What limits count together: an IPv4 address, or the 64 bits of an IPv6 one that a site has to itself.

        None for this machine, on which a proxy or a tunnel may stand for anybody.
        """
        if self.address is None or self.address.is_loopback:
            return None
        if self.address.version == 4:
            return str(self.address)
        return str(ipaddress.ip_network((self.address, 64), strict=False))


def plain_address(text: str) -> Address | None:
    """An IP address without its zone, an IPv4 one written as IPv6 as what it is; None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address
