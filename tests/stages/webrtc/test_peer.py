"""Real peers over a real network: their media, their clocks, and what goes wrong with them."""

import asyncio
import os
import re
import socket
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiortc import MediaStreamTrack

from benchmarks.peers.whip_client import PacketTrack, WhipClient, recorded
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.web.server import Session, WebServer
from tests.support.waiting import until
from tests.support.webrtc import Never, beeps, ended, flashes, flashes_and_beeps, serving

pytestmark = pytest.mark.slow("sends over WebRTC in real time")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, H264 and Opus."""
    return flashes_and_beeps(tmp_path_factory.mktemp("media") / "flashes.mkv", 6.0)


@pytest.fixture(scope="module")
def vp8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, VP8 and Opus."""
    return flashes_and_beeps(tmp_path_factory.mktemp("media") / "vp8.mkv", 2.0, codec="libvpx")


def only(kind: str, tracks: Sequence[PacketTrack]) -> list[PacketTrack]:
    return [track for track in tracks if track.kind == kind]


def send(
    tracks: Callable[[], Sequence[MediaStreamTrack]], enough: Callable[[StageHarness, Session], Any], **settings: Any
) -> tuple[StageHarness, str, list[str]]:
    """Let one peer send until it is enough; the harness afterwards, the stream's name, what the person was told."""

    async def drive() -> tuple[StageHarness, str, list[str]]:
        async with serving(**settings) as harness:
            async with WhipClient(harness.stage.settings.endpoint, tracks()) as client:
                session = session_of(harness, client)
                await until(lambda: enough(harness, session))
            if any(harness.outputs.messages.values()):
                await until(ended(harness, client.stream))
            return harness, client.stream, await session.unread.read() if session.unread else []

    return asyncio.run(drive())


def session_of(harness: StageHarness, client: WhipClient) -> Session:
    server: WebServer = harness.stage._server  # type: ignore[attr-defined]
    session = server.sessions.find(client.resource.rpartition("/")[2])
    assert session is not None
    return session


def told(harness: StageHarness, session: Session) -> bool:
    return bool(session.unread)


# -- media ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_pictures_and_sound_become_a_stream_that_begins_at_zero_and_ends(
    codec: str, recording: Path, vp8: Path
) -> None:
    def enough(harness: StageHarness, _: Session) -> bool:
        return len(harness.outputs.data("video")) > 10 and len(harness.outputs.data("audio")) > 10

    harness, stream, said = send(lambda: recorded(vp8 if codec == "vp8" else recording), enough)
    assert stream == "webrtc/peer-1"
    assert said == []
    pictures, sound = harness.outputs.data("video"), harness.outputs.messages["audio"][:-1]
    assert min(pictures[0].pts, sound[0].pts) < 200 * MS
    assert pictures[0].payload.luma.shape == (120, 160)
    assert all(later.pts > earlier.pts for earlier, later in pairwise(pictures))
    assert {message.kind for message in sound} <= {"data", "gap"}
    assert all(later.pts == earlier.pts + earlier.duration for earlier, later in pairwise(sound))


def test_sound_and_pictures_belong_together_within_80_ms_however_far_apart_they_start(recording: Path) -> None:
    async def one(harness: StageHarness, late: float) -> tuple[list[float], float]:
        """How far flashes are from their beeps (ms), and by how much (s) a packet was sent late."""
        tracks = recorded(recording, late=late)
        async with WhipClient(harness.stage.settings.endpoint, tracks) as client:
            await asyncio.sleep(6.0)
        await until(ended(harness, client.stream))
        seen, heard = flashes(harness, client.stream)[-3:], beeps(harness, client.stream)[-3:]  # there were reports
        apart = [(min(heard, key=lambda beep: abs(flash - beep)) - flash) / MS for flash in seen]
        print(f"pictures started {late * 1000:.0f} ms late: {[round(each, 1) for each in apart]} ms from the sound")
        return apart, max(track.late for track in tracks)

    async def drive() -> bool:
        async with serving() as harness:
            together, apart = await asyncio.gather(one(harness, 0.0), one(harness, 0.5))
        if max(together[1], apart[1]) > 0.05:  # aiortc reports when it sent a packet, not when that was due
            return False
        assert max(abs(each) for each in together[0] + apart[0]) < 80
        assert len(together[0]) == len(apart[0]) == 3
        return True

    if not any(asyncio.run(drive()) for _ in range(6)):
        pytest.skip("this machine is too busy to send a recording in real time")


