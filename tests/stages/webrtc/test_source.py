"""The webrtc stage as its callers meet it: WHIP, its refusals and its limits."""

import asyncio
import gzip
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.peers.whip_client import WhipClient, recorded
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.testing import StageHarness, run_stage
from emopipe.stages.webrtc.places import free_name
from emopipe.stages.webrtc.source import WebRtc
from tests.support.endpoints import free_endpoint
from tests.support.offers import make_offer
from tests.support.waiting import until
from tests.support.webrtc import Never, ended, flashes_and_beeps, serving

pytestmark = pytest.mark.slow("sends over WebRTC in real time")

SDP = {"Content-Type": "application/sdp"}
TOKEN = "a-token-of-enough-characters"


def post(offer: str | bytes, headers: dict[str, str] = SDP, **settings: Any) -> tuple[int, str, Any]:
    """(status, text, headers) of one offer."""

    async def drive() -> tuple[int, str, Any]:
        async with serving(**settings) as harness:
            return await ask(harness, "POST", "/whip", data=offer, headers=headers)

    return asyncio.run(drive())


async def ask(harness: StageHarness, method: str, path: str, **request: Any) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as client:
        async with client.request(method, harness.stage.settings.endpoint + path, **request) as answer:
            return answer.status, await answer.text(), answer.headers


# -- WHIP ----------------------------------------------------------------------------------------------------


def test_an_offer_is_answered_with_all_candidates_and_an_address_of_its_own() -> None:
    async def drive() -> None:
        async with serving() as harness:
            offer = await make_offer("video", "audio")
            status, answer, headers = await ask(harness, "POST", "/whip?name=ada", data=offer, headers=SDP)
            assert status == 201
            assert headers["Content-Type"].startswith("application/sdp")
            assert headers["ETag"].startswith('"')
            assert headers["Emopipe-Stream"] == "webrtc/ada"
            assert "Link" not in headers
            assert "Access-Control-Allow-Origin" not in headers
            assert answer.count("a=recvonly") == 2
            assert "a=candidate:" in answer
            assert {"VP8/90000", "H264/90000", "opus/48000/2"} <= {
                line.split()[1] for line in answer.splitlines() if line.startswith("a=rtpmap:")
            }
            assert "PCMU" not in answer
            path = headers["Location"]
            assert path.startswith("/whip/")
            assert len(path) > 30
            assert (await ask(harness, "PATCH", path, data="", headers=SDP))[0] == 405
            assert (await ask(harness, "DELETE", path))[0] == 200
            await until(lambda: not harness.stage._peers)  # type: ignore[attr-defined]
            assert (await ask(harness, "DELETE", path))[0] == 200  # again does no harm
            assert (await ask(harness, "DELETE", "/whip/unknown"))[0] == 404
            assert not any(harness.outputs.messages.values())  # who sent nothing is no stream

    asyncio.run(drive())


def test_options_say_what_is_accepted() -> None:
    async def drive() -> None:
        async with serving(token=TOKEN) as harness:
            status, _, headers = await ask(harness, "OPTIONS", "/whip")
            assert (status, headers["Accept-Post"]) == (204, "application/sdp")
            assert (await ask(harness, "GET", "/whip"))[0] == 405

    asyncio.run(drive())


def test_ice_servers_are_handed_on() -> None:
    settings = {"ice_servers": ("turn:127.0.0.1:9",), "ice_username": "me", "ice_credential": "secret"}
    links = WebRtc(WebRtc.Settings(**settings))._links()
    assert links == [
        '<turn:127.0.0.1:9>; rel="ice-server"; username="me"; credential="secret"; credential-type="password"'
    ]
    assert WebRtc.Settings(ice_servers=("stun:stun.example.org:3478", "turns:[::1]:5349")).check() == []
    ((key, text),) = WebRtc.Settings(ice_servers=("example.org",)).check()
    assert key == "ice_servers"
    assert "expected stun:HOST:PORT" in text


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 33, "../x", "ä"])
def test_a_name_that_cannot_be_one_is_replaced_by_a_number(name: str) -> None:
    assert free_name("webrtc", name, {}, count(1)) == "webrtc/peer-1"


def test_a_name_that_is_taken_is_replaced_by_a_number_that_is_free() -> None:
    numbers = count(1)
    expected = ["webrtc/peer-1", "webrtc/peer-2", "webrtc/peer-3"]
    assert [free_name("webrtc", "", {}, numbers) for _ in range(3)] == expected
    assert free_name("webrtc", "peer-4", {}, numbers) == "webrtc/peer-4"
    assert free_name("webrtc", "peer-4", {"webrtc/peer-4"}, numbers) == "webrtc/peer-5"


