"""What the messages of a run took from stage to stage, by its trace (`emopipe run --trace`), and how sure that is."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from emopipe.pipeline.errors import EmopipeError

ROUNDED_MS = 0.002  # a slice lasts 1 µs at least, and times are written in µs


class Transit(NamedTuple):
    """A message on its way from one stage to the next.

    Attributes:
        output: that sent it (`stage.output`).
        ms: from when it was sent to when it arrived; below 0, by the clocks of both hosts, where it came first.
        error: by how much (ms) these clocks may differ.
    """

    output: str
    ms: float
    error: float

    @property
    def possible(self) -> bool:
        """Whether it may have arrived after it was sent."""
        return self.ms >= -self.error - ROUNDED_MS


def transits(events: Sequence[Mapping[str, Any]], errors: Mapping[str, float]) -> list[Transit]:
    """All that a trace holds.

    Args:
        errors: of the clock of each process (ms), as `--json` has them.

    Raises:
        EmopipeError: a message was taken of which nobody says that it was sent: the trace has lost events.
    """
    processes = {e["pid"]: e["args"]["name"].partition(" (clock")[0] for e in events if e["name"] == "process_name"}
    tracks = {(e["pid"], e["tid"]): e["args"]["name"].split()[1] for e in events if e["name"] == "thread_name"}
    taken: list[tuple[Mapping[str, Any], float]] = []
    sent: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for event, inner in zip(events, [*events[1:], {}], strict=True):
        if event["ph"] != "X" or "args" not in event:
            continue
        if tracks[event["pid"], event["tid"]] == "sends":
            sent[_message(event)] = event
        else:
            waited = inner["dur"] if inner.get("name") == "queued" and "args" not in inner else 0.0
            taken.append((event, waited))
    found = []
    for event, waited in taken:
        origin = sent.get(_message(event))
        if origin is None:
            raise EmopipeError(
                f"trace: {event['args']['output']} is not said to have sent message {event['args']['seq']} of "
                f"{event['name']}, which was taken: events were lost; play a shorter recording, or with less beside it"
            )
        early = min(event["ts"] - origin["ts"] - origin["dur"], 0.0)  # taken slices begin when sent, or on arrival
        here, there = (processes[each["pid"]] for each in (origin, event))
        error = errors[here] + errors[there] if here != there else 0.0
        found.append(Transit(event["args"]["output"], (waited or early) / 1000, error))
    return found


def _message(event: Mapping[str, Any]) -> tuple[object, ...]:
    return event["name"], event["args"]["seq"], event["args"]["pts_ms"], event["args"]["output"]