@pytest.mark.parametrize(("kind", "missing"), [("video", "audio"), ("audio", "video")])
def test_what_a_peer_does_not_bring_ends_at_once(kind: str, missing: str, recording: Path) -> None:
    async def drive() -> None:
        async with serving() as harness:
            messages = harness.outputs.messages
            async with WhipClient(harness.stage.settings.endpoint, only(kind, recorded(recording))):
                await until(lambda: harness.outputs.data(kind))
                assert [message.kind for message in messages[missing]] == ["eos"]
                assert all(message.kind == "data" for message in messages[kind])
            await until(lambda: messages[kind][-1].kind == "eos")

    asyncio.run(drive())


def test_peers_come_and_go_at_any_time(recording: Path) -> None:
    async def drive() -> None:
        async with serving() as harness:
            endpoint = harness.stage.settings.endpoint
            async with WhipClient(endpoint, recorded(recording), name="ada"):
                await until(lambda: harness.outputs.data("video", "webrtc/ada"))
                async with WhipClient(endpoint, recorded(recording), name="ada") as second:
                    assert second.stream == "webrtc/peer-1"  # the name is taken
                    await until(lambda: harness.outputs.data("audio", "webrtc/peer-1"))
                await until(ended(harness, "webrtc/peer-1"))
                assert not ended(harness, "webrtc/ada")()
                before = len(harness.outputs.data("video", "webrtc/ada"))
                await until(lambda: len(harness.outputs.data("video", "webrtc/ada")) > before + 5)
            await until(ended(harness, "webrtc/ada"))
            async with WhipClient(endpoint, recorded(recording), name="ada") as third:
                assert third.stream == "webrtc/ada"  # it is free again
                await until(lambda: harness.outputs.messages["video"][-1].kind == "data")

    asyncio.run(drive())


def test_a_run_that_is_drained_ends_every_stream(recording: Path) -> None:
    async def drive() -> None:
        async with serving() as harness:
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording), delete=False):
                await until(lambda: harness.outputs.data("video") and harness.outputs.data("audio"))
                await harness.drain()
                assert ended(harness, "webrtc/peer-1")()

    asyncio.run(drive())


def test_pictures_that_come_faster_than_wanted_are_skipped(recording: Path) -> None:
    def enough(harness: StageHarness, _: Session) -> bool:
        return len(harness.outputs.data("video")) > 8

    harness, stream, _ = send(lambda: only("video", recorded(recording)), enough, max_fps=10)
    pictures = harness.outputs.data("video", stream)
    seconds = (pictures[-1].pts - pictures[0].pts) / SECOND
    assert len(pictures) <= 10 * seconds + 3
    assert harness.stage.counters["skipped"] > 5
    assert harness.stage.counters["frames"] >= len(pictures) + harness.stage.counters["skipped"]


def test_one_picture_a_second_is_enough(tmp_path: Path) -> None:
    slow = flashes_and_beeps(tmp_path / "slow.mkv", 3.0, fps=1)

    def enough(harness: StageHarness, _: Session) -> bool:
        return len(harness.outputs.data("video")) > 1

    harness, stream, said = send(lambda: only("video", recorded(slow)), enough, patience=2.0)
    assert said == []
    steps = [(later.pts - earlier.pts) / SECOND for earlier, later in pairwise(harness.outputs.data("video", stream))]
    assert steps == pytest.approx([1.0] * len(steps), abs=0.3)
    assert steps


def test_a_picture_does_not_wait_for_the_next_one(vp8: Path) -> None:
    def three() -> list[PacketTrack]:
        (track,) = only("video", recorded(vp8))
        track._packets = iter(list(track._packets)[:3])
        return [track]

    def enough(harness: StageHarness, _: Session) -> bool:
        return harness.stage.counters["frames"] == 3

    send(three, enough)


# -- peers that go wrong -------------------------------------------------------------------------------------


def test_a_peer_that_vanishes_is_noticed_within_seconds(recording: Path) -> None:
    async def drive() -> None:
        async with serving(patience=1.0) as harness:
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording)) as client:
                await until(lambda: harness.outputs.data("video"))
                await client.vanish()
                await until(ended(harness, "webrtc/peer-1"))
            assert not harness.stage._peers  # type: ignore[attr-defined]

    asyncio.run(drive())


