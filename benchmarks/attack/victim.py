"""A live run with a stage on another host, results for who has a key that is allowed, a page for who has the token."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zmq

from benchmarks.attack.certificate import self_signed
from benchmarks.hosts import Host
from benchmarks.procfs import sample, workers
from emopipe.pipeline.access.curve import be_client
from emopipe.pipeline.access.keys import KeyPair, read_pair, write_pair

PUBLISH_PORT, PAGE_PORT, CONTROL_PORT = 5560, 8443, 5570
TOKEN = "the-right-token-for-the-victim"
SAMPLE_INTERVAL_S = 0.25
START_TIMEOUT_S = 180.0

GRAPH = """
[pipeline]
name = "victim"
mode = "live"

[pipeline.control]
endpoint = "tcp://{host}:{control_port}"
secret_key = "{folder}/desk.key_secret"

[processes.vision]
remote = "{folder}/vision.key"

[stages.capture]
use = "test-pattern"
fps = {fps}
duration = 36000

[stages.faces]
use = "face-detection"
inputs.video = "capture.video"

[stages.facial]
use = "facial-inference"
inputs.faces = "faces.faces"
process = "vision"

[stages.fusion]
use = "fusion"
inputs.faces = "facial.emotions"

[stages.publish]
use = "publish"
inputs.emotions = "fusion.emotions"
endpoint = "tcp://0.0.0.0:{publish_port}"
secret_key = "{folder}/desk.key_secret"
allow = "{folder}/allowed"

[stages.page]
use = "page"
inputs.emotions = "fusion.emotions"
endpoint = "https://0.0.0.0:{page_port}"
certificate = "{certificate}"
key = "{key}"
token = "{token}"
"""


class Victim:
    """The run, a subscriber of its own with an allowed key, and samples of its processes.

    Attributes:
        server_key: the run's public key, which anybody may know.
        link_port: where messages from the stage on the other host come in.
        pid: of the supervisor.
        times: when each result came (monotonic s).
        samples: by process, what was open and used, in order.
    """

    def __init__(self, process: "subprocess.Popen[str]", server_key: str, friend: KeyPair) -> None:
        self.server_key = server_key
        self.link_port = 0
        self.pid = process.pid
        self.times: list[float] = []
        self.samples: dict[str, list[dict[str, float]]] = {}
        self._process = process
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._subscribe, args=[friend]), threading.Thread(target=self._watch)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return once results come."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.times:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the victim did not start: {self._process.communicate()[1]}")
            time.sleep(0.1)
        (self.link_port,) = listening_ports() - {PUBLISH_PORT, PAGE_PORT, CONTROL_PORT}

    def rate(self, began: float, ended: float) -> float:
        """Results a second between two times (monotonic s)."""
        return sum(began <= each < ended for each in self.times) / (ended - began)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _subscribe(self, friend: KeyPair) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger = 0
            be_client(socket, friend, self.server_key)
            socket.subscribe(b"emotions/")
            socket.connect(f"tcp://127.0.0.1:{PUBLISH_PORT}")
            while not self._over.is_set():
                if socket.poll(100):
                    socket.recv_multipart()
                    self.times.append(time.monotonic())

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            for name, pid in {"supervisor": self.pid, **workers(self.pid)}.items():
                if (now := sample(pid)) is not None:
                    taken = {"files": now.files, "memory": now.memory, "cpu": now.cpu, "at": time.monotonic()}
                    self.samples.setdefault(name, []).append(taken)


def listening_ports() -> set[int]:
    """TCP ports on which somebody listens in this network namespace, those of loopback left out."""
    rows = [row.split() for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    open_ports = [local.split(":") for _, local, _, state, *_ in rows if state == "0A"]
    return {int(port, 16) for address, port in open_ports if address != "0100007F"}


@contextmanager
def victim(folder: Path, fps: float, far: Host) -> Iterator[tuple[Victim, dict[str, Any]]]:
    """Run one, a stage of it on `far`; when the block has ended, what its own account says is in the second value."""
    desk, friend = write_pair(folder, "desk"), write_pair(folder / "allowed", "friend")
    vision = write_pair(folder, "vision")
    certificate, key = self_signed(folder)
    graph, account = folder / "victim.toml", folder / "account.json"
    ports = {"publish_port": PUBLISH_PORT, "page_port": PAGE_PORT, "control_port": CONTROL_PORT}
    names = {"folder": folder, "host": far.own_address, "certificate": certificate, "key": key, "token": TOKEN}
    graph.write_text(GRAPH.format(fps=fps, **names, **ports))
    connect = ["--connect", f"tcp://{far.own_address}:{CONTROL_PORT}", "--server-key", desk.public]
    worker = far.python("emopipe", "worker", *connect, "--key", str(vision.secret_file), "--once")
    command = [sys.executable, "-m", "emopipe", "run", str(graph), "--json", str(account)]
    with (
        subprocess.Popen(worker, stderr=subprocess.DEVNULL) as there,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
    ):
        run = Victim(process, desk.public, read_pair(friend.secret_file))
        found: dict[str, Any] = {}
        try:
            run.wait()
            yield run, found
        finally:
            run.stop()
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
            with suppress(subprocess.TimeoutExpired):
                there.wait(timeout=30)
            there.kill()
            found |= {"exit code": process.returncode, "worker exit code": there.wait(), "said": said}
            if account.exists():
                found["stages"] = json.loads(account.read_text())["stages"]
