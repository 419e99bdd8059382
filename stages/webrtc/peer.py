"""One WebRTC peer: from its offer to its end, as one stream."""

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.source import Source
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.media.clocked_audio import MAX_RATE_CHANGE
from emopipe.stages.web.rate_limit import RateLimit
from emopipe.stages.web.server import Session
from emopipe.stages.webrtc.clock import LagDetector, PeerClock
from emopipe.stages.webrtc.offer import CODECS, OfferError
from emopipe.stages.webrtc.receiver import ReceiverTap, TapCallbacks

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCIceServer, RTCPeerConnection

CONNECT_TIMEOUT_S = 15.0  # s from the answer to the connection
NEGOTIATION_TIMEOUT_S = 10.0  # s from the offer to the answer; STUN servers that do not answer take 5
PAGE_GRACE_S = 3.0  # s for the person's page to come back, when its WebSocket has gone
MAX_AUDIO_LAG_NS = 30 * MS  # a correction of the clock that sound does not follow by resampling, but at once
POLL_PERIOD_S = 0.25  # s between two looks at whether the peer is still there

_KIND_NAMES = {"video": "picture", "audio": "sound"}


class Limits(Protocol):
    """What a peer needs of the stage's settings."""

    small_size: int
    luma_size: int
    block: float
    max_size: int
    max_fps: float
    patience: float


