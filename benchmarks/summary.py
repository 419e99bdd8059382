"""The figures of a folder of measurements as the tables of docs/performance.md.

    python -m benchmarks.summary runs/bench

The folder holds what `make bench` writes: VERB.json of each verb; what is not there is left out. Exit code 2 where
there is nothing.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import table
from benchmarks.verbs import VERBS


class Target(NamedTuple):
    """A figure of one verb, and what it is to reach."""

    verb: str
    figure: str
    label: str
    target: str
    unit: str = ""


TARGETS = (
    Target("replay", "pipeline_over_limit", "replay ÷ limit, a process a stage", "≥ 0.80"),
    Target("replay", "auto_over_limit", "replay ÷ limit, layout chosen for the cores", "≥ 0.88"),
    Target("replay", "auto_cpu_over_bare", "CPU a frame ÷ bare loop, that layout", "≤ 1.12"),
    Target("latency", "p50_over_kernels", "p50 at the recording's pace ÷ kernels", "≤ 1.4"),
    Target("latency", "p99_over_p50", "p99 ÷ p50", "≤ 2.5"),
    Target("startup", "first_result_s", "first result of a replay", "≤ 2", "s"),
    Target("startup", "live_ready_s", "live graph ready", "≤ 3", "s"),
    Target("memory", "pss_mb", "memory of a replay, all processes (PSS)", "≤ 600", "MB"),
    Target("live", "cpu_growth", "CPU a result, most streams ÷ fewest", "≤ 0.75"),
    Target("batching", "stage_over_bare_64", "faces/s in batches of 64 ÷ bare loop", "≥ 0.9"),
    Target("peers", "ours_over_fer", "frames/s ÷ fer's", "≥ 12"),
)
LIVE = ("results_per_s", "dropped", "evenness", "p50_ms", "p95_ms", "oldest_ms", "cpu_ms_a_result")


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The measurements in a folder, by verb."""
    files = {verb: folder / f"{verb}.json" for verb in VERBS}
    return {verb: json.loads(file.read_text(encoding="utf-8")) for verb, file in files.items() if file.is_file()}


def sections(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[Mapping[str, object]]]]:
    """Each table with its title."""
    yield (
        "Against what is to be reached",
        [_row(target, found[target.verb]) for target in TARGETS if target.verb in found],
    )
    if "replay" in found:
        stages = found["replay"]["stage_cpu_ms"]
        rows = [{"stage": name, "CPU ms a frame": ms} for name, ms in sorted(stages.items(), key=lambda pair: -pair[1])]
        yield "Where the time goes: CPU a frame, with a process a stage", rows
    if "latency" in found:
        yield "Where the time goes: on the way to the sink, ms", found["latency"]["hops_ms"]
    if "live" in found:
        streams = found["live"]["streams"].items()
        yield (
            "How cost grows with streams",
            [{"streams": number} | {key: of[key] for key in LIVE} for number, of in streams],
        )
    if "transport" in found:
        yield "A hop", found["transport"]["hops"]


def _row(target: Target, found: Mapping[str, Any]) -> dict[str, object]:
    # What was taken once has no spread.
    median, low, high = found.get("spread", {}).get(target.figure, [found[target.figure]] * 3)
    unit = f" {target.unit}" if target.unit else ""
    return {
        "figure": target.label,
        "measured": f"{_text(median)}{unit}",
        "spread": f"{_text(low)} – {_text(high)}",
        "to reach": f"{target.target}{unit}",
    }


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = read(folder)
    if not found:
        print(f"{folder}: no measurements there; `make bench CLIP=clip.mp4` makes them", file=sys.stderr)
        return 2
    first = next(iter(found.values()))
    machine, versions = first["machine"], first["versions"]
    print(f"{first['date'][:10]}, {machine['cores']} cores, {machine['architecture']}, ", end="")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    for verb, measured in found.items():
        for warning in measured["warnings"]:
            print(f"\n**{verb}: {warning}**")
    for title, rows in sections(found):
        print(f"\n**{title}**\n\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
