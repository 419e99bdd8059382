"""Show how a run is doing, live: rates, queues, ages, drops, batches, memory and processor time.

Without an address it looks for a run of yours on this machine. Watching changes nothing in the run, and never holds it.
"""

import argparse
import json
import sys
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from emopipe.pipeline.access.allow_list import expand, read_key
from emopipe.pipeline.access.folder import living_runs
from emopipe.pipeline.access.keys import KeyPair, read_pair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.report import RunSnapshot
from emopipe.pipeline.telemetry.status import STATUS_INTERVAL_S, STATUS_SOCKET, StatusViewer
from emopipe.pipeline.text import printable
from emopipe.tables.top import Moment, figures, screen

HELP = "show how a run is doing, live"

TIMEOUT_S = 5.0  # without a word from the run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="which: its process id, or, of one on another machine, the address that its graph gives as "
        "pipeline.status, such as tcp://10.0.0.1:5570 (default: the one that runs here)",
    )
    parser.add_argument("--secret-key", metavar="FILE", help="one's own secret key, for another machine")
    parser.add_argument("--server-key", metavar="KEY", help="that run's public key, or its file")
    parser.add_argument("--once", action="store_true", help="show it once, and leave")
    parser.add_argument("--json", action="store_true", help="as JSON with the counts of each stream, a line a second")


def main(arguments: argparse.Namespace) -> int:
    try:
        if arguments.run is not None and "://" in arguments.run:
            hint = "are the address and the keys right, and is yours on its allow-list?"
            with StatusViewer(arguments.run, _keys(arguments)) as viewer:
                _show(viewer, arguments, hint)
        else:
            with StatusViewer(_find(arguments.run)) as viewer:
                _show(viewer, arguments, "does it hang?")
    except KeyboardInterrupt:
        print(file=sys.stderr)  # behind ^C
    return 0


def _show(viewer: StatusViewer, arguments: argparse.Namespace, hint: str) -> None:
    pair = viewer.pair(TIMEOUT_S)
    if pair is None:
        raise EmopipeError(f"{printable(viewer.address)}: nothing is heard from there within {TIMEOUT_S:g} s; {hint}")
    moment = Moment(*pair)
    if arguments.json:
        _follow(viewer, moment, lambda moment: print(json.dumps(figures(moment)), flush=True), arguments.once)
    elif arguments.once or not sys.stdout.isatty():
        _follow(viewer, moment, lambda moment: Console().print(screen(moment)), arguments.once)
    else:
        with Live(screen(moment), screen=True, auto_refresh=False) as live:
            _follow(viewer, moment, lambda moment: live.update(screen(moment), refresh=True), once=False)
    if not arguments.once:
        ended = f"nothing more is heard from {printable(moment.now.graph)}; it has ended, or hangs"
        print(f"emopipe: {ended}", file=sys.stderr)


def _keys(arguments: argparse.Namespace) -> tuple[KeyPair, str]:
    if arguments.secret_key is None or arguments.server_key is None:
        raise EmopipeError(
            "a run on another machine takes --secret-key, the file of your own key (`emopipe keys new NAME` makes one; "
            "its public half has to be on the run's allow-list), and --server-key, the public key of the run"
        )
    return read_pair(expand(arguments.secret_key)), read_key(arguments.server_key)


def _follow(viewer: StatusViewer, moment: Moment, show: Callable[[Moment], None], once: bool) -> None:
    """Show every moment until the run says no more."""
    show(moment)
    while not once and (after := viewer.next(TIMEOUT_S)) is not None:
        show(moment := Moment(moment.now, after))


def _find(pid: str | None) -> str:
    """The address of the run of a process, or of the only one that lives here."""
    addresses = [f"ipc://{folder / STATUS_SOCKET}" for folder in living_runs() if (folder / STATUS_SOCKET).exists()]
    if pid is None and len(addresses) == 1:
        return addresses[0]
    known = {address: _heard(address) for address in addresses}
    chosen = [address for address, run in known.items() if run is not None and str(run.pid) == pid]
    if chosen:
        return chosen[0]
    if not addresses:
        raise EmopipeError("no run of yours on this machine; start one with `emopipe run`, or give another's address")
    listed = "".join(
        f"\n  emopipe top {run.pid}    {printable(run.graph)}, {run.state}" for run in known.values() if run
    )
    why = "several runs; choose one" if pid is None else f"no run has the process id {printable(pid)}; choose one"
    raise EmopipeError(f"{why}:{listed}")


def _heard(address: str) -> RunSnapshot | None:
    with StatusViewer(address) as viewer:
        return viewer.next(2 * STATUS_INTERVAL_S)
