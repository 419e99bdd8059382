"""Reads an offer before anything is spent on it: is it SDP, and is there media that can be taken?"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiortc.sdp import MediaDescription

CODECS = {"video": ("video/VP8", "video/H264"), "audio": ("audio/opus",)}  # in our order of preference
MAX_SECTIONS = 8
MAX_CANDIDATES = 64  # each is an address that this machine is made to send to


class OfferError(Exception):
    """An offer that cannot be taken: the HTTP status, and a sentence for the person who made it."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def parse_offer(body: bytes) -> tuple[str, list[str]]:
    """The offer as text, and the kinds of media that it brings: `video`, `audio` or both.

    Raises:
        OfferError: it is not SDP (400), or brings nothing that can be taken (422).
    """
    from aiortc.sdp import SessionDescription

    try:
        text = body.decode()
        if not text.startswith("v=0"):
            raise ValueError("it does not begin with v=0")
        if text.count("\nm=") > MAX_SECTIONS:
            raise ValueError(f"it has more than {MAX_SECTIONS} media sections")
        if text.count("\na=candidate:") > MAX_CANDIDATES:
            raise ValueError(f"it has more than {MAX_CANDIDATES} candidates")
        description = SessionDescription.parse(text)
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
    for media in bringing:
        if media.dtls is None or not media.dtls.fingerprints:
            raise OfferError(422, "The offer has no DTLS fingerprint, so nobody could tell who sends.")
        _check_codecs(media)
    return text, kinds


def _check_codecs(media: "MediaDescription") -> None:
    wanted = CODECS[media.kind]
    given = list(dict.fromkeys(codec.mimeType for codec in media.rtp.codecs))
    if not {codec.lower() for codec in wanted} & {codec.lower() for codec in given}:
        known, unknown = (_names(codecs) for codecs in (wanted, given))
        raise OfferError(422, f"The {media.kind} is offered as {unknown or 'nothing'}; expected {known}.")


def _names(codecs: list[str] | tuple[str, ...]) -> str:
    return " or ".join(codec.partition("/")[2] for codec in codecs)
