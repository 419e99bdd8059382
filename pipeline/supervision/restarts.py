"""Whether a process that has failed is started again, and after which wait."""

from collections import deque

import msgspec

from emopipe.pipeline.supervision.settings import Supervision


class Failure(Exception):
    """A process has failed.

    Attributes:
        process: its name.
        who: which stages, as the user is told.
        reason: what happened.
        detail: the traceback or the stacks of its threads, if there are any.
        explained: whether the stage said by itself what is wrong, as when a disk is full: that is not an accident.
        repeats: whether it may come again from the same input: an exception may, a kill from outside does not.
        exit_code: of the command, if it ends the run.
    """

    def __init__(
        self,
        process: str,
        who: str,
        reason: str,
        *,
        detail: str = "",
        explained: bool = False,
        repeats: bool = False,
        exit_code: int = 1,
    ) -> None:
        self.process = process
        self.who = who
        self.reason = reason
        self.detail = detail
        self.explained = explained
        self.repeats = repeats
        self.exit_code = exit_code
        super().__init__(f"{who}: {reason}")


class Restart(msgspec.Struct, kw_only=True):
    """A restart that has been made.

    Attributes:
        stages: of the process that had failed.
        reason: what happened to it.
        failed: when (monotonic ns).
        at: the same, in s since the run began to play; 0 where it had not.
        seconds: until play went on; None where it never did.
    """

    stages: list[str]
    reason: str
    failed: int
    at: float = 0.0
    seconds: float | None = None


class RestartPolicy:
    """Counts the restarts of one process."""

    def __init__(self, settings: Supervision) -> None:
        self._settings = settings
        self._times: deque[float] = deque()  # of the restarts in the window
        self._repeating = ""  # the last failure, if it was one that repeats
        self.refusal = ""
        """Why the last failure is followed by no restart; empty where the policy is `never`."""

    def wait(self, failure: Failure, now: float, *, playing: bool) -> float | None:
        """The wait (s) before the process is restarted at `now` (s); None where it is not.

        `playing`: it had been set up, and played. What a stage has explained before is for the user to mend.
        """
        settings = self._settings
        self.refusal = ""
        if settings.restart == "never":
            return None
        if failure.explained and (settings.restart != "always" or not playing):
            return None
        if failure.repeats and str(failure) == self._repeating:
            self.refusal = "the same came again after a restart"
            return None
        self._repeating = str(failure) if failure.repeats else ""
        while self._times and self._times[0] <= now - settings.restart_window:
            self._times.popleft()
        if len(self._times) >= settings.max_restarts:
            self.refusal = f"it has been restarted {len(self._times)} times in {settings.restart_window:g} s"
            return None
        self._times.append(now)
        return float(settings.backoff * 2 ** (len(self._times) - 1))
