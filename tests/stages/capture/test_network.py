"""network-capture: real streams, sent over real sockets of this machine."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.testing import Outputs
from emopipe.stages.capture.network import NetworkCapture
from tests.support.endpoints import free_port
from tests.support.live_sources import Sender, beeps, flashes, made, play, playing, sender_apart
from tests.support.media import make, tone
from tests.support.waiting import until

pytestmark = pytest.mark.slow("waits for network streams in real time")


def capture(uri: str, **settings: Any) -> NetworkCapture:
    return made(NetworkCapture, uri=uri, **settings)


def check(outputs: Outputs) -> None:
    """What holds for any stream: times go on, sound without an unsaid hole."""
    pictures = outputs.data("video")
    assert all(later.pts >= earlier.pts + MS for earlier, later in pairwise(pictures))
    sound = [m for m in outputs.messages["audio"] if m.kind in ("data", "gap")]
    for earlier, later in pairwise(sound):
        assert later.epoch > earlier.epoch or later.pts == earlier.pts + earlier.duration
    assert min(m.pts for m in [*pictures[:1], *sound[:1]]) < 300 * MS


def both(outputs: Outputs, seconds: float) -> bool:
    return all(outputs.data(kind) and outputs.data(kind)[-1].pts > seconds * SECOND for kind in ("video", "audio"))


def test_mpeg_ts_over_tcp_keeps_sound_and_pictures_together() -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    with Sender(uri, start=40.5):
        outputs = play(capture(uri, stream="gate"), lambda outputs: both(outputs, 4.0))
    check(outputs)
    assert {m.stream for m in outputs.data("video") + outputs.data("audio")} == {"gate"}
    assert outputs.data("video")[0].payload.luma.shape == (120, 160)
    seen, heard = flashes(outputs.data("video")), beeps(outputs.data("audio"))
    assert len(seen) >= 3
    for flash in seen:  # a picture is 40 ms, a frame of sound 24, and both clocks have just begun to be known
        assert min(abs(flash - beep) for beep in heard) < 80 * MS
    assert {len(m.payload.samples) for m in outputs.data("audio")[:10]} == {1024}


def test_rtsp_that_is_pushed_to_us() -> None:
    uri = f"rtsp://127.0.0.1:{free_port()}/live"
    with sender_apart(uri, "rtsp"):
        outputs = play(capture(uri, options=["rtsp_flags=listen"], timeout=30.0), lambda outputs: both(outputs, 1.5))
    check(outputs)
    assert outputs.warnings == []


def test_mpeg_ts_over_udp() -> None:
    uri = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with Sender(f"{uri}?pkt_size=1316", audio=False):
        outputs = play(capture(uri), lambda outputs: len(outputs.data("video")) > 20)
    assert [m.stream for m in outputs.messages["audio"]][:1] == ["network"]
    assert outputs.messages["audio"][0].kind == "eos"  # at once: there is none


def test_a_server_that_vanishes_and_returns_begins_a_new_epoch() -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    stage = capture(uri, reconnect=1.0)

    async def drive() -> Outputs:
        with Sender(uri, start=100.0):
            context = playing(stage)
            harness = await context.__aenter__()
            await until(lambda: both(harness.outputs, 1.0))
        await until(lambda: harness.outputs.warnings)
        with Sender(uri, start=3.0):
            before = {kind: len(harness.outputs.data(kind)) for kind in ("video", "audio")}
            await until(lambda: all(len(harness.outputs.data(kind)) > n + 10 for kind, n in before.items()))
            await context.__aexit__(None, None, None)
        return harness.outputs

    outputs = asyncio.run(drive())
    check(outputs)
    assert [text.partition(" (")[0] for text in outputs.warnings[:1]] == [f"{uri} was lost"]
    assert outputs.warnings[1].startswith(f"{uri} is back after ")
    assert len(outputs.warnings) == 2
    for kind in ("video", "audio"):
        assert sorted({m.epoch for m in outputs.data(kind)}) == [0, 1]


def test_times_that_jump_begin_a_new_epoch() -> None:
    """One sender after the other on the same socket: a recording that is played in a loop."""
    uri = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    stage = capture(uri)

    async def drive() -> Outputs:
        with Sender(f"{uri}?pkt_size=1316", start=900.0):
            context = playing(stage)
            harness = await context.__aenter__()
            await until(lambda: both(harness.outputs, 1.0))
        with Sender(f"{uri}?pkt_size=1316", start=2.0):
            await until(lambda: stage.counters["jumps"])
            count = len(harness.outputs.data("video"))
            await until(lambda: len(harness.outputs.data("video")) > count + 10)
            await context.__aexit__(None, None, None)
        return harness.outputs

    outputs = asyncio.run(drive())
    check(outputs)
    assert outputs.data("video")[-1].epoch >= 1
    assert outputs.data("video")[-1].pts < 60 * SECOND
    assert outputs.warnings == []


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and where a web server has it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_recording_on_a_web_server_is_played_at_its_own_pace_and_ends(web: tuple[Path, str]) -> None:
    folder, address = web
    make(folder / "clip.mp4", pictures=list(np.arange(0, 1.5, 0.05)), sound=tone(1.5, 16_000))
    began = time.monotonic()
    outputs = play(
        capture(f"{address}/clip.mp4"),
        lambda outputs: all(any(m.kind == "eos" for m in each) for each in outputs.messages.values()),
    )
    assert time.monotonic() - began > 1.4
    check(outputs)
    assert outputs.data("video")[-1].pts == pytest.approx(1450 * MS, abs=60 * MS)
    assert {m.epoch for messages in outputs.messages.values() for m in messages} == {0}  # its end is no new beginning
    assert outputs.warnings == []


def test_hls_is_played_at_its_own_pace(web: tuple[Path, str]) -> None:
    """Segments of a second, all there at once."""
    folder, address = web
    options = {"hls_time": "1", "hls_list_size": "0"}
    clip = make(folder / "clip.mp4", pictures=list(np.arange(0, 3, 0.05)), sound=tone(3.0, 48_000), rate=48_000)
    with av.open(str(clip)) as source, av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as hls:
        copies = {stream.index: hls.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                hls.mux(packet)
    began = time.monotonic()
    outputs = play(capture(f"{address}/live.m3u8"), lambda outputs: both(outputs, 2.0))
    assert time.monotonic() - began > 1.9
    check(outputs)
    assert len(outputs.data("video")) > 20
    assert outputs.gaps("audio") == []


def jpeg() -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(np.full((72, 64), 128, np.uint8), "yuvj420p")
    return b"".join(bytes(packet) for packet in encoder.encode(picture))


def test_motion_jpeg_by_http_goes_by_its_arrival_and_over_what_is_broken() -> None:
    """Ten pictures a second, of which FFmpeg would believe that they are 25; each sixth is none."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
            self.end_headers()
            picture = jpeg()
            with suppress(OSError):  # until nobody wants more
                for number in range(1000):
                    data = b"\xff\xd8\xff\xc0" + bytes(200) if number % 6 == 5 else picture
                    head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    time.sleep(0.1)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stage = capture(f"http://127.0.0.1:{server.server_address[1]}/video")
    outputs = play(stage, lambda outputs: outputs.data("video") and outputs.data("video")[-1].pts > 2500 * MS)
    server.shutdown()
    server.server_close()
    thread.join()
    times = [m.pts for m in outputs.data("video")]
    assert np.median(np.diff(times)) > 80 * MS
    assert stage.counters["damaged"] >= 2


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("rtsp://anna:s3cret@127.0.0.1:{port}/x?key=s3cret", "nothing listens there; start the camera or server"),
        ("http://127.0.0.1:{port}/x", "nothing listens there"),
        ("udp://127.0.0.1:{port}", "no stream came within 0.5 s"),
        ("rtsp://no-such-camera.invalid/x", "there is no host of that name"),
    ],
)
def test_what_cannot_be_reached_is_said_before_anything_plays(uri: str, expected: str) -> None:
    with pytest.raises(MediaError) as error:
        play(capture(uri.format(port=free_port()), timeout=0.5), lambda outputs: True)
    assert expected in str(error.value)
    assert "s3cret" not in str(error.value)
    assert error.value.exit_code == 2


def test_what_a_server_says_is_passed_on(web: tuple[Path, str]) -> None:
    folder, address = web
    with pytest.raises(MediaError, match="the server has no such stream; check the path"):
        play(capture(f"{address}/nothing.ts"), lambda outputs: True)
    (folder / "page.html").write_text("<html>" * 1000)
    with pytest.raises(MediaError, match="gives no stream that FFmpeg can read"):
        play(capture(f"{address}/page.html"), lambda outputs: True)


def test_settings_are_checked_before() -> None:
    settings, _ = convert({"uri": "clip.mp4", "options": ["listen"]}, NetworkCapture.Settings)
    problems = dict(settings.check())
    assert "a recording is played by file-capture" in problems["uri"]
    assert problems["options"] == '"listen" is not NAME=VALUE'
    assert capture("rtsp://host/x").settings.check() == []


def test_what_is_asked_of_ffmpeg() -> None:
    asked = capture("RTSP://host/x", transport="udp", options=["probesize = 32", "fflags=x=y"])._options()
    assert asked == {"fflags": "x=y", "analyzeduration": "1000000", "rtsp_transport": "udp", "probesize": "32"}
    assert capture("http://host/live.m3u8")._options() == {}
