"""How fast recordings are replayed in several shards, on this host with and without a Ray cluster.

    python -m benchmarks.studies.cluster.shards clip.mp4 [--shards 1 2 4] [--recordings 4] [--seconds 12] [--json FILE]

The default graph plays `--recordings` recordings, the clip under other names and looped to `--seconds`, in each number
of shards, as fast as it can. The cluster is of this host alone: it gains nothing, and what it costs is seen. Results
must be the same bytes in all.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import add_clip_argument, add_layout_argument, add_rounds_argument, at_least, read_clip
from benchmarks.conditions import Conditions
from benchmarks.figures import table, write_json
from benchmarks.outcome import spread
from benchmarks.studies.cluster.head import Head
from benchmarks.studies.cluster.playing import Played, play
from emopipe.arguments.cluster import need_ray
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable

WRONG = 1  # the exit code where results were not the same bytes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_clip_argument(parser, 12.0, "s of each recording, looped")
    add_rounds_argument(parser, 1)
    parser.add_argument("--shards", type=at_least(1), nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--recordings", type=at_least(1), default=4, metavar="N")
    add_layout_argument(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    given = parser.parse_args(arguments)
    runs: dict[tuple[int, str], list[Played]] = {}
    try:
        need_ray()
        clip = read_clip(given.clip)
        with Conditions() as conditions:
            pass  # what runs on the cluster is no child of ours, so that nobody can tell it from others
        conditions.others = math.nan
        with Head() as head, TemporaryDirectory(prefix="study-") as folder:
            recordings = [Path(folder, f"{number}{clip.path.suffix}") for number in range(given.recordings)]
            for path in recordings:
                path.symlink_to(clip.path.resolve())
            settings = {"stages.capture.realtime": "false", "stages.capture.loop": clip.times(given.seconds)}
            if given.layout is not None:
                settings["pipeline.layout"] = f'"{given.layout}"'
            for _ in range(given.rounds):
                for shards in given.shards:
                    for name, cluster in (("this host", None), ("Ray", head.environment)):
                        run = play(recordings, settings | {"pipeline.shards": shards}, cluster)
                        runs.setdefault((shards, name), []).append(run)
    except EmopipeError as error:
        print(f"shards: {readable(error)}", file=sys.stderr)
        return error.exit_code
    rows: list[dict[str, object]] = []
    for (shards, name), played in runs.items():
        rounds = [
            {"frames/s": each.frames / each.seconds, "CPU ms a frame": 1000 * each.cpu / each.frames} for each in played
        ]
        medians = {key: median for key, (median, _, _) in spread(rounds).items()}
        rows.append({"shards": shards, "on": name, **medians})
    same = len({each.digest for played in runs.values() for each in played}) == 1
    seconds = clip.times(given.seconds) * clip.seconds
    print(f"{given.recordings} recordings of {seconds:.1f} s: {clip}\n{conditions.line}\n")
    print(f"{table(rows)}\n\nsame bytes: {same}")
    print(*conditions.warnings, sep="\n", file=sys.stderr)
    everything = [
        {"shards": shards, "on": name, **each._asdict()} for (shards, name), all_ in runs.items() for each in all_
    ]
    write_json(given.json, {"rows": rows, "runs": everything, "same": same} | conditions.as_dict())
    return 0 if same else WRONG


if __name__ == "__main__":
    sys.exit(main())
