"""Other hosts, made of network namespaces: each has an address of its own, and a cable to this one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

OWN_ADDRESS = "10.78.{}.1"
THEIR_ADDRESS = "10.78.{}.2"


def can_isolate() -> bool:
    """Whether this user may make network namespaces."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0


def isolated(command: Sequence[str]) -> list[str]:
    """A command that runs `command` in a network of its own, with loopback alone, where it may make `Host`s."""
    return [*_unshare(), "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


class Host:
    """Another host; a context manager, to be used in a process that runs `isolated`.

    Attributes:
        own_address: this host's, as the other one reaches it.
        address: the other host's.
    """

    def __init__(self, number: int = 0) -> None:
        self.own_address, self.address = OWN_ADDRESS.format(number), THEIR_ADDRESS.format(number)
        self._name = f"cable{number}"
        self._holder: subprocess.Popen[str]

    def __enter__(self) -> "Host":
        wait = "echo ready; exec cat"  # until standard input is closed, by whatever end we come to
        command = ["unshare", "--net", "sh", "-c", f"ip link set lo up && {wait}"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        near, far = self._name, f"{self._name}far"
        _ip("link", "add", near, "type", "veth", "peer", "name", far)
        _ip("link", "set", far, "netns", str(self._holder.pid))
        _ip("addr", "add", f"{self.own_address}/24", "dev", near)
        _ip("link", "set", near, "up")
        for arguments in (["addr", "add", f"{self.address}/24", "dev", far], ["link", "set", far, "up"]):
            subprocess.run([*self.enter(), "ip", *arguments], check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._holder.communicate()

    def enter(self) -> list[str]:
        """How a command line begins that is to run there."""
        return ["nsenter", "--target", str(self._holder.pid), "--net"]

    def python(self, module: str, *arguments: str) -> list[str]:
        """The command line that runs a module there."""
        return [*self.enter(), sys.executable, "-m", module, *arguments]


def _unshare() -> list[str]:
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
