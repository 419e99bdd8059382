"""A real browser with a made-up camera and microphone, in a network where WebRTC works.

python -m tests.support.browser CLIP SCREENSHOT     one call through configs/webrtc.toml; prints what arrived, as JSON
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import zmq
from playwright.sync_api import Browser, Page, sync_playwright

from emopipe.pipeline.message import Codec
from emopipe.stages.types import Emotions
from tests.support.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FPS = 30  # Chromium plays an MJPEG file at this rate, whatever the recording's own was
RATE = 48_000
# A network of its own: the page comes over loopback, which is a secure context; on loopback alone there would be no
# address to offer for media, so these take the veth pair's.
NETWORK = (
    "ip link set lo up && ip link add media0 type veth peer name media1 && "
    'ip addr add 10.77.0.1/24 dev media0 && ip link set media0 up && ip link set media1 up && exec "$@"'
)


def in_own_network(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace that has a second address; directly where we may not make one."""
    isolated = ["unshare", "--net", "sh", "-c", NETWORK, "sh"] if os.geteuid() == 0 else []
    return subprocess.run([*isolated, *command], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            browser.close()


def fake_devices(clip: Path, folder: Path, times: int) -> list[str]:
    """Flags that make a recording, `times` over, the browser's camera and microphone, in step with each other."""
    pictures, samples = _read(clip)
    video, audio = folder / "camera.mjpeg", folder / "microphone.wav"
    video.write_bytes(b"".join(pictures) * times)
    length = len(pictures) * RATE // FPS
    cycle = np.zeros(length, np.int16)
    cycle[: len(samples)] = samples[:length]
    with av.open(str(audio), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.tile(cycle, times)[None], "s16", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
        f"--use-file-for-fake-audio-capture={audio}%noloop",
        "--autoplay-policy=no-user-gesture-required",
    ]


def _read(clip: Path) -> tuple[list[bytes], np.ndarray[Any, np.dtype[np.int16]]]:
    """A recording as JPEG pictures, and its sound as 48 kHz mono."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuvj420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.options = {"qmin": "4", "qmax": "4"}
    pictures: list[bytes] = []
    samples = []
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(640, 360, "yuvj420p")
            small.pts = len(pictures)
            small.time_base = Fraction(1, FPS)
            pictures += [bytes(packet) for packet in encoder.encode(small)]
        container.seek(0)
        for sound in container.decode(audio=0):
            samples += [each.to_ndarray().reshape(-1) for each in resampler.resample(sound)]
    return pictures, np.concatenate(samples)


class Subscriber:
    """Counts what a ZeroMQ subscriber gets."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.connect(endpoint)
        self._socket.subscribe(b"emotions/")
        self._codec = Codec(Emotions)
        self.faces: Counter[str] = Counter()
        self.voices: Counter[str] = Counter()
        self.streams: set[str] = set()
        self.results = 0
        self.ended: set[str] = set()

    def take(self) -> None:
        while self._socket.poll(0):
            message = self._codec.decode(self._socket.recv_multipart()[1:])
            if message.kind == "eos":
                self.ended.add(message.stream)
            if message.kind != "data":
                continue
            emotions: Emotions = message.payload
            self.results += 1
            self.streams.add(message.stream)
            self.faces.update(face.emotion for face in emotions.faces)
            if emotions.voice is not None:
                self.voices[max(emotions.voice.probabilities, key=emotions.voice.probabilities.__getitem__)] += 1

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


def call(clip: Path, screenshot: Path) -> dict[str, Any]:
    """One call: a browser sends the clip, its page shows the results, and a subscriber gets them too."""
    seen: dict[str, Counter[str]] = {"faces": Counter(), "voices": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        flags = fake_devices(clip, Path(folder), times=12)
        errors = Path(folder) / "run.txt"
        with errors.open("w") as log:
            run = subprocess.Popen(
                [sys.executable, "-m", "emopipe", "run", "configs/webrtc.toml"], stderr=log, cwd=ROOT
            )
        subscriber = Subscriber("tcp://127.0.0.1:5560")
        try:
            with chromium(*flags) as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                problems: list[str] = []
                page.on("pageerror", lambda error: problems.append(str(error)))
                _open(page, "http://127.0.0.1:8080/")
                page.get_by_role("button", name="Start camera and microphone").click()
                _started(page)
                deadline = time.monotonic() + 40
                while time.monotonic() < deadline and not _enough(seen, subscriber):
                    _read_table(page, seen)
                    subscriber.take()
                    page.wait_for_timeout(100)
                page.locator("details.details > summary").click()
                page.wait_for_timeout(500)
                page.screenshot(path=str(screenshot), full_page=True)
                found = {
                    "state": page.locator("#state").inner_text(),
                    "latency": page.locator("#latency").inner_text(),
                    "rate": page.locator("#rate").inner_text(),
                    "left_out": page.locator("#lost").inner_text(),
                    "hops": page.locator("#hops").inner_text(),
                    "announced": page.locator("#said").inner_text(),
                }
                found["left_s"] = _leave(page, subscriber)
                _open(page, "http://127.0.0.1:8080/")
                page.get_by_role("button", name="Start camera and microphone").click()
                _started(page)
                page.get_by_role("button", name="Stop").click()
                found["after"] = page.locator("#state").inner_text()
                page.get_by_role("button", name="Start camera and microphone").click()
                _started(page)
                run.send_signal(signal.SIGINT)
                page.get_by_role("button", name="Reconnect").wait_for()
                found["at_the_end"] = page.get_by_role("alert").inner_text()
                code = run.wait(30)
            subscriber.take()
        finally:
            run.kill()
            run.wait()
            subscriber.close()
        return {
            **found,
            "page": {who: dict(counts) for who, counts in seen.items()},
            "subscriber": {"faces": dict(subscriber.faces), "voices": dict(subscriber.voices)},
            "streams": sorted(subscriber.streams),
            "results": subscriber.results,
            "problems": problems,
            "code": code,
            "run": errors.read_text(),
        }


def _open(page: Page, address: str) -> None:
    """Open the page, as soon as the server has it."""
    deadline = time.monotonic() + 120
    while True:
        try:
            response = page.goto(address)
            if response is not None and response.ok:
                return
            raise RuntimeError(f"{address} was answered {response.status if response else 'not at all'}")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _started(page: Page) -> None:
    """Wait until results come; until the models are loaded the server asks to come again."""
    deadline = time.monotonic() + 180  # on a fresh machine Python compiles PyTorch's modules first
    while time.monotonic() < deadline:
        page.wait_for_timeout(200)
        if page.locator("#state").get_attribute("data-kind") == "live":
            return
        button = page.get_by_role("button", name="Start camera and microphone")
        if page.locator("#alert").is_visible() and button.is_visible():
            page.wait_for_timeout(1000)
            button.click()
    raise TimeoutError(page.locator("body").inner_text())


def _leave(page: Page, subscriber: Subscriber) -> float:
    """Go elsewhere, and say after how many seconds subscribers knew that the stream had ended."""
    began = time.monotonic()
    page.goto("about:blank")
    while not subscriber.ended and time.monotonic() < began + 30:
        page.wait_for_timeout(50)
        subscriber.take()
    return time.monotonic() - began


def _read_table(page: Page, seen: dict[str, Counter[str]]) -> None:
    for row in page.locator("#now tr").all_inner_texts():
        who, _, rest = row.replace("\n", "\t").partition("\t")
        words = [word for word in rest.split("\t") if word.strip()]
        label = next((word.strip() for word in words if word.strip().isalpha()), None)
        if label is not None:
            seen["voices" if who.startswith("voice") else "faces"][label] += 1


def _enough(seen: dict[str, Counter[str]], subscriber: Subscriber) -> bool:
    """Whether the page and the subscriber have seen the clip about twice."""
    return all(sum(counts.values()) >= 30 for counts in seen.values()) and subscriber.results >= 200


if __name__ == "__main__":
    outcome = call(Path(sys.argv[1]), Path(sys.argv[2]))
    json.dump(outcome, sys.stdout)
