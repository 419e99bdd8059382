"""Reads an offer before anything is spent on it: is it SDP, is there media to be taken, and where would we send?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from emopipe.stages.web.callers import Address, plain_address

if TYPE_CHECKING:
    from aiortc import RTCIceCandidate
    from aiortc.sdp import MediaDescription

CODECS = {"video": ("video/VP8", "video/H264"), "audio": ("audio/opus",)}  # in our order of preference
MAX_SECTIONS = 8
MAX_CANDIDATES = 64  # in an offer
MAX_NAMES = 4  # candidates by mDNS name, each of which this machine asks its own network for
MAX_PAIRS = 100  # of a candidate of ours and one of theirs: each is sent to until something answers (RFC 8445, 6.1.2.5)
MIN_PORT = 1024  # below it are services, none of which waits for media


class OfferError(Exception):
    """An offer that cannot be taken: the HTTP status, and a sentence for the person who made it."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class Offer(NamedTuple):
    """An offer that can be taken: its text, and the kinds of media that it brings: `video`, `audio` or both."""

    text: str
    kinds: list[str]


def parse_offer(body: bytes, caller: Address | None, own_addresses: int = 1) -> Offer:
    """Read an offer.

    Of its candidates those alone stay that `caller` may ask us to send to: see `_may_be_tried`.

    Args:
        own_addresses: how many candidates of ours each of theirs will be paired with.

    Raises:
        OfferError: it is not SDP (400), or brings nothing that can be taken (422).
    """
    from aiortc.sdp import SessionDescription

    try:
        lines = body.decode().splitlines()  # as the parser cuts it: a vertical tab ends a line, too
        if lines[:1] != ["v=0"]:
            raise ValueError("it does not begin with v=0")
        if sum(line.startswith("m=") for line in lines) > MAX_SECTIONS:
            raise ValueError(f"it has more than {MAX_SECTIONS} media sections")
        if sum(line.startswith("a=candidate:") for line in lines) > MAX_CANDIDATES:
            raise ValueError(f"it has more than {MAX_CANDIDATES} candidates")
        description = SessionDescription.parse("\r\n".join(lines) + "\r\n")
    except Exception as error:  # the parser was not written for strangers: it fails in every way there is
        raise OfferError(400, f"This is not an offer in SDP: {error or type(error).__name__}.") from None
    bringing = [media for media in description.media if media.port and media.direction in ("sendonly", "sendrecv")]
    kinds = [media.kind for media in bringing if media.kind in CODECS]
    if not kinds:
        raise OfferError(422, "The offer brings neither pictures nor sound; send at least one track.")
    if any(media.kind == "application" for media in description.media):
        raise OfferError(422, "The offer asks for a data channel, which nobody here answers; leave it out.")
    if any(media.kind not in CODECS for media in bringing):
        raise OfferError(422, "The offer brings something else beside pictures and sound; leave it out.")
    for kind in CODECS:
        if kinds.count(kind) > 1:
            raise OfferError(422, f"The offer brings {kinds.count(kind)} {kind} tracks; send one.")
    mids = [media.rtp.muxId for media in description.media if media.kind in CODECS]
    bundled = [mid for group in description.group if group.semantic == "BUNDLE" for mid in group.items]
    if not set(bundled) <= set(mids) or len(set(mids)) < len(mids):
        raise OfferError(422, "The offer bundles tracks that it does not have, or names two alike.")
    for media in bringing:
        if media.dtls is None or not media.dtls.fingerprints:
            raise OfferError(422, "The offer has no DTLS fingerprint, so nobody could tell who sends.")
        if media.ice is None or not (media.ice.usernameFragment and media.ice.password):
            raise OfferError(422, "The offer lacks ICE's user name or password, so no connection can come about.")
        _check_codecs(media)
    most = max(1, MAX_PAIRS // (max(1, own_addresses) * len(description.media)))
    tried = _chosen([each for media in description.media for each in media.ice_candidates], caller, most)
    # Told that no candidates follow, our side would give up at once where none is of use, and theirs may yet call.
    lines = [line for line in lines if line != "a=end-of-candidates"]
    kept = [line for line in lines if not line.startswith("a=candidate:") or _target(line) in tried]
    return Offer("\r\n".join(kept) + "\r\n", kinds)


def _chosen(candidates: "Sequence[RTCIceCandidate]", caller: Address | None, most: int) -> set[tuple[str, str]]:
    """The addresses and ports that are tried, `most` of them: of those that may be, the ones of highest priority."""
    chosen: dict[tuple[str, str], None] = {}
    names = 0
    for each in sorted(candidates, key=lambda each: -each.priority):
        name = each.ip.endswith(".local")
        if len(chosen) < most and _may_be_tried(each, caller) and (not name or names < MAX_NAMES):
            names += name and (each.ip, str(each.port)) not in chosen
            chosen[each.ip, str(each.port)] = None
    return set(chosen)


def _may_be_tried(candidate: "RTCIceCandidate", caller: Address | None) -> bool:
    """Whether a caller may have us send to that address: never to a service, to a group, or into a network of ours.

    This machine's own addresses (loopback) and those of one cable (link-local) count where the caller sits there.
    """
    if candidate.protocol.lower() != "udp" or not MIN_PORT <= candidate.port <= 65535:
        return False
    if candidate.ip.endswith(".local"):
        return True
    address = plain_address(candidate.ip)
    if address is None or address.is_unspecified or address.is_multicast or address.is_reserved:
        return False
    if address.is_loopback:
        return caller is not None and caller.is_loopback
    return not address.is_link_local or (caller is not None and caller.is_link_local)


def _target(line: str) -> tuple[str, str] | None:
    """Address and port of a candidate's line; None of one outside any section, which the parser does not read."""
    fields = line.partition(":")[2].split()
    return (fields[4], str(int(fields[5]))) if len(fields) > 5 and fields[5].isdecimal() else None


def _check_codecs(media: "MediaDescription") -> None:
    wanted = CODECS[media.kind]
    given = list(dict.fromkeys(codec.mimeType for codec in media.rtp.codecs))
    if not {codec.lower() for codec in wanted} & {codec.lower() for codec in given}:
        known, unknown = (_names(codecs) for codecs in (wanted, given))
        raise OfferError(422, f"The {media.kind} is offered as {unknown or 'nothing'}; expected {known}.")


def _names(codecs: list[str] | tuple[str, ...]) -> str:
    return " or ".join(codec.partition("/")[2] for codec in codecs)
