"""What a trace in Chrome's format must keep to, for a viewer to show it as it is meant."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The events of a trace, which is valid JSON."""
    events: list[dict[str, Any]] = json.loads(path.read_text())
    return events


def slices(events: list[dict[str, Any]], name: str | None = None) -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == "X" and name in (None, event["name"])]


def track_names(events: list[dict[str, Any]]) -> dict[int, str]:
    return {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}


def assert_well_formed(events: list[dict[str, Any]]) -> None:
    """Slices of a track nest, and come in order; arrows lead from a slice to a slice, and not back in time."""
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in slices(events):
        begin = round(event["ts"] * 1000)
        tracks[event["pid"], event["tid"]].append((begin, begin + round(event["dur"] * 1000)))
    names = track_names(events)
    for (process, track), spans in tracks.items():
        assert track in names
        assert any(e["name"] == "process_name" and e["pid"] == process for e in events)
        open_: list[tuple[int, int]] = []
        for begin, end in spans:  # in the file's order
            assert end > begin
            while open_ and open_[-1][1] <= begin:
                open_.pop()
            assert not open_ or (open_[-1][0] <= begin and end <= open_[-1][1]), f"{names[track]}: slices overlap"
            open_.append((begin, end))
        assert [begin for begin, _ in spans] == sorted(begin for begin, _ in spans)
    arrows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            arrows[event["id"]].append(event)
            at = round(event["ts"] * 1000)
            assert any(begin <= at < end for begin, end in tracks[event["pid"], event["tid"]]), "an arrow to nowhere"
    for ends in arrows.values():
        assert [end["ph"] for end in ends] == ["s", "f"]
        assert ends[0]["ts"] <= ends[1]["ts"]
