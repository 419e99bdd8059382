"""Lab Streaming Layer (LSL) as a library: pylsl with liblsl, and LSL's clock beside ours."""

import contextlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.lab.extra import extra_problem

CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
"""Where liblsl looks for the user's own settings of it, after the file that `LSLAPICFG` names."""

QUIET = "[log]\nlevel = -3\n"  # what matters we say ourselves; by itself liblsl tells of each socket
CLOCK_PROBES = 50


def load() -> Any:
    """The module `pylsl`.

    Raises:
        EmopipeError: it is not installed, or finds no liblsl.
    """
    if problem := extra_problem("pylsl"):
        raise EmopipeError(f"LSL {problem}")
    try:
        pylsl = importlib.import_module("pylsl")
    except (RuntimeError, OSError) as error:
        said = str(error).strip().splitlines()[0]
        raise EmopipeError(
            f"LSL needs liblsl, which pylsl does not find or cannot load here ({said}); its wheel for x86-64 has it "
            "from glibc 2.35 on, conda-forge has it as liblsl; or name a liblsl.so with PYLSL_LIB"
        ) from None
    if "LSLAPICFG" not in os.environ and not any(Path(each).expanduser().is_file() for each in CONFIGURATIONS):
        with contextlib.suppress(NotImplementedError):  # of liblsl before 1.17.7, which says more
            pylsl.set_config_content(QUIET)
    return pylsl


def clock_offset(local_clock: Callable[[], float], now: Callable[[], int]) -> int:
    """LSL's clock − ours (ns), where both are read in turn; 0 where they cannot be told apart, as on Linux.

    Args:
        local_clock: LSL's (s).
        now: ours (ns).
    """
    found = []
    for _ in range(CLOCK_PROBES):
        before, theirs, after = now(), round(local_clock() * SECOND), now()
        found.append((after - before, theirs - (before + after) // 2))
    width, offset = min(found, key=lambda probe: probe[0])
    return 0 if abs(offset) <= max(width, 1000) else offset