# -- bad offers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "status", "text"),
    [
        (b"", 400, "not an offer in SDP"),
        (b"hello", 400, "not an offer in SDP"),
        (b"v=0\r\n", 422, "neither pictures nor sound"),
        (b"v=0\r\nm=\r\n", 400, "not an offer in SDP"),
        (b"v=0\r\nm=video x y z\r\n", 400, "not an offer in SDP"),
        (b"\xff\xfe\x00", 400, "not an offer in SDP"),
        (b"v=0\r\n" + b"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 20, 400, "more than 8 media sections"),
        (b"v=0\r\n" + b"a=candidate:\r\n" * 65, 400, "more than 64 candidates"),
        (b"v=0\r\n" + b"a" * 70_000, 413, "larger than 65536 bytes"),
    ],
)
def test_what_is_no_offer_is_refused_in_words(offer: bytes, status: int, text: str) -> None:
    given = post(offer)
    assert given[0] == status
    assert text in given[1]


def test_another_type_than_sdp_is_refused() -> None:
    status, text, _ = post(b"{}", headers={"Content-Type": "application/json"})
    assert status == 415
    assert "application/sdp" in text


@pytest.mark.parametrize(
    ("kinds", "options", "text"),
    [
        (("video",), {"direction": "recvonly"}, "neither pictures nor sound"),
        ((), {"channel": True}, "neither pictures nor sound"),
        (("audio",), {"channel": True}, "data channel"),
        (("video", "video"), {}, "2 video tracks; send one"),
    ],
)
def test_an_offer_without_what_we_take_is_refused(kinds: tuple[str, ...], options: dict[str, Any], text: str) -> None:
    status, said, _ = post(asyncio.run(make_offer(*kinds, **options)))
    assert status == 422
    assert text in said


def test_an_offer_with_more_than_pictures_and_sound_is_refused() -> None:
    offer = asyncio.run(make_offer("audio", "video"))
    assert "m=video" in offer
    status, text, _ = post(offer.replace("m=video", "m=text"))
    assert status == 422
    assert "something else beside pictures and sound" in text


@pytest.mark.parametrize(
    ("kind", "known", "text"),
    [("video", ("VP8", "H264"), "expected VP8 or H264"), ("audio", ("opus",), "expected opus")],
)
def test_codecs_we_lack_are_named(kind: str, known: tuple[str, ...], text: str) -> None:
    offer = asyncio.run(make_offer("audio", "video"))
    for codec in known:
        offer = offer.replace(f" {codec}/", " AV1/")
    status, said, _ = post(offer)
    assert status == 422
    assert "AV1" in said
    assert text in said


@pytest.mark.parametrize("line", ["a=ice-ufrag:", "a=fingerprint:", "a=rtcp-mux"])
def test_an_offer_that_could_never_connect_is_refused(line: str) -> None:
    offer = asyncio.run(make_offer("audio"))
    damaged = "".join(each for each in offer.splitlines(keepends=True) if not each.startswith(line))
    status, text, _ = post(damaged)
    assert status in (400, 422)
    assert "offer" in text


def test_a_machine_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = asyncio.run(make_offer("audio"))
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    status, text, _ = post(offer)
    assert status == 503
    assert "no network" in text


def test_a_server_that_still_loads_its_models_asks_to_come_again_in_a_second() -> None:
    async def drive() -> None:
        async with serving() as harness:
            offer = await make_offer("audio")
            harness.stage._playing = False  # type: ignore[attr-defined]
            status, text, headers = await ask(harness, "POST", "/whip", data=offer, headers=SDP)
            assert status == 503
            assert headers["Retry-After"] == "1"
            assert "loaded" in text
            assert harness.stage.counters["offers"] == 0

    asyncio.run(drive())


# -- limits --------------------------------------------------------------------------------------------------


def test_without_the_token_nobody_gets_in() -> None:
    offer = asyncio.run(make_offer("audio"))
    status, _, headers = post(offer, token=TOKEN)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="emopipe"')
    assert post(offer, headers={**SDP, "Authorization": "Bearer wrong-wrong-wrong"}, token=TOKEN)[0] == 401
    assert post(offer, headers={**SDP, "Authorization": f"Bearer {TOKEN}"}, token=TOKEN)[0] == 201


def test_a_full_server_says_when_to_try_again(tmp_path: Path) -> None:
    recording = flashes_and_beeps(tmp_path / "short.mkv", 6.0)

    async def drive() -> None:
        async with serving(max_peers=1) as harness:
            offer = await make_offer("audio")
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording)):
                await until(lambda: harness.outputs.data("video"))
                full = await ask(harness, "POST", "/whip", data=offer, headers=SDP)
                assert full[0] == 503
                assert full[2]["Retry-After"] == "5"
                assert "All 1 places are taken" in full[1]
            await until(lambda: not harness.stage._peers)  # type: ignore[attr-defined]
            assert (await ask(harness, "POST", "/whip", data=offer, headers=SDP))[0] == 201

    asyncio.run(drive())


