"""Whom limits by address count together."""

from types import SimpleNamespace
from typing import Any

import pytest

from emopipe.stages.web.callers import Caller


@pytest.mark.parametrize(
    ("remote", "headers", "network"),
    [
        ("198.51.100.7", {}, "198.51.100.7"),
        ("::ffff:198.51.100.7", {}, "198.51.100.7"),
        ("2001:db8:1:2:3::4", {}, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", {}, "fe80::/64"),
        ("127.0.0.1", {}, None),
        ("198.51.100.7", {"X-Forwarded-For": "203.0.113.1"}, None),
        (None, {}, None),
    ],
)
def test_what_counts_as_one_address(remote: str | None, headers: dict[str, str], network: str | None) -> None:
    request: Any = SimpleNamespace(remote=remote, headers=headers)
    assert Caller.of(request).network == network
