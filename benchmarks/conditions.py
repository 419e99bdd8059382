"""The conditions of a measurement: the machine, the versions, and what else it was doing.

with Conditions() as conditions:
    ...
print(conditions.line, *conditions.warnings, sep="\n")
"""

import importlib.metadata
import math
import os
import platform
import time
from pathlib import Path
from typing import Any

from emopipe.pipeline.graph.process_layout import cores

VERSIONS = ("emopipe", "torch", "onnxruntime", "mediapipe", "av", "numpy", "pyzmq")
MAX_OTHERS_SHARE = 0.05  # of all cores, that others may use before a measurement is doubted
LOOK_S = 0.5  # before the measurement begins
_STAT = Path("/proc/stat")


class Conditions:
    """What held while something was measured; a context manager around the measurement, whose processes it waits for.

    Attributes:
        before: the share of all cores that was in use just before; nan where that cannot be known.
        others: the share that others used meanwhile, likewise; what the measured processes used is left out.
    """

    def __init__(self) -> None:
        self.before = self.others = math.nan

    def __enter__(self) -> "Conditions":
        began = _used()
        time.sleep(LOOK_S)
        self.before = _share(_used() - began, LOOK_S)
        self._began, self._own, self._used = time.monotonic(), _own(), _used()
        return self

    def __exit__(self, *_: object) -> None:
        used, own = _used() - self._used, _own() - self._own
        self.others = _share(max(used - own, 0.0), time.monotonic() - self._began)

    @property
    def versions(self) -> dict[str, str]:
        found = {"python": platform.python_version()}
        for name in VERSIONS:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # what is not there has no part in it
        return found

    @property
    def line(self) -> str:
        """The machine, its load and the versions, in one line."""
        busy = ", ".join(
            f"{_percent(share)} in use {when}"
            for share, when in ((self.before, "before"), (self.others, "by others meanwhile"))
            if not math.isnan(share)
        )
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{cores()} cores, {platform.machine()}, {busy or 'load unknown'}; {versions}"

    @property
    def warnings(self) -> list[str]:
        """Why the figures are to be doubted."""
        found = []
        if self.before > MAX_OTHERS_SHARE:
            found.append(f"{_percent(self.before)} of all cores were busy before: repeat it on a quiet machine")
        if self.others > MAX_OTHERS_SHARE:
            found.append(f"others used {_percent(self.others)} of all cores meanwhile: repeat it on a quiet machine")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "machine": {"cores": cores(), "architecture": platform.machine(), "system": platform.platform()},
            "versions": self.versions,
            "load": {"before": self.before, "others": self.others},
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "warnings": self.warnings,
        }


def _used() -> float:
    """Seconds that all cores have worked since the machine was started; nan where nobody counts them."""
    try:
        fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return math.nan
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Seconds that this process and those that it has waited for have worked."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _share(seconds: float, of: float) -> float:
    return min(seconds / of / (os.cpu_count() or 1), 1.0)  # in this order nan stays what it is


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
