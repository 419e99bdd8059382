"""Offers: how much is read of them, and whom they can make this machine send to."""

import asyncio
import ipaddress
import socket
from collections import Counter
from contextlib import ExitStack

import aiohttp
import pytest

from emopipe.stages.web.callers import plain_address
from emopipe.stages.webrtc.offer import MAX_CANDIDATES, MAX_NAMES, MAX_PAIRS, OfferError, parse_offer
from emopipe.stages.webrtc.peer import own_addresses
from tests.support.offers import make_offer, with_candidates
from tests.support.waiting import until
from tests.support.webrtc import serving

LINE_ENDS = ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
FAR = ipaddress.ip_address("198.51.100.7")  # for documentation (RFC 5737): nobody is there
SDP = {"Content-Type": "application/sdp"}
SELF = ipaddress.ip_address("127.0.0.1")


@pytest.fixture(scope="module")
def offer() -> str:
    return asyncio.run(make_offer("audio"))


def tried(offer: str, candidates: list[tuple[str, int]], caller: str | None = str(FAR), own: int = 1) -> list[str]:
    address = None if caller is None else plain_address(caller)
    text = parse_offer(with_candidates(offer, candidates).encode(), address, own).text
    fields = [line.split() for line in text.splitlines() if line.startswith("a=candidate:")]
    return [f"{each[4]}:{each[5]}" for each in fields]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_candidates_and_sections_are_counted_as_the_parser_counts_them(offer: str, end: str) -> None:
    many = with_candidates(offer, [(str(FAR), 2000 + n) for n in range(MAX_CANDIDATES + 1)], end)
    with pytest.raises(OfferError, match="more than 64 candidates") as refused:
        parse_offer(many.encode(), FAR)
    assert refused.value.status == 400
    sections = end.join([*offer.splitlines(), *["m=audio 9 UDP/TLS/RTP/SAVPF 111"] * 8])
    with pytest.raises(OfferError, match="more than 8 media sections"):
        parse_offer(sections.encode(), FAR)
    few = parse_offer(with_candidates(offer, [(str(FAR), 2000)], end).encode(), FAR)
    assert few.text.count("\r\na=candidate:") == 1
    assert few.kinds == ["audio"]


def test_pairs_are_bounded_whatever_addresses_we_have(offer: str) -> None:
    many = [(str(FAR), 2000 + n) for n in range(MAX_CANDIDATES)]
    assert len(tried(offer, many)) == MAX_CANDIDATES
    for own in (2, 3, 10, 1000):
        assert len(tried(offer, many, own=own)) == max(1, MAX_PAIRS // own)
    assert tried(offer, many, own=50) == [f"{FAR}:2000", f"{FAR}:2001"]  # those of highest priority


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "::ffff:169.254.1.1"],
)
def test_nobody_from_elsewhere_makes_us_talk_to_ourselves(offer: str, address: str) -> None:
    assert tried(offer, [(address, 5000)]) == []
    assert tried(offer, [(address, 5000)], caller=None) == []


def test_who_sits_there_may(offer: str) -> None:
    assert tried(offer, [("127.0.0.1", 5000), ("169.254.1.1", 5000)], caller="127.0.0.1") == ["127.0.0.1:5000"]
    assert tried(offer, [("127.0.0.1", 5000), ("fe80::1", 5000)], caller="fe80::2%eth0") == ["fe80::1:5000"]


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "224.0.0.251", "ff02::1", "255.255.255.255", "240.1.1.1", "a.example"]
)
def test_groups_and_what_is_no_address_are_not_tried(offer: str, address: str) -> None:
    assert tried(offer, [(address, 5000)], caller="127.0.0.1") == []


def test_services_and_tcp_are_not_tried(offer: str) -> None:
    assert tried(offer, [(str(FAR), 53), (str(FAR), 0), (str(FAR), 70_000), (str(FAR), 1024)]) == [f"{FAR}:1024"]
    tcp = with_candidates(offer, [(str(FAR), 5000)]).replace(" udp ", " tcp ")
    assert "a=candidate" not in parse_offer(tcp.encode(), FAR).text


def test_few_names_are_asked_for(offer: str) -> None:
    assert len(tried(offer, [(f"{n:08x}-0000-4000-8000-000000000000.local", 5000) for n in range(20)])) == MAX_NAMES


@pytest.mark.parametrize("bundle", ["nobody", "0 nobody", "nobody 0"])
def test_tracks_that_are_bundled_must_be_there(offer: str, bundle: str) -> None:
    wrong = offer.replace("a=group:BUNDLE 0", f"a=group:BUNDLE {bundle}")
    with pytest.raises(OfferError, match="bundles tracks that it does not have"):
        parse_offer(wrong.encode(), FAR)


def test_without_its_password_no_connection_comes_about(offer: str) -> None:
    lacking = "\r\n".join(line for line in offer.splitlines() if not line.startswith("a=ice-pwd")) + "\r\n"
    with pytest.raises(OfferError, match="lacks ICE's user name or password"):
        parse_offer(lacking.encode(), FAR)


def test_candidates_outside_any_section_are_left_out(offer: str) -> None:
    head = offer.replace("t=0 0\r\n", "t=0 0\r\na=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\na=candidate:junk\r\n")
    assert "127.0.0.1 5000" not in parse_offer(head.encode(), SELF).text


def test_however_few_candidates_are_of_use_theirs_are_waited_for(offer: str) -> None:
    assert "a=end-of-candidates" in offer
    for candidates in ([], [(str(FAR), 5000)]):
        assert "a=end-of-candidates" not in parse_offer(with_candidates(offer, candidates).encode(), FAR).text


def test_what_an_offer_makes_us_send(offer: str) -> None:
    """Candidates at loopback, of somebody whom a proxy passes on, then of one who is there: what really comes."""

    async def drive() -> None:
        loop, came = asyncio.get_running_loop(), Counter[int]()

        def read(receiver: socket.socket) -> None:
            receiver.recv(2048)
            came[receiver.getsockname()[1]] += 1

        with ExitStack() as stack:
            receivers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(64)]
            for receiver in receivers:
                receiver.bind(("127.0.0.1", 0))
                receiver.setblocking(False)
                loop.add_reader(receiver, read, receiver)
            far, near = ([receiver.getsockname() for receiver in half] for half in (receivers[:32], receivers[32:]))
            async with serving() as harness, aiohttp.ClientSession() as client:
                url = f"{harness.stage.settings.endpoint}/whip"
                for targets, headers in ((far, {"X-Forwarded-For": str(FAR)}), (near, {})):
                    body = with_candidates(offer, targets)
                    async with client.post(url, data=body, headers=SDP | headers) as answer:
                        assert answer.status == 201
                await until(lambda: len(came) >= min(32, MAX_PAIRS // len(own_addresses())))
            for receiver in receivers:
                loop.remove_reader(receiver)
        assert set(came) <= {port for _, port in near}
        assert len(came) <= MAX_PAIRS // len(own_addresses())

    asyncio.run(drive())