def test_a_peer_that_sends_nothing_is_told_and_let_go_without_a_trace() -> None:
    harness, _, said = send(lambda: [Never("video"), Never("audio")], told, patience=0.6)
    assert said == ["Nothing was seen or heard for 0.6 s, so the connection was closed."]
    assert not any(harness.outputs.messages.values())


def test_what_does_not_decode_counts_as_nothing(recording: Path) -> None:
    def garbage() -> list[PacketTrack]:
        (track,) = only("video", recorded(recording))
        track._packets = iter([(os.urandom(400), pts, base) for _, pts, base in list(track._packets)])
        track.codec = "video/vp8"  # type: ignore[attr-defined]
        return [track]

    harness, _, said = send(garbage, told, patience=0.6)
    assert said == ["Nothing was seen or heard for 0.6 s, so the connection was closed."]
    assert harness.outputs.warnings == []


def test_garbage_on_the_wire_reaches_nobody(recording: Path) -> None:
    """STUN, DTLS and RTP are told apart by the first byte (RFC 7983): random bytes of each kind, from elsewhere."""

    async def drive() -> None:
        async with serving() as harness:
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording)) as client:
                await until(lambda: harness.outputs.data("video"))
                candidates = re.findall(
                    r"a=candidate:\S+ \d udp \d+ (\d+\.\S+) (\d+) ", client.connection.remoteDescription.sdp
                )
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    for address, port in candidates:
                        for first in (0, 1, 20, 22, 63, 64, 128, 200, 255) * 30:
                            stranger.sendto(bytes([first]) + os.urandom(first % 90), (address, int(port)))
                before = len(harness.outputs.data("video"))
                await until(lambda: len(harness.outputs.data("video")) > before + 10)
            await until(ended(harness, "webrtc/peer-1"))
            assert candidates
            assert harness.stage.counters["failed"] == 0

    asyncio.run(drive())


def test_a_picture_that_stops_is_told_while_the_sound_goes_on(recording: Path) -> None:
    def frozen() -> list[PacketTrack]:
        tracks = recorded(recording)
        (video,) = only("video", tracks)
        video._packets = iter(list(video._packets)[:15])
        return tracks

    harness, stream, said = send(frozen, told, patience=1.0)
    assert said == ["No picture has come for 1 s."]
    assert harness.outputs.data("audio", stream)[-1].pts > harness.outputs.data("video", stream)[-1].pts + 500 * MS


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_picture_that_is_too_large_is_told(codec: str, recording: Path, vp8: Path) -> None:
    harness, _, said = send(lambda: recorded(vp8 if codec == "vp8" else recording), told, max_size=140)
    assert said == ["The picture is 160×120; send one of at most 140 pixels on its longer side."]
    assert harness.outputs.data("video") == []


def test_a_page_that_goes_takes_its_peer_with_it(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.webrtc.peer.PAGE_GRACE_S", 0.3)

    async def drive() -> None:
        async with serving() as harness:
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording), delete=False) as client:
                session = session_of(harness, client)
                page = session.open_page()
                await until(lambda: harness.outputs.data("video"))
                session.close_page(page)
                page = session.open_page()  # it was only loaded again
                await asyncio.sleep(0.8)
                assert not ended(harness, "webrtc/peer-1")()
                session.close_page(page)
                await until(ended(harness, "webrtc/peer-1"))
                assert await session.unread.read() == ["The page was closed."]

    asyncio.run(drive())


def test_nothing_is_left_of_peers_that_have_gone(recording: Path) -> None:
    def held() -> tuple[int, int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())

    async def once(harness: StageHarness, *, vanish: bool) -> None:
        async with WhipClient(harness.stage.settings.endpoint, recorded(recording, ahead=0.0)) as client:
            await until(lambda: harness.outputs.data("audio", client.stream))
            if vanish:
                await client.vanish()
        await until(ended(harness, client.stream))
        await until(lambda: client.stream not in harness.stage._peers)  # type: ignore[attr-defined]

    async def drive() -> None:
        async with serving(patience=0.5, max_peers=2) as harness:
            await once(harness, vanish=False)
            before = held()
            for number in range(6):
                await once(harness, vanish=number % 3 == 0)
            await until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))

    asyncio.run(drive())