class Peer:
    """Takes the media of one peer: `answer` its offer, then `run` until it has gone, or `finish` was called.

    `admit` is asked once it has connected, and says why it may not stay. Its stream begins with its first packet. A
    kind of media that it does not bring ends there; both end with it.
    Counts, beside what `stages.capture.live_tracks` does: `dropped` (encoded frames, while the decoder fell behind)
    and `corrected` (how often sound was moved at once, since reports said that it was off).

    Attributes:
        network: the caller's (`Caller.network`).
        connected: whether it takes a place: media may come.
    """

    def __init__(
        self,
        source: Source,
        session: Session,
        limits: Limits,
        ice_servers: "list[RTCIceServer] | None" = None,
        *,
        network: str | None = None,
        admit: Callable[[], str] = str,
    ) -> None:
        self.session = session
        self.network = network
        self.connected = False
        self._admit = admit
        self.stream = session.stream
        self._source = source
        self._limits = limits
        self._ice_servers = ice_servers or []
        self._clock = PeerClock()
        self._taps: dict[str, ReceiverTap] = {}
        self._first_packet_at: int | None = None  # running time of the first packet: the stream's pts 0
        self._started = False  # whether anything has been said downstream
        self._last_frame_at: dict[str, float] = {}  # when the last frame of each kind came (the loop's time)
        self._silent: set[str] = set()  # kinds whose silence the person has been told of
        self._left_at: float | None = None  # when the person's page went
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connection: RTCPeerConnection
        session.left.append(self._on_page_closed)

    async def answer(self, offer: str, kinds: list[str]) -> str:
        """The answer, with all candidates in it.

        Raises:
            OfferError: the offer cannot be taken, or there is no network to take it over.
        """
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

        # Never without a list: aiortc would ask a public STUN server for this machine's address.
        self._connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=self._ice_servers))
        try:
            for kind in kinds:
                known = RTCRtpReceiver.getCapabilities(kind)
                names = [name.lower() for name in (*CODECS[kind], "video/rtx")]
                wanted = [c for name in names for c in (known.codecs if known else []) if c.mimeType.lower() == name]
                connection.addTransceiver(kind, direction="recvonly").setCodecPreferences(wanted)
            async with asyncio.timeout(NEGOTIATION_TIMEOUT_S):
                await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
                self._tap_receivers()
                await connection.setLocalDescription(await connection.createAnswer())
        except TimeoutError:
            await _abandon(connection)
            raise OfferError(504, "The network took too long to set up; try again.") from None
        except Exception as error:  # what aiortc makes of the offers of strangers
            await _abandon(connection)
            raise OfferError(422, f"The offer cannot be taken: {error or type(error).__name__}.") from None
        except BaseException:
            await _abandon(connection)
            raise
        answer: str = connection.localDescription.sdp
        if "\na=candidate:" not in answer:
            failed = connection.iceConnectionState in ("failed", "closed")
            await _abandon(connection)
            raise _without_candidates(answer, failed=failed)
        connection.on("connectionstatechange", self._on_state_change)
        return answer

    async def run(self) -> None:
        """Take what comes until the peer has gone; then emit what is left, and end the stream."""
        limits, source = self._limits, self._source
        sizes = {"small_size": limits.small_size, "luma_size": limits.luma_size}
        video = LiveVideo(source, self.stream, origin=self._began, **sizes)
        audio = LiveAudio(source, self.stream, block=limits.block, origin=self._began)
        emitting = [asyncio.create_task(video.run()), asyncio.create_task(audio.run())]
        receiving = [
            asyncio.create_task(self._receive_video(receiver.track, video, limits))
            if kind == "video"
            else asyncio.create_task(self._receive_audio(receiver.track, audio))
            for kind, receiver in self._receivers().items()
        ]
        for task in (*emitting, *receiving):
            task.add_done_callback(self._on_task_end)
        try:
            if reason := await self._wait_for_end(receiving):
                self.session.notify(reason, last=True)
        except asyncio.CancelledError:  # the run was cut short: nobody takes what is left
            for task in emitting:
                task.cancel()
            raise
        finally:
            for task in receiving:
                task.cancel()
            closed, *_ = await asyncio.gather(self._connection.close(), *receiving, return_exceptions=True)
            if isinstance(closed, Exception):  # the stream must end all the same
                source.warn(f"{self.stream}: closing the connection failed: {type(closed).__name__}: {closed}")
            video.close()
            audio.close()
            await asyncio.gather(*emitting, return_exceptions=True)
        if self._started:
            for kind in self._taps:
                await source.end(self.stream, kind)
        for task in (*receiving, *emitting):
            if not task.cancelled():
                task.result()

    def finish(self, reason: str = "") -> None:
        """Let `run` come to its end; `reason` is told to the person."""
        if not self._ended.done():
            self._ended.set_result(reason)

    # -- is it still there? ----------------------------------------------------------------------------------

    async def _wait_for_end(self, receiving: "list[asyncio.Task[None]]") -> str:
        """Wait until the peer has gone; why it has, for the person."""
        loop = asyncio.get_running_loop()
        began, patience = loop.time(), self._limits.patience
        connected: float | None = None
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=POLL_PERIOD_S)
            now = loop.time()
            if connected is None and self._connection.connectionState == "connected":
                connected = now
            if connected is None and now - began > CONNECT_TIMEOUT_S:
                return f"No connection came about within {CONNECT_TIMEOUT_S:g} s; a firewall may stand between."
            if connected is not None:
                last = max(self._last_frame_at.values(), default=connected)
                if now - max(last, connected) > patience:
                    return f"Nothing was seen or heard for {patience:g} s, so the connection was closed."
                self._tell_of_silence(now, connected)
            if self._left_at is not None and now - self._left_at > PAGE_GRACE_S and self.session.pages == 0:
                return "The page was closed."
            if all(task.done() for task in receiving):
                return "The sender has ended."
        return self._ended.result()

    def _tell_of_silence(self, now: float, connected: float) -> None:
        """Tell the person of a track that has stopped while the other goes on; once, until it is back."""
        for kind in self._taps:
            silent = now - max(self._last_frame_at.get(kind, connected), connected) > self._limits.patience
            if silent and kind not in self._silent:
                self._silent.add(kind)
                self.session.notify(f"No {_KIND_NAMES[kind]} has come for {self._limits.patience:g} s.")
            elif not silent and kind in self._silent:
                self._silent.remove(kind)
                self.session.notify(f"The {_KIND_NAMES[kind]} is back.")

    def _on_page_closed(self) -> None:
        self._left_at = asyncio.get_running_loop().time()

    def _on_state_change(self) -> None:
        if self._connection.connectionState == "connected" and not self.connected:
            if refusal := self._admit():
                self.finish(refusal)
            else:
                self.connected = True
        if self._connection.connectionState in ("failed", "closed"):
            self.finish("The connection was lost." if self._connection.connectionState == "failed" else "")

    def _on_task_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self.finish("Something went wrong on the server.")  # `run` raises it

    # -- media -----------------------------------------------------------------------------------------------

    async def _receive_video(self, track: "MediaStreamTrack", live: LiveVideo, limits: Limits) -> None:
        from aiortc.mediastreams import MediaStreamError

        at = 0
        rate = RateLimit(limits.max_fps, 2, clock=lambda: at / SECOND)  # two at once: networks have jitter
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            at = await self._time("video", frame)
            if max(frame.width, frame.height) > limits.max_size:
                self._refuse_size(frame.width, frame.height)
            elif rate.take():
                live.offer(frame, at)
            else:
                self._source.count("frames", self.stream)
                self._source.count("skipped", self.stream)

    async def _receive_audio(self, track: "MediaStreamTrack", live: LiveAudio) -> None:
        from aiortc.mediastreams import MediaStreamError

        lag = LagDetector(MAX_RATE_CHANGE, MAX_AUDIO_LAG_NS)
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            at = await self._time("audio", frame)
            if self._clock.settled("audio") and lag.left_behind(self._taps["audio"].media(frame), at):
                self._source.count("corrected", self.stream)
                live.restart()
            live.offer(frame, at)

    async def _time(self, kind: str, frame: Any) -> int:
        """When a decoded frame was seen or heard (ns since the stream's begin); also notes that one has come."""
        self._last_frame_at[kind] = asyncio.get_running_loop().time()
        if not self._started:
            self._started = True
            for missing in set(self._source.outputs).difference(self._taps):
                await self._source.end(self.stream, missing)  # at once: a join would wait for it
        assert self._first_packet_at is not None
        return self._clock.at(kind, self._taps[kind].media(frame)) - self._first_packet_at

    def _began(self) -> int:
        """When running time 0 of the stream is (monotonic ns)."""
        assert self._first_packet_at is not None
        return self._source.host.base_time + self._first_packet_at

    def _tap_receivers(self) -> None:
        for kind, receiver in self._receivers().items():
            self._taps[kind] = ReceiverTap(receiver, kind, self._callbacks(kind), self._limits.max_size)

    def _callbacks(self, kind: str) -> TapCallbacks:
        def arrived(media: int) -> None:
            now = self._source.running_time()
            if self._first_packet_at is None:
                self._first_packet_at = now
            self._clock.arrived(kind, media, now)

        def reported(media: int, sender: int) -> None:
            self._clock.reported(kind, media, sender, self._source.running_time())

        def dropped(frames: int) -> None:
            self._source.count("dropped", self.stream, frames)

        return TapCallbacks(arrived, reported, self._refuse_size, dropped)

    def _refuse_size(self, width: int, height: int) -> None:
        most = self._limits.max_size
        self.finish(f"The picture is {width}×{height}; send one of at most {most} pixels on its longer side.")

    def _receivers(self) -> dict[str, Any]:
        """The receivers of the tracks that the peer brings, by kind."""
        found = self._connection.getTransceivers()
        return {each.kind: each.receiver for each in found if each.receiver.track is not None}


async def _abandon(connection: "RTCPeerConnection") -> None:
    """Close a connection that never came about; where aiortc cannot, since it was left half made, its sockets."""
    try:
        await connection.close()
    except Exception:  # of what an offer has confused
        for transport in connection._RTCPeerConnection__iceTransports:  # type: ignore[attr-defined]
            await transport.stop()


def _without_candidates(answer: str, *, failed: bool) -> OfferError:
    """Why there is no address in an answer that the media could come to; `failed`: ICE has given up already."""
    media = re.findall(r"^m=\w+ (\d+)", answer, re.MULTILINE)
    if media and not any(int(port) for port in media):
        return OfferError(422, "None of the tracks that are offered can be taken.")
    if failed:
        return OfferError(422, "No connection can come about by this offer: none of its addresses can be used.")
    if not own_addresses():
        return OfferError(503, "This server has no network that media could come over, only loopback.")
    return OfferError(503, "The server could not open a socket for the media; try again later.")


def own_addresses() -> list[str]:
    """This machine's addresses that media can come to; none where there is no network but loopback."""
    from aioice.ice import get_host_addresses

    return get_host_addresses(use_ipv4=True, use_ipv6=True)
