"""A real peer through configs/webrtc.toml, with real processes: its results agree with a replay of what it sent."""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.whip_client import WhipClient, encode, recorded
from emopipe.pipeline.clock import MS
from emopipe.stages.sinks.records import record
from tests.support.endpoints import free_endpoint
from tests.support.paths import ROOT
from tests.support.subscribers import Subscriber
from tests.support.verbs import verb

pytestmark = pytest.mark.slow("sends over WebRTC in real time")

GRAPH = ROOT / "configs" / "webrtc.toml"
CLIP = "ravdess/Actor_01/01-01-08-02-02-02-01.mp4"


@contextmanager
def running(endpoint: str, publish: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The graph in processes of its own; interrupted at the end, as by Ctrl-C, where it has not ended."""
    settings = [f"stages.{stage}.endpoint={endpoint}" for stage in ("webrtc", "page")]
    settings += [f"stages.publish.endpoint={publish}"]
    command = [sys.executable, "-m", "emopipe", "run", str(GRAPH)]
    command += [part for setting in settings for part in ("--set", setting)]
    with log.open("wb") as output:
        run = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
        try:
            run.wait(30)
        finally:
            run.kill()


async def send(recording: Path, endpoint: str) -> None:
    """Send it in real time, once the server is ready."""
    deadline = time.monotonic() + 120
    while True:
        try:
            client = await WhipClient(endpoint, tracks := recorded(recording), name="clip").__aenter__()
            break
        except OSError:  # not there, or not ready
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
    try:
        await asyncio.gather(*(track.done.wait() for track in tracks))
        await asyncio.sleep(0.5)
    finally:
        await client.__aexit__(None, None, None)


def test_a_peer_s_results_agree_with_a_replay(shared_media: Path, tmp_path: Path) -> None:
    recording = encode(shared_media / CLIP, tmp_path / "clip.mkv")
    endpoint, publish = free_endpoint(), f"ipc://{tmp_path}/results"
    subscriber = Subscriber(publish, "emotions/webrtc/clip", until=("webrtc/clip",))
    try:
        with running(endpoint, publish, tmp_path / "log") as run:
            asyncio.run(send(recording, endpoint))
            received = subscriber.received()
    finally:
        subscriber.kill()
    assert run.returncode == 0, (tmp_path / "log").read_text()
    live = [record(message) for _, message in received if message.kind == "data"]

    assert verb("replay", str(recording), "--out", str(tmp_path / "replay.jsonl"), "--one-process") == 0
    replayed = [json.loads(line) for line in (tmp_path / "replay.jsonl").read_text().splitlines()]
    agreement = compare(live, [each for each in replayed if "faces" in each])
    print(agreement)
    assert agreement["arrived"] > 0.25  # of 30 a second; a busy machine drops frames before they cost anything
    assert agreement["same label"] > 0.85
    assert agreement["mean difference"] < 0.06
    assert abs(agreement["windows"] - agreement["windows replayed"]) <= 2
    assert abs(agreement["offset"]) < 300
    assert agreement["spread"] < 40


def compare(live: list[dict[str, Any]], replayed: list[dict[str, Any]]) -> dict[str, float]:
    """How results agree, frame by frame, each with the nearest; times in ms."""
    seen = [each for each in live if each["faces"]]
    known = [each for each in replayed if each["faces"]]
    offset = seen[0]["pts"] - known[0]["pts"]
    for _ in range(3):
        pairs = [(each, min(known, key=lambda one: abs(each["pts"] - offset - one["pts"]))) for each in seen]
        apart = [one["pts"] - other["pts"] for one, other in pairs]
        offset = round(statistics.median(apart))
    same = [one["faces"][0]["emotion"] == other["faces"][0]["emotion"] for one, other in pairs]
    differences = [
        abs(one["faces"][0]["probabilities"][label] - probability)
        for one, other in pairs
        for label, probability in other["faces"][0]["probabilities"].items()
    ]
    return {
        "arrived": round(len(seen) / len(known), 3),
        "same label": round(statistics.mean(same), 3),
        "mean difference": round(statistics.mean(differences), 4),
        "windows": len({each["voice"]["end"] for each in live if each["voice"]}),
        "windows replayed": len({each["voice"]["end"] for each in replayed if each["voice"]}),
        "offset": round(offset / MS, 1),
        "spread": round(max(abs(each - offset) for each in apart) / MS, 1),
    }
