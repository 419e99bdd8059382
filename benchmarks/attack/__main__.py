"""What a stranger on the network can do to a run: read, put in, use up. Beside it, the same run undisturbed.

python -m benchmarks.attack [--connections 10000] [--seconds 60] [--json FILE]

The strangers are on a host of their own (a network namespace; one has to be allowed to make such). They share this
machine's processors, with the lowest priority: another machine would take none of the victim's time. Exit code 1 if
they have read a result, put one in, or held more descriptors than a listener allows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.attack.victim import CONTROL_PORT, PAGE_PORT, PUBLISH_PORT, Victim, victim
from benchmarks.figures import machine, table, write_json
from benchmarks.hosts import Host, isolated
from emopipe.pipeline.access.gate import MAX_STRANGERS
from emopipe.pipeline.access.listener import MAX_LEAVING
from emopipe.stages.web.server import MAX_CONNECTIONS as MAX_PAGE_CONNECTIONS

PHASES = [
    *((kind, "links") for kind in ("silent", "noise", "greetings", "keys", "plain")),  # to the process on another host
    *((kind, "publish") for kind in ("silent", "noise", "greetings", "keys", "plain")),
    *((kind, "page") for kind in ("silent", "noise", "handshakes", "requests")),
]
FILES_PER_STRANGER = 3  # at the gate: the connection, and both ends of the one to ZeroMQ


def attack(connections: int, seconds: float, fps: float) -> dict[str, Any]:
    """Figures of an undisturbed run of `seconds`, and of each phase, as long; in a process that runs `isolated`."""
    with tempfile.TemporaryDirectory() as folder, Host() as far, victim(Path(folder), fps, far) as (run, account):
        time.sleep(1.0)
        began = time.monotonic()
        time.sleep(seconds)
        undisturbed = _figures(run, began, time.monotonic())
        phases = []
        ports = {"links": [CONTROL_PORT, run.link_port], "publish": [PUBLISH_PORT], "page": [PAGE_PORT]}
        for kind, place in PHASES:
            began = time.monotonic()
            found = _strangers(far, kind, ports[place], seconds, connections, run.server_key)
            phases.append({"kind": kind, "at": place, **_figures(run, began, time.monotonic()), **found})
        time.sleep(2 * 6.0)  # until those who held a connection are gone
        began = time.monotonic()
        time.sleep(min(seconds, 5.0))
        after = _figures(run, began, time.monotonic())
    counters = account.get("stages", {}).get("publish", {}).get("counters", {})
    return {
        "undisturbed": undisturbed,
        "phases": phases,
        "after": after,
        "exit code": account["exit code"],
        "worker exit code": account["worker exit code"],
        "said": account["said"],
        "subscribed": counters.get("subscribed"),
        "strangers": counters.get("strangers"),
    }


def wrong(found: dict[str, Any]) -> list[str]:
    """What happened that must not."""
    # ZeroMQ closes its end of a connection a moment after we have closed ours: as many again may be leaving there.
    gate = FILES_PER_STRANGER * (MAX_STRANGERS + 2 * MAX_LEAVING)
    most = {"links": 2 * gate, "publish": gate, "page": MAX_PAGE_CONNECTIONS + MAX_LEAVING}
    problems = [f"{phase['kind']} read results" for phase in found["phases"] if phase.get("results read")]
    if found["exit code"] != 0:
        problems.append(f"the run ended with {found['exit code']}: {found['said']}")
    if found["worker exit code"] != 0:
        problems.append(f"the worker on the other host ended with {found['worker exit code']}")
    if found["subscribed"] != 1:
        problems.append(f"{found['subscribed']} subscriptions came through instead of 1")
    for phase in found["phases"]:
        bound = most[phase["at"]]
        if (more := phase["files"] - found["undisturbed"]["files"]) > bound:
            problems.append(f"{phase['kind']} at {phase['at']} held {more} descriptors, more than {bound}")
    return problems


def _strangers(
    host: Host, kind: str, ports: list[int], seconds: float, connections: int, server_key: str
) -> Counter[str]:
    """What strangers at all of these ports together have found."""
    attacks = []
    for port in ports:
        arguments = [kind, host.own_address, str(port), str(seconds), str(connections), server_key]
        command = ["nice", "-n", "19", *host.python("benchmarks.attack.strangers", *arguments)]
        attacks.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    found: Counter[str] = Counter()
    try:
        for attacker in attacks:
            printed, _ = attacker.communicate(timeout=seconds + 120)
            found.update(json.loads(printed))
    finally:
        for attacker in attacks:
            attacker.kill()
            attacker.wait()
    return found


def _figures(run: Victim, began: float, ended: float) -> dict[str, float]:
    """Results a second, and the most files and memory (MB) of all processes of the run together."""
    found: dict[str, float] = {"results/s": run.rate(began, ended), "files": 0, "memory": 0.0, "cores": 0.0}
    for samples in run.samples.values():
        if taken := [each for each in samples if began <= each["at"] <= ended]:
            found["files"] += max(each["files"] for each in taken)
            found["memory"] += max(each["memory"] for each in taken)
            found["cores"] += (taken[-1]["cpu"] - taken[0]["cpu"]) / max(ended - began, 0.001)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=10_000, help="that each kind tries, at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="that each kind goes on for")
    parser.add_argument("--fps", type=float, default=10.0, help="pictures a second of the victim")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--isolated", action="store_true", help="this network has no way out: use it as it is")
    given = parser.parse_args()
    if not given.isolated:
        command = isolated([sys.executable, "-m", "benchmarks.attack", *sys.argv[1:], "--isolated"])
        os.execvp(command[0], command)
    found = attack(given.connections, given.seconds, given.fps)
    problems = wrong(found)
    write_json(given.json, found | {"wrong": problems})
    rows = [{"kind": "undisturbed", **found["undisturbed"]}, *found["phases"], {"kind": "after", **found["after"]}]
    columns = (
        "kind",
        "at",
        "connected",
        "ended by the server",
        "results read",
        "results/s",
        "files",
        "memory",
        "cores",
    )
    print(f"{machine()}\n\n{table([{name: row.get(name) for name in columns} for row in rows])}")
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
