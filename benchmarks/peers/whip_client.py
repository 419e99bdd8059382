"""A WHIP client (RFC 9725) that sends the tracks of a recording in real time, as a person's browser would.

    python -m benchmarks.peers.whip_client clip.mp4 --endpoint http://127.0.0.1:8080 --peers 4

What is sent was encoded once, before (`encode`): sending costs next to nothing, so that many peers fit beside the
server they test.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

# Browsers wait for a key frame when they begin to watch; a server that joins late must not.
KEY_EVERY = 30  # frames


def encode(source: str | Path, target: str | Path, *, codec: str = "libx264", size: int | None = None) -> Path:
    """Write `source` as H264 (`libx264`) or VP8 (`libvpx`) and Opus, as WebRTC carries them; returns `target`.

    Args:
        size: the picture's width, if it is to be another.
    """
    with av.open(str(source)) as given, av.open(str(target), "w", format="matroska") as made:
        streams: dict[int, tuple[Any, Any]] = {}
        for stream in given.streams.video[:1]:
            rate = Fraction(stream.average_rate or 30).limit_denominator(1001)
            video = made.add_stream(codec, rate=rate)
            width, height = stream.codec_context.width, stream.codec_context.height
            video.width = size or width
            video.height = round(height * video.width / width / 2) * 2
            video.pix_fmt = "yuv420p"
            video.bit_rate = 2_500_000
            video.codec_context.time_base = Fraction(1, 90_000)
            video.codec_context.gop_size = KEY_EVERY
            video.options = (
                {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
                if codec == "libx264"
                else {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
            )
            streams[stream.index] = video, None
        for stream in given.streams.audio[:1]:
            audio = made.add_stream("libopus", rate=48_000, layout="stereo")
            streams[stream.index] = audio, av.AudioResampler("s16", "stereo", 48_000, frame_size=960)
        for packet in given.demux([given.streams[index] for index in streams]):
            encoder, resampler = streams[packet.stream.index]
            for frame in packet.decode():
                for ready in resampler.resample(frame) if resampler else [frame]:
                    made.mux(encoder.encode(ready))
        for encoder, resampler in streams.values():
            for ready in resampler.resample(None) if resampler else []:
                made.mux(encoder.encode(ready))
            made.mux(encoder.encode(None))
    return Path(target)


class PacketTrack(MediaStreamTrack):
    """Sends encoded packets when they are due: their pts after the moment that `start` gives.

    Args:
        packets: (payload, pts, time base), in order.
        start: the moment (monotonic s) of pts 0; shared by the tracks of one recording.

    Attributes:
        late: by how much (s) the latest packet came after it was due: a busy machine is no fair sender.
    """

    def __init__(self, kind: str, packets: Sequence[tuple[bytes, int, Fraction]], start: float) -> None:
        super().__init__()
        self.kind = kind
        self._packets = iter(packets)
        self._start = start
        self.done = asyncio.Event()
        self.late = 0.0

    async def recv(self) -> av.Packet:  # type: ignore[override]
        data, pts, base = next(self._packets, (b"", 0, Fraction(1)))
        if not data:
            self.done.set()
            await asyncio.Future()  # a sender that has ended says BYE; here the client says when
        wait = self._start + float(pts * base) - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self.late = max(self.late, time.monotonic() - self._start - float(pts * base))
        packet = av.Packet(data)
        packet.pts, packet.time_base = pts, base
        return packet


def packets(file: str | Path, kind: str, *, loops: int = 1) -> list[tuple[bytes, int, Fraction]]:
    """The packets of one track of an encoded recording, in Annex B if H264, `loops` times one after the other."""
    found: list[tuple[bytes, int, Fraction]] = []
    with av.open(str(file)) as container:
        length = (container.duration or 0) / av.time_base
        stream = next(iter(getattr(container.streams, kind)), None)
        if stream is None:
            return []
        base = stream.time_base or Fraction(1, 1000)
        for packet in _annex_b(stream, container.demux(stream)):
            if packet.pts is not None and packet.size:
                found.append((bytes(packet), packet.pts, base))
    step = round(length / base)
    return [(data, pts + step * loop, base) for loop in range(loops) for data, pts, base in found]


def _annex_b(stream: Any, given: Iterator[Any]) -> Iterator[Any]:
    if stream.codec_context.name != "h264":
        yield from given
        return
    to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
    for packet in given:
        yield from to_annex_b.filter(packet)


class WhipClient:
    """One peer: joins when entered, leaves when left. Its tracks are sent as they come.

    Attributes:
        stream: the name that the server gave.
        resource: the address of the session; DELETE ends it.
    """

    def __init__(
        self, endpoint: str, tracks: Sequence[MediaStreamTrack], *, token: str = "", name: str = "", delete: bool = True
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._tracks = tracks
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._query = {"name": name} if name else {}
        self._delete = delete
        self.stream = ""
        self.resource = ""
        # Never without a list: aiortc would ask a public STUN server.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def __aenter__(self) -> "WhipClient":
        for track in self._tracks:
            transceiver = self.connection.addTransceiver(track, direction="sendonly")
            self._prefer(transceiver, track)
        try:
            await self.connection.setLocalDescription(await self.connection.createOffer())
            answer = await self._post(self.connection.localDescription.sdp)
            await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            async with asyncio.timeout(20):
                while self.connection.connectionState != "connected":
                    await asyncio.sleep(0.02)
        except BaseException:
            await self.connection.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._delete and self.resource:
            async with aiohttp.ClientSession() as client:
                async with client.delete(self.resource, headers=self._headers):
                    pass
        await self.connection.close()

    async def vanish(self) -> None:
        """Go without a word: no DELETE, no BYE, no DTLS alert, as when a cable is pulled."""
        self._delete = False
        for transceiver in self.connection.getTransceivers():
            for component in transceiver.receiver.transport.transport._connection._protocols:
                component.transport.abort()

    async def _post(self, offer: str) -> str:
        headers = {**self._headers, "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as client:
            url = f"{self._endpoint}/whip"
            async with client.post(url, data=offer, headers=headers, params=self._query) as answer:
                text = await answer.text()
                if answer.status != 201:
                    raise ConnectionRefusedError(f"{answer.status}: {text}")
                self.resource = self._endpoint + answer.headers["Location"]
                self.stream = answer.headers["Emopipe-Stream"]
        return text

    @staticmethod
    def _prefer(transceiver: Any, track: MediaStreamTrack) -> None:
        """Offer the codec that encoded packets have, if they are such."""
        from aiortc import RTCRtpSender

        codec = getattr(track, "codec", None)
        if codec:
            known = RTCRtpSender.getCapabilities(track.kind)
            assert known is not None
            transceiver.setCodecPreferences([each for each in known.codecs if each.mimeType.lower() == codec])


def recorded(file: str | Path, *, loops: int = 1, late: float = 0.0, ahead: float = 0.3) -> list[PacketTrack]:
    """The tracks of an encoded recording, to be sent from `ahead` s on; the video `late` s after the sound.

    Args:
        late: the video's first packets are left out, so that its sending starts so much later; its time stays true.
    """
    with av.open(str(file)) as container:
        codecs = {stream.type: stream.codec_context.name for stream in container.streams}
    start = time.monotonic() + ahead
    tracks = []
    for kind, codec in codecs.items():
        sent = packets(file, kind, loops=loops)
        if kind == "video" and late:
            sent = [each for each in sent if float(each[1] * each[2]) >= late]
        track = PacketTrack(kind, sent, start)
        track.codec = f"{kind}/{codec}"  # type: ignore[attr-defined]
        tracks.append(track)
    return tracks


async def _send(file: Path, endpoint: str, token: str, loops: int, delay: float) -> None:
    await asyncio.sleep(delay)
    tracks = recorded(file, loops=loops)
    async with WhipClient(endpoint, tracks, token=token) as client:
        print(f"{client.stream} has joined", flush=True)
        await asyncio.gather(*(track.done.wait() for track in tracks))
        await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8080")
    parser.add_argument("--token", default="")
    parser.add_argument("--peers", type=int, default=1)
    parser.add_argument("--loops", type=int, default=1)
    parser.add_argument("--apart", type=float, default=0.5, help="s between two peers' joining")
    arguments = parser.parse_args()

    async def all_of_them(encoded: Path) -> None:
        given = (arguments.endpoint, arguments.token, arguments.loops)
        await asyncio.gather(*(_send(encoded, *given, arguments.apart * n) for n in range(arguments.peers)))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(all_of_them(encode(arguments.file, Path(folder) / "encoded.mkv")))


if __name__ == "__main__":
    main()