def test_offers_that_never_connect_take_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.webrtc.places.MAX_CONNECTING", 4)
    recording = flashes_and_beeps(tmp_path / "short.mkv", 2.0)

    async def drive() -> None:
        async with serving(max_peers=2) as harness:
            offer = await make_offer("audio")
            for _ in range(8):
                assert (await ask(harness, "POST", "/whip", data=offer, headers=SDP))[0] == 201
            await until(lambda: len(harness.stage._peers) <= 4)  # type: ignore[attr-defined]
            async with WhipClient(harness.stage.settings.endpoint, recorded(recording)) as client:
                await until(lambda: harness.outputs.data("video", client.stream))

    asyncio.run(drive())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_compressed_offers_are_refused_and_not_unpacked(encoding: str) -> None:
    headers = {**SDP, "Content-Encoding": encoding}
    for body in (gzip.compress(bytes(10_000_000)), b"not compressed at all"):
        status, text, _ = post(body, headers)
        assert (status, text) == (415, "Bodies are taken as they are, not compressed.")


def test_a_thousand_offers_at_once_are_turned_away_and_others_do_not_notice(tmp_path: Path) -> None:
    recording = flashes_and_beeps(tmp_path / "short.mkv", 4.0)

    async def drive() -> None:
        async with serving(offers_per_second=5, max_peers=3) as harness:
            endpoint = harness.stage.settings.endpoint
            async with WhipClient(endpoint, recorded(recording)) as client:
                await until(lambda: harness.outputs.data("video"))
                offer = await make_offer("audio", "video")
                before = len(harness.outputs.data("video"))
                async with aiohttp.ClientSession() as flood:

                    async def one() -> int:
                        async with flood.post(f"{endpoint}/whip", data=offer, headers=SDP) as answer:
                            return answer.status

                    began = asyncio.get_running_loop().time()
                    statuses = await asyncio.gather(*(one() for _ in range(1000)))
                    took = asyncio.get_running_loop().time() - began
                assert set(statuses) <= {201, 429, 503}
                assert statuses.count(201) <= 11 + 5 * took  # of which none takes a place before it has connected
                assert statuses.count(429) > 900
                await until(lambda: len(harness.outputs.data("video")) > before + 20)
                assert len(harness.outputs.data("audio", client.stream)) > 5
            await until(ended(harness, client.stream))

    asyncio.run(drive())


# -- settings ------------------------------------------------------------------------------------------------


def test_an_address_others_reach_needs_a_token() -> None:
    ((key, text),) = WebRtc.Settings(endpoint="http://0.0.0.0:8080").check()
    assert key == "token"
    assert "other machines" in text


def test_an_address_in_use_is_said_before_anything_plays() -> None:
    async def drive() -> None:
        async with serving() as harness:
            other = StageHarness(WebRtc(WebRtc.Settings(endpoint=harness.stage.settings.endpoint)), mode="live")
            servers = type(harness.stage._server)._servers  # type: ignore[attr-defined]
            taken = dict(servers)
            servers.clear()  # as another process sees it
            try:
                with pytest.raises(EmopipeError, match="is in use"):
                    await other.__aenter__()
            finally:
                servers.update(taken)

    asyncio.run(drive())


def test_what_comes_live_cannot_be_replayed() -> None:
    with pytest.raises(EmopipeError, match='set mode = "live"'):
        run_stage(WebRtc(WebRtc.Settings(endpoint=free_endpoint())), mode="replay")


def test_the_mistakes_of_a_library_s_own_tasks_are_warned_of_and_end_nothing() -> None:
    async def drive() -> None:
        from aioice.stun import parse_message

        passed_on: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: passed_on.append(context))
        async with serving() as harness:
            for _ in range(3):
                loop.call_soon(parse_message, b"\x00" * 20 + b"\xff" * 7)  # raises inside the library
            loop.call_soon(int, "no number")  # and this elsewhere
            await asyncio.sleep(0.05)
            (warning,) = harness.outputs.warnings
            assert warning.startswith("a connection: ")
            assert len(passed_on) == 1
        loop.call_soon(int, "no number")
        await asyncio.sleep(0.05)
        assert len(passed_on) == 2  # all is as it was before

    asyncio.run(drive())


def test_a_track_on_which_nothing_comes_holds_nobody_up_at_the_end() -> None:
    async def drive() -> None:
        async with serving() as harness:
            async with WhipClient(harness.stage.settings.endpoint, [Never("video")], delete=False):
                await harness.drain()

    asyncio.run(asyncio.wait_for(drive(), 20))
