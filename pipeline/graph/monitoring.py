"""Where a run can be watched from outside: the keys of `[pipeline]` for it, and what is wrong with them."""

import msgspec

from emopipe.pipeline.access.addresses import is_loopback, split_tcp
from emopipe.pipeline.access.allow_list import AllowList
from emopipe.pipeline.access.endpoint import KEYS_REMEDY, key_problems
from emopipe.pipeline.port import Invalid

EXAMPLE_METRICS = "127.0.0.1:9100"


class Monitoring(msgspec.Struct, kw_only=True, frozen=True):
    """Where a run can be watched from outside, besides its own folder; nowhere unless the graph says so.

    Attributes:
        status: for `emopipe top`: `tcp://HOST:PORT`, encrypted.
        secret_key: the file of the run's own secret key there.
        allow: who may watch there.
        metrics: for Prometheus: `HOST:PORT`, of this machine alone.
    """

    status: str | None = None
    secret_key: str = ""
    allow: AllowList = ""
    metrics: str | None = None

    @property
    def endpoints(self) -> dict[str, str]:
        """The addresses as stages have theirs, by key; of right settings."""
        given = {"status": self.status, "metrics": self.metrics and f"tcp://{self.metrics}"}
        return {key: each.replace("//localhost:", "//127.0.0.1:") for key, each in given.items() if each}

    def problems(self) -> list[Invalid]:
        """What is wrong, by key."""
        return [*self._status_problems(), *self._metrics_problems()]

    def _status_problems(self) -> list[Invalid]:
        if self.status is None:
            text = "is for the address `status`, which is missing"
            return [Invalid(key, text) for key in ("secret_key", "allow") if getattr(self, key)]
        if problem := _tcp_problem(self.status):
            return [Invalid("status", problem)]
        if not self.secret_key and not self.allow:
            return [Invalid("status", f"takes encryption and an allow-list; {KEYS_REMEDY}")]
        return key_problems(self.status, self.secret_key, self.allow)

    def _metrics_problems(self) -> list[Invalid]:
        if self.metrics is None:
            return []
        host, _, port = self.metrics.rpartition(":")
        if "/" in self.metrics or _tcp_problem(f"tcp://{self.metrics}"):
            expected = f"expected HOST:PORT, such as {EXAMPLE_METRICS}"
            return [Invalid("metrics", f"{self.metrics!r} is not an address, {expected}")]
        if not is_loopback(host):
            return [
                Invalid(
                    "metrics",
                    f"{self.metrics} can be reached from other machines, and asks nobody who they are; choose "
                    f"127.0.0.1:{port}, or let Prometheus read /metrics of a page, which has a token and TLS",
                )
            ]
        return []


def _tcp_problem(address: str) -> str | None:
    try:
        _, port = split_tcp(address)
    except ValueError as error:
        return str(error)
    return None if port else f"{address} has no port between 1 and 65535"
