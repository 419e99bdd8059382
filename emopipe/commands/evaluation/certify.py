"""Measure how long light and sound take to their result, and how far their time stamps are off, with error bars.

A face appears and a voice begins, again and again, at moments that are known; a graph takes them in as it takes a
network camera, through decoder, models and all. What a real camera and microphone add before their picture or sound
reaches this machine is not in the figures.
"""

import argparse
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from emopipe.arguments.outputs import need_writable, write_json
from emopipe.arguments.playing import play
from emopipe.certificate.figures import MIN_TRIALS, certificate
from emopipe.certificate.observer import Observation
from emopipe.certificate.stimuli import CONNECT_S, Stimuli, wait_until
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.load import graph_from_table, overridden, read_table

HELP = "measure light and sound to result, with error bars"
TRIALS = 15
LOAD_S = 300.0  # that a graph may take until it plays
OBSERVER = "emopipe.certificate.observer:Observer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "graph",
        nargs="?",
        type=Path,
        default=Path("rtsp"),
        help="the graph: a file, or the name of one that comes with emopipe; with one network-capture (default: rtsp)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="another value, as of run"
    )
    parser.add_argument(
        "--trials", type=int, default=TRIALS, metavar="N", help=f"how many stimuli, 5 s each (default: {TRIALS})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def main(arguments: argparse.Namespace) -> int:
    if arguments.trials < MIN_TRIALS:
        raise EmopipeError(f"--trials {arguments.trials}: error bars take {MIN_TRIALS} at least")
    if arguments.json is not None:
        need_writable(arguments.json, "--json")
    path = find_graph(arguments.graph)
    table = overridden(read_table(path), path, arguments.overrides)
    with run_folder() as folder, Stimuli(arguments.trials) as stimuli:
        observed = folder / "observed.jsonl"
        graph = graph_from_table(certified_table(table, str(path), stimuli.address, observed), path)
        print(f"emopipe: {arguments.trials} stimuli, {stimuli.seconds:.0f} s", file=sys.stderr)
        over = threading.Event()
        beginner = threading.Thread(target=_begin, args=(stimuli, observed, over))
        stimuli.start()
        beginner.start()
        try:
            play(graph, bar=False, verbose=False, state=folder)
        finally:
            over.set()
            beginner.join()
        decoder = msgspec.json.Decoder(Observation)
        observations = [decoder.decode(line) for line in observed.read_bytes().splitlines()]
    if stimuli.problem is not None or not stimuli.moments:
        raise StageFailed(f"the stimuli broke off ({stimuli.problem}); is the graph too slow for this machine?")
    made = certificate(stimuli.moments, observations)

    from emopipe.tables.certificate import print_certificate

    print_certificate(made, f"{graph.name}: {made.trials} stimuli")
    if arguments.json is not None:
        write_json(arguments.json, {"graph": str(path), **msgspec.to_builtins(made)}, "--json")
    found = (made.light_stamp, made.sound_stamp, made.light_result, made.sound_result)
    return 0 if all(each is not None for each in found) else StageFailed.exit_code


def certified_table(table: dict[str, Any], path: str, address: str, observed: Path) -> dict[str, Any]:
    """The graph that takes the stimuli at `address`, and whose one sink writes what it observes.

    Raises:
        EmopipeError: it has not one network-capture, or not one stage of fusion.
    """
    stages: dict[str, Any] = table.get("stages", {})
    ends = {}
    for use in ("network-capture", "fusion"):
        named = [name for name, stage in stages.items() if stage.get("use") == use]
        if len(named) != 1:
            raise EmopipeError(f"{path}: expected one stage {use}, found {len(named)}; a graph to begin with is rtsp")
        ends[use] = named[0]
    capture, fusion = ends["network-capture"], ends["fusion"]
    fed = {each.partition(".")[0] for stage in stages.values() for each in _senders(stage)}
    kept = {name: dict(stage) for name, stage in stages.items() if name in fed or name == fusion}
    kept[capture] |= {"uri": address, "format": "nut", "reconnect": 0.0, "timeout": CONNECT_S}
    inputs = {"video": f"{capture}.video", "audio": f"{capture}.audio", "emotions": f"{fusion}.emotions"}
    queue = {name: {"size": 256} for name in inputs}
    kept["observer"] = {"use": OBSERVER, "inputs": inputs, "path": str(observed), "queue": queue}
    process = kept[fusion].get("process")
    if process is not None:
        kept["observer"]["process"] = process
    return {**table, "stages": kept}


def _senders(stage: dict[str, Any]) -> list[str]:
    inputs = stage.get("inputs", {}).values()
    return [sender for given in inputs for sender in (given if isinstance(given, list) else [given])]


def _begin(stimuli: Stimuli, observed: Path, over: threading.Event) -> None:
    """Begin with the stimuli once the graph sees."""
    if wait_until(lambda: observed.is_file() and observed.stat().st_size > 0, over, LOAD_S):
        stimuli.begin()
