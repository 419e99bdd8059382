"""Measure how long light and sound take to their result, and how far their time stamps are off, with error bars.

A face appears and a voice begins, again and again, at moments that are known; a graph takes them in, through decoder,
models and all: as a network camera would send them, or, with --screen, by its own camera and microphone, before which a
page in a browser shows and says them.
"""

import argparse
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from emopipe.arguments.outputs import need_writable, write_json
from emopipe.arguments.playing import play
from emopipe.certificate.figures import MIN_TRIALS, Certificate, certificate
from emopipe.certificate.observer import Observation
from emopipe.certificate.screen import EXAMPLE, Screen
from emopipe.certificate.stimuli import CONNECT_S, Stimuli, wait_until
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.clock import MS
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
        help="the graph: a file, or the name of one that comes with emopipe (default: rtsp; with --screen: webcam)",
    )
    parser.add_argument(
        "--screen",
        nargs="?",
        const=EXAMPLE,
        metavar="ADDRESS",
        help=f"show them on a page at http://HOST:PORT to the graph's own camera and microphone (default: {EXAMPLE})",
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
    screen = arguments.screen
    path = find_graph(arguments.graph or Path("rtsp" if screen is None else "webcam"))
    table = overridden(read_table(path), path, arguments.overrides)
    with (
        run_folder() as folder,
        Stimuli(arguments.trials) if screen is None else Screen(arguments.trials, screen) as stimuli,
    ):
        observed = folder / "observed.jsonl"
        address = stimuli.address if screen is None else None
        graph = graph_from_table(certified_table(table, str(path), observed, address), path)
        print(f"emopipe: {arguments.trials} stimuli, {stimuli.seconds:.0f} s", file=sys.stderr)
        over = threading.Event()
        beginner = threading.Thread(target=_begin, args=(stimuli, observed, over))
        stimuli.start()
        if screen is not None:
            print(f"emopipe: open {screen} on the screen that the camera sees, and press Begin", file=sys.stderr)
        beginner.start()
        try:
            play(graph, bar=False, verbose=False, state=folder, ended=stimuli.ended.is_set)
        finally:
            over.set()
            beginner.join()
        decoder = msgspec.json.Decoder(Observation)
        observations = [decoder.decode(line) for line in observed.read_bytes().splitlines()]
    if isinstance(stimuli.problem, EmopipeError):
        raise stimuli.problem
    if stimuli.problem is not None or not stimuli.moments:
        raise StageFailed(f"the stimuli broke off ({stimuli.problem}); is the graph too slow for this machine?")
    if isinstance(stimuli, Screen):
        print(f"emopipe: the page's clock was known to {stimuli.error / MS:.2f} ms", file=sys.stderr)
    made = certificate(stimuli.moments, observations)

    from emopipe.tables.certificate import print_certificate

    print_certificate(made, f"{graph.name}: {made.trials} stimuli")
    if arguments.json is not None:
        write_json(arguments.json, {"graph": str(path), **msgspec.to_builtins(made)}, "--json")
    if unseen := unperceived(made):
        raise EmopipeError(unseen)
    return 0 if made.light_result is not None and made.sound_result is not None else StageFailed.exit_code


def unperceived(made: Certificate) -> str:
    """What the graph's capture did not perceive, and the remedy, in a sentence; empty where it perceived all."""
    few = f"in fewer than {MIN_TRIALS} of {made.trials} stimuli"
    problems = []
    if made.light_stamp is None:
        problems.append(
            f"light was seen {few}: let the screen fill most of the camera's picture, in a dim room, nothing before it"
        )
    if made.sound_stamp is None:
        problems.append(
            f"sound was heard {few}: turn the loudspeaker up, put the microphone before it, and keep the room quiet"
        )
    return "; and ".join(problems)


def certified_table(table: dict[str, Any], path: str, observed: Path, address: str | None) -> dict[str, Any]:
    """The graph whose one sink writes what it observes, and that takes the stimuli at `address`; None: by its own.

    Raises:
        EmopipeError: it has not one stage of each kind that is needed.
    """
    stages: dict[str, Any] = table.get("stages", {})
    ends = {}
    for use in ("face-detection", "speech-windows", "fusion", *([] if address is None else ["network-capture"])):
        named = [name for name, stage in stages.items() if stage.get("use") == use]
        if len(named) != 1:
            ready = "rtsp" if address is not None else "webcam"
            hint = "; its own camera is certified by --screen" if use == "network-capture" else ""
            raise EmopipeError(
                f"{path}: expected one stage {use}, found {len(named)}; a graph to begin with is {ready}{hint}"
            )
        ends[use] = named[0]
    fusion = ends["fusion"]
    fed = {each.partition(".")[0] for stage in stages.values() for each in _senders(stage)}
    kept = {name: dict(stage) for name, stage in stages.items() if name in fed or name == fusion}
    if address is not None:
        kept[ends["network-capture"]] |= {"uri": address, "format": "nut", "reconnect": 0.0, "timeout": CONNECT_S}
    inputs = {
        "video": _sender(stages, ends["face-detection"], "video", path),
        "audio": _sender(stages, ends["speech-windows"], "audio", path),
        "emotions": f"{fusion}.emotions",
    }
    queue = {name: {"size": 256} for name in inputs}
    kept["observer"] = {"use": OBSERVER, "inputs": inputs, "path": str(observed), "queue": queue}
    process = kept[fusion].get("process")
    if process is not None:
        kept["observer"]["process"] = process
    return {**table, "stages": kept}


def _sender(stages: dict[str, Any], name: str, port: str, path: str) -> str:
    sender: str = stages[name].get("inputs", {}).get(port, "")
    if not sender:
        raise EmopipeError(f"{path}: stages.{name}.inputs.{port}: missing; it says what the stage is to take in")
    return sender


def _senders(stage: dict[str, Any]) -> list[str]:
    inputs = stage.get("inputs", {}).values()
    return [sender for given in inputs for sender in (given if isinstance(given, list) else [given])]


def _begin(stimuli: Stimuli | Screen, observed: Path, over: threading.Event) -> None:
    """Begin with the stimuli once the graph sees."""
    if wait_until(lambda: observed.is_file() and observed.stat().st_size > 0, over, LOAD_S):
        stimuli.begin()
