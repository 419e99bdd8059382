"""LSL for tests: on this machine alone, each test by itself, and programs in processes of their own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

# Numbers and texts of two streams, as they come, until so many of each are there; one JSON object at the end.
LISTENER = """
import json, sys, threading, pylsl
given = json.loads(sys.argv[1])
def resolved(name):
    while not (found := pylsl.resolve_byprop("name", name, timeout=1)):
        pass
    return pylsl.StreamInlet(found[0])
inlets = {name: resolved(name) for name in given["count"]}
for inlet in inlets.values():
    inlet.open_stream(60)
print("listening", flush=True)
taken = {name: [] for name in inlets}
def take(name):
    while len(taken[name]) < given["count"][name]:
        values, stamp = inlets[name].pull_sample(60)
        taken[name].append([stamp, values])
threads = [threading.Thread(target=take, args=[name]) for name in inlets]
[each.start() for each in threads]
[each.join() for each in threads]
said = {name: {"samples": taken[name], "correction": inlet.time_correction(10), "xml": inlet.info(10).as_xml()}
        for name, inlet in inlets.items()}
print(json.dumps(said), flush=True)
"""

# An outlet of text; sends what it is told on standard input, at the time (s) given with it, now where that is 0.
SENDER = """
import json, sys, pylsl
given = json.loads(sys.argv[1])
kind = getattr(pylsl, given["format"])
info = pylsl.StreamInfo(given["name"], "Markers", given["channels"], pylsl.IRREGULAR_RATE, kind, given["source_id"])
outlet = pylsl.StreamOutlet(info)
print("sending", flush=True)
for line in sys.stdin:
    values, at = json.loads(line)
    if values is None:
        outlet.wait_for_consumers(60)
    else:
        at = at or pylsl.local_clock()
        outlet.push_sample(values, at)
    print(json.dumps(at), flush=True)
"""


def isolated(folder: Path) -> dict[str, str]:
    """Environment variables with which programs meet each other by LSL on this machine, and nobody else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = min(probe.getsockname()[1], 60_000)
    configuration = folder / "lsl_api.cfg"
    configuration.write_text(
        f"[ports]\nIPv6 = disable\nMulticastPort = {port}\nBasePort = {port + 1}\nPortRange = 64\n"
        "[multicast]\nResolveScope = machine\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {folder.name}-{os.getpid()}\n[log]\nlevel = -3\n"
    )
    return {"LSLAPICFG": str(configuration)}


class Program:
    """A Python program in a process of its own, by LSL in the world of `environment`."""

    def __init__(self, script: str, environment: dict[str, str], given: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError(f"the program ended with {self.process.wait()}")
        return said.strip()

    def say(self, value: Any) -> Any:
        """Tell it something, and return what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
