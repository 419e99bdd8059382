"""A Ray cluster of two hosts, for the tests of graphs that are played on it.

    python -m tests.support.ray_hosts FOLDER

is run in a network of its own. Here is the head, with the label zone=a, in another network namespace a second node,
zone=b, whose monotonic clock is another where the system can do that. `FOLDER/cluster.toml` is played there once as it
is, once while an actor is killed, once while the whole second node is; what was said and left over is printed as JSON.
"""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host, isolated
from tests.support.paths import ROOT

HEAD_PORT = 6379
CLOCK_AHEAD_S = 5000
READY_TIMEOUT_S = 200.0
STARTS = 3  # of a node
RAY = Path(sys.executable).with_name("ray")
# A busy machine answers late: its clocks may be off by a tenth of the budget.
LIVE = [
    "--set=pipeline.mode=live",
    "--set=pipeline.latency_budget=60",
    "--set=stages.capture.realtime=true",
    "--set=stages.capture.duration=4",
]
COMMON = ["--disable-usage-stats", "--num-cpus", "1", "--object-store-memory", "80000000", "--block"]


def played(folder: Path) -> dict[str, Any]:
    """What became of the runs."""
    command = isolated([sys.executable, "-m", "tests.support.ray_hosts", str(folder)])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=560)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def played_alone(folder: Path) -> dict[str, Any]:
    """What becomes of a run that has to start a cluster, and which of its processes are left."""
    environment = os.environ | {
        "RAY_TMPDIR": f"{folder}/ray-alone",  # where no cluster has been
        "TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    environment.pop("RAY_ADDRESS", None)
    found = run(folder, environment, "--set=processes={}")
    left = [command for pid, command in processes() if in_this_test(pid, folder)]
    return found | {"left": left, "folders": [path.name for path in folder.glob("emopipe-run-*")]}


def main() -> None:
    folder = Path(sys.argv[1])
    shift = ["unshare", "--time", "--monotonic", str(CLOCK_AHEAD_S), "--fork", "--kill-child"]
    shifts = subprocess.run([*shift, "true"], capture_output=True, check=False).returncode == 0
    found: dict[str, Any] = {"shifted": shifts}
    with Host() as far:
        environment = os.environ | {
            "RAY_ADDRESS": f"{far.own_address}:{HEAD_PORT}",
            "RAY_TMPDIR": f"{folder}/ray",
            "TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        head = ["--head", f"--port={HEAD_PORT}", f"--node-ip-address={far.own_address}", "--labels=zone=a"]
        second = [f"--address={far.own_address}:{HEAD_PORT}", f"--node-ip-address={far.address}", "--labels=zone=b"]
        second_node = [*far.enter(), *(shift if shifts else []), RAY, "start", *second]
        with contextlib.ExitStack() as nodes:
            for name, command in (
                ("head", [RAY, "start", *head, "--include-dashboard=false"]),
                ("second", second_node),
            ):
                log = folder / f"{name}.log"
                start(nodes, [*command, *COMMON], environment, log)
            found["as it is"] = run(folder, environment)
            found["live"] = run(folder, environment, *LIVE, f"--trace={folder}/live.trace")
            found["trace"] = (folder / "live.trace").read_text()
            found["label"] = run(folder, environment, '--set=processes.vision.label={ zone = "c" }')
            found["actor"] = run(folder, environment, during=kill_actor)
            found["folders left"] = [path.name for path in folder.glob("emopipe-run-*")]
            found["node"] = run(folder, environment, during=kill_second_node)
            found["actors left"] = workers_at_work()
    print(json.dumps(found))


def start(nodes: contextlib.ExitStack, command: list[Any], environment: dict[str, str], log: Path) -> None:
    """Let a node come up; again where Ray gives up after 30 s, which a busy machine can take."""
    for _ in range(STARTS):
        process = nodes.enter_context(node(command, environment, log))
        until(lambda process=process: "Ray runtime started" in log.read_text() or process.poll() is not None, log.name)
        if process.poll() is None:
            return
    raise AssertionError(log.read_text())


@contextlib.contextmanager
def node(command: list[Any], environment: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A node of the cluster, with all its processes."""
    with log.open("w") as file:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdout=file, stderr=file)
        try:
            yield process
        finally:
            for pid, _ in processes():
                if in_this_test(pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.wait()


def run(
    folder: Path, environment: dict[str, str], *options: str, during: Callable[[Path], None] | None = None
) -> dict[str, Any]:
    """Play the graph on the cluster; its results are taken away."""
    results = folder / "cluster.jsonl"
    command = [sys.executable, "-m", "emopipe", "run", str(folder / "cluster.toml"), "--on", "ray", *options]
    figures = folder / "figures.json"
    process = subprocess.Popen(
        [*command, "--json", str(figures)], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if during is not None:
            until(lambda: results.exists() and results.stat().st_size > 10_000, "results")
            during(folder)
        _, said = process.communicate(timeout=200)
    finally:
        process.kill()
    text = results.read_text() if results.exists() else ""
    results.unlink(missing_ok=True)
    counted = json.loads(figures.read_text()) if process.returncode == 0 else {}
    return {"code": process.returncode, "said": said, "results": text, "figures": counted}


def kill_actor(folder: Path) -> None:
    for pid in workers_at_work():
        os.kill(pid, signal.SIGKILL)


def kill_second_node(folder: Path) -> None:
    """All of it at once, as a host that loses power."""
    (address,) = re.findall(r"Local node IP: (\S+)", (folder / "second.log").read_text())
    for pid, command in processes():
        if "raylet/raylet" in command and f"--node_ip_address={address}" in command and in_this_test(pid):
            os.kill(pid, signal.SIGKILL)


def workers_at_work() -> list[int]:
    """The processes of actors."""
    return [pid for pid, command in processes() if command.startswith("ray::RayWorker") and in_this_test(pid)]


def in_this_test(pid: int, folder: Path | None = None) -> bool:
    """Whether a process belongs to our cluster, and not to another on this machine."""
    try:
        return f"RAY_TMPDIR={folder or sys.argv[1]}/ray".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def processes() -> Iterator[tuple[int, str]]:
    """All that run, with their command lines."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)


if __name__ == "__main__":
    main()
