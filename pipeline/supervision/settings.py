"""How a stage's process is watched, and what happens when it fails: the table `[stages.NAME.supervision]`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from emopipe.pipeline.port import Invalid, about

Restart = Literal["never", "on-failure", "always"]


class Supervision(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How one stage is watched and restarted.

    A process that holds several stages is restarted if all of them allow it, and by the strictest of their limits.
    """

    restart: Annotated[
        Restart,
        about("on-failure: after a crash or a hang · always: also after an error that the stage itself has explained"),
    ] = "on-failure"
    max_restarts: Annotated[int, about("within `restart_window`; the next failure ends the run", ge=1, le=1000)] = 3
    restart_window: Annotated[float, about("the time in which restarts are counted", unit="s", gt=0)] = 60.0
    backoff: Annotated[
        float, about("the wait before a restart; twice as long with each in the window", unit="s", ge=0, le=60)
    ] = 0.2
    warn_after: Annotated[
        float, about("a stage that is silent or busy for so long is warned about", unit="s", gt=0)
    ] = 5.0
    kill_after: Annotated[
        float, about("a stage that is silent or busy for so long counts as hung, and is killed", unit="s", gt=0)
    ] = 30.0
    max_memory: (
        Annotated[int, about("a process that takes more is killed; no limit where not set", unit="MiB", ge=1)] | None
    ) = None

    def check(self) -> list[Invalid]:
        """The problems of these settings beyond their types and ranges."""
        if self.max_memory is not None and not Path("/proc/self/statm").exists():
            return [Invalid("max_memory", "this system does not say what memory a process takes; leave it out")]
        return []


def strictest(stages: Iterable[Supervision]) -> Supervision:
    """What holds for a process with several stages."""
    each = list(stages)
    order: list[Restart] = ["never", "on-failure", "always"]
    return Supervision(
        restart=min((one.restart for one in each), key=order.index),
        max_restarts=min(one.max_restarts for one in each),
        restart_window=max(one.restart_window for one in each),
        backoff=max(one.backoff for one in each),
        warn_after=min(one.warn_after for one in each),
        kill_after=min(one.kill_after for one in each),
        max_memory=min((one.max_memory for one in each if one.max_memory is not None), default=None),
    )
