"""Offers as a browser makes them, and with candidates of one's own."""

from aiortc import RTCConfiguration, RTCPeerConnection


async def make_offer(*kinds: str, channel: bool = False, direction: str = "sendonly") -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds:
        connection.addTransceiver(kind, direction=direction)
    if channel:
        connection.createDataChannel("talk")
    await connection.setLocalDescription(await connection.createOffer())
    offer: str = connection.localDescription.sdp
    await connection.close()
    return offer


def with_candidates(offer: str, candidates: list[tuple[str, int]], end: str = "\r\n") -> str:
    """`offer` with these addresses and ports as its only candidates, in lines that end so."""
    lines = [line for line in offer.splitlines() if not line.startswith("a=candidate:")]
    lines += [
        f"a=candidate:{number} 1 udp {2_130_706_431 - number} {address} {port} typ host"
        for number, (address, port) in enumerate(candidates)
    ]
    return end.join(lines) + end
