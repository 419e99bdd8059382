"""How large an encoded picture says it is, read from its header before a decoder makes room for it."""

import re

_SPS = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67](.{3,256})", re.DOTALL)  # a NAL unit of type 7
_KEY_IN_H264 = re.compile(rb"\x00\x00\x01[\x05\x25\x45\x65]")  # of type 5, IDR
_WITH_CHROMA_FORMAT = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))  # profile_idc


def stated_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """Width and height by the header of an encoded picture; none where it has none, as most have.

    Args:
        codec: `VP8` or `H264`, in any case. An H264 picture counts in whole macroblocks: up to 31 pixels more.
    """
    return vp8_size(data) if codec.lower() == "vp8" else h264_size(data)


def starts_anew(codec: str, data: bytes) -> bool:
    """Whether an encoded picture needs none before it."""
    if codec.lower() == "vp8":
        return bool(data) and not data[0] & 1
    return _KEY_IN_H264.search(data) is not None


def vp8_size(data: bytes) -> tuple[int, int] | None:
    """Of a key frame (RFC 6386, section 9.1)."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != b"\x9d\x01\x2a":
        return None
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def h264_size(data: bytes) -> tuple[int, int] | None:
    """The largest of the sequence parameter sets in an Annex B access unit (ITU-T H.264, section 7.3.2.1.1)."""
    sizes = []
    for found in _SPS.finditer(data):
        try:
            sizes.append(_sps_size(_Bits(found[1].replace(b"\x00\x00\x03", b"\x00\x00"))))
        except IndexError:  # cut short: no decoder takes it either
            continue
    return max(sizes, key=max, default=None)


def _sps_size(bits: "_Bits") -> tuple[int, int]:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.ue()  # its id
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.ue()
        if chroma == 3:
            bits.take(1)
        bits.ue()  # depth of luma
        bits.ue()  # and of chroma
        bits.take(1)
        if bits.take(1):
            for number in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.ue()  # log2 of the largest frame number
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.take(1)
        bits.ue()
        bits.ue()
        for _ in range(min(bits.ue(), 255)):
            bits.ue()
    bits.ue()  # reference frames
    bits.take(1)
    width, height = bits.ue() + 1, bits.ue() + 1
    fields = 2 - bits.take(1)
    return width * 16, height * 16 * fields


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


class _Bits:
    """Reads a bit string; past its end an IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        """The next bits as a number, the first one the highest."""
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (section 9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        """A signed one."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
