"""What a Ray cluster costs a graph: processor time, delay and start-up, beside the same graph without one.

    python -m benchmarks.studies.cluster.cost clip.mp4 [--seconds 12] [--rounds 3] [--json FILE]

The cluster is of this host alone. In turn, without it and on it, the recording is replayed as fast as it can, looped to
about `--seconds`, and once at its own pace; each is a command of its own, from its start to its end. A process has one
stage, so that all but the sink are actors. Processor time is that of all processes with stages while they play; that
of Ray's own processes (raylet, GCS, agents) stands beside it, from the command's start to its end. At last a run starts
a cluster by itself.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import Clip, add_clip_argument, add_rounds_argument, read_clip
from benchmarks.conditions import Conditions
from benchmarks.figures import table, write_json
from benchmarks.outcome import spread
from benchmarks.studies.cluster.head import Head
from benchmarks.studies.cluster.playing import Played, play
from emopipe.arguments.cluster import need_ray
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable

NO_CLUSTER, CLUSTER = "this host", "Ray"
WRONG = 1  # the exit code where results were not the same bytes

Row = dict[str, float]


def measure(clip: Clip, seconds: float, cluster: Head | None) -> tuple[Row, list[Played]]:
    """One round of one of the two."""
    environment = cluster.environment if cluster is not None else None
    layout = {"pipeline.layout": '"stages"', "stages.capture.realtime": "false"}
    before = cluster.cpu() if cluster is not None else 0.0
    fast = play([clip.path], layout | {"stages.capture.loop": clip.times(seconds)}, environment)
    ray = cluster.cpu() - before if cluster is not None else 0.0
    paced = play([clip.path], layout | {"stages.capture.realtime": "true"}, environment)
    row = {
        "CPU ms a frame": 1000 * fast.cpu / fast.frames,
        "frames/s": fast.frames / fast.seconds,
        "p50 ms": paced.age,
        "first result s": fast.first,
        "Ray's own CPU s": ray,
        "Ray's own, % of a core": 100 * ray / fast.wall,
    }
    return row, [fast, paced]


def compare(rounds: Sequence[Mapping[str, Row]]) -> Row:
    """By how much the cluster is above the same without it; the medians of all rounds."""
    differences = [
        {
            "CPU %": 100 * (each[CLUSTER]["CPU ms a frame"] / each[NO_CLUSTER]["CPU ms a frame"] - 1),
            "p50 ms": each[CLUSTER]["p50 ms"] - each[NO_CLUSTER]["p50 ms"],
            "first result s": each[CLUSTER]["first result s"] - each[NO_CLUSTER]["first result s"],
        }
        for each in rounds
    ]
    return {name: median for name, (median, _, _) in spread(differences).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_clip_argument(parser, 12.0, "s of recording, looped")
    add_rounds_argument(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    given = parser.parse_args(arguments)
    try:
        need_ray()
        clip = read_clip(given.clip)
        clip = clip._replace(path=clip.path.resolve())
        with Conditions() as conditions:
            pass  # what runs on the cluster is no child of ours, so that nobody can tell it from others
        conditions.others = math.nan
        rounds: list[dict[str, Row]] = []
        runs: list[Played] = []
        with Head() as head:
            for _ in range(given.rounds):
                pair = {}
                for name, cluster in ((NO_CLUSTER, None), (CLUSTER, head)):
                    pair[name], played = measure(clip, given.seconds, cluster)
                    runs += played
                rounds.append(pair)
        with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
            own = play([clip.path], {"pipeline.layout": '"stages"'}, {"RAY_TMPDIR": folder, "RAY_ADDRESS": ""})
    except EmopipeError as error:
        print(f"cost: {readable(error)}", file=sys.stderr)
        return error.exit_code
    same = len({run.digest for run in runs[::2]}) == len({run.digest for run in [own, *runs[1::2]]}) == 1
    found = {name: spread([each[name] for each in rounds]) for name in (NO_CLUSTER, CLUSTER)}
    more = compare(rounds)
    print(f"{clip}, rounds: {given.rounds}\n{conditions.line}\n")
    print(table([{"": name, **{key: low[0] for key, low in row.items()}} for name, row in found.items()]))
    start = f"{more['first result s']:+.1f} s until the first result"
    print(f"\nRay costs {more['CPU %']:+.1f} % CPU, {more['p50 ms']:+.1f} ms p50, {start}")
    print(f"first result of a run that starts a cluster: {own.first:.1f} s; same bytes: {same}")
    print(*conditions.warnings, sep="\n", file=sys.stderr)
    write_json(
        given.json,
        {"rounds": rounds, "spread": found, "more": more, "own_cluster_first_result_s": own.first, "same": same}
        | conditions.as_dict(),
    )
    return 0 if same else WRONG


if __name__ == "__main__":
    sys.exit(main())
