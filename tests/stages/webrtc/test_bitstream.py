"""What encoded pictures say of their size, by real encoders."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.stages.webrtc.bitstream import h264_size, starts_anew, stated_size, vp8_size


def encoded(codec: str, width: int, height: int, pictures: int = 2, **options: str) -> list[bytes]:
    """So many pictures, encoded."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = options.pop("pix_fmt", "yuv420p")
    encoder.time_base = Fraction(1, 30)
    encoder.options = options
    found = []
    for number in range(pictures):
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90 * number, np.uint8), format="rgb24")
        frame.pts = number
        found += encoder.encode(frame.reformat(format=encoder.pix_fmt))
    return [bytes(packet) for packet in [*found, *encoder.encode(None)]]


@pytest.mark.parametrize("size", [(640, 360), (160, 120), (1920, 1080), (98, 52)])
@pytest.mark.parametrize(
    "options",
    [
        {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
        {"preset": "ultrafast", "profile": "high"},
        {"preset": "ultrafast", "pix_fmt": "yuv444p"},
        {"preset": "ultrafast", "x264-params": "cqm=jvt"},
        {"preset": "ultrafast", "x264-params": "interlaced=1"},
    ],
)
def test_h264_states_its_size_in_whole_macroblocks(size: tuple[int, int], options: dict[str, str]) -> None:
    key = encoded("libx264", *size, **options)[0]
    assert starts_anew("H264", key)
    stated = stated_size("H264", key)
    assert stated is not None
    for said, true in zip(stated, size, strict=True):
        assert said % 16 == 0
        assert 0 <= said - true < 32  # of two fields, two macroblocks


@pytest.mark.parametrize("size", [(640, 360), (98, 52)])
def test_vp8_states_its_size_in_key_frames(size: tuple[int, int]) -> None:
    key, other = encoded("libvpx", *size, deadline="realtime")
    assert stated_size("VP8", key) == size
    assert starts_anew("vp8", key)
    assert stated_size("VP8", other) is None
    assert not starts_anew("VP8", other)


def test_a_picture_without_a_header_says_nothing() -> None:
    key, other = encoded("libx264", 160, 120, preset="ultrafast", tune="zerolatency")
    assert h264_size(other) is None
    assert not starts_anew("H264", other)
    assert h264_size(key[:8]) is None
    assert not starts_anew("VP8", b"")


@given(st.binary(max_size=64))
def test_no_bytes_break_it(data: bytes) -> None:
    for begin in (b"", b"\x00\x00\x01\x67", b"\x00\x00\x01\x67\x64\x00\x1f"):
        size = h264_size(begin + data)
        assert size is None or min(size) >= 16
    vp8_size(data)
