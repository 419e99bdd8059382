"""Sound of any kind → blocks of 16 kHz mono."""

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.stages.media.audio import SAMPLE_NS, SAMPLE_RATE_HZ, AudioConverter, Block
from tests.support.media import tone


def frame(
    samples: NDArray[np.float64], rate: int = SAMPLE_RATE_HZ, layout: str = "mono", form: str = "s16"
) -> av.AudioFrame:
    channels = len(av.AudioLayout(layout).channels)
    if form == "fltp":
        made = av.AudioFrame.from_ndarray(np.tile(samples.astype(np.float32), (channels, 1)), "fltp", layout)
    else:
        data = np.repeat((samples * 32767).astype(np.int16), channels)
        made = av.AudioFrame.from_ndarray(data[None], "s16", layout)
    made.sample_rate = rate
    return made


def push(sound: AudioConverter, frames: list[av.AudioFrame]) -> list[Block]:
    return [block for each in frames for block in sound.push(each)] + list(sound.flush())


def joined(blocks: list[Block]) -> NDArray[np.float32]:
    return np.concatenate([block.samples for block in blocks])


@given(
    # Of fewer than 70 samples libswresample makes nothing at another rate.
    st.lists(st.integers(100, 3000), min_size=1, max_size=20),
    st.integers(0, 10**12),
    st.sampled_from([8000, SAMPLE_RATE_HZ, 44_100]),
)
def test_how_it_is_cut_does_not_matter(sizes: list[int], start: int, rate: int) -> None:
    wave = np.random.default_rng(len(sizes)).uniform(-0.9, 0.9, sum(sizes))
    ends = np.cumsum(sizes)
    sound, whole = AudioConverter(), AudioConverter()
    sound.begin(start)
    whole.begin(start)
    blocks = push(sound, [frame(wave[end - size : end], rate) for size, end in zip(sizes, ends, strict=True)])
    assert np.array_equal(joined(blocks), joined(push(whole, [frame(wave, rate)])))
    assert blocks[0].pts == start
    assert all(b.pts == a.pts + len(a.samples) * SAMPLE_NS for a, b in pairwise(blocks))
    assert all(len(block.samples) == 1024 for block in blocks[:-1])
    assert sound.end == pytest.approx(start + sum(sizes) * SECOND / rate, abs=len(sizes))


@pytest.mark.parametrize("form", ["s16", "fltp"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "2.1", "5.1"])
def test_the_mix_is_as_loud_as_its_channels(form: str, layout: str) -> None:
    samples = joined(push(AudioConverter(), [frame(tone(1, 48_000), 48_000, layout, form)]))
    assert np.abs(samples[2000:14_000]).max() == pytest.approx(0.5, abs=0.01)


def test_more_than_full_scale_is_clipped() -> None:
    samples = joined(push(AudioConverter(), [frame(3 * tone(1, SAMPLE_RATE_HZ), form="fltp")]))
    assert -1 <= samples.min() < samples.max() <= 1


@pytest.mark.parametrize("rate", [8000, 11_025, 48_000, 96_000])
def test_nothing_is_moved(rate: int) -> None:
    click = np.zeros(rate)
    click[rate // 2] = 0.9
    samples = joined(push(AudioConverter(), [frame(chunk, rate) for chunk in np.array_split(click, 17)]))
    assert np.abs(samples).argmax() == pytest.approx(8000, abs=1)


def test_rate_and_layout_may_change_on_the_way() -> None:
    parts = [(0.5, 8000, "mono"), (0.5, 48_000, "stereo"), (0.5, 16_000, "5.1")]
    sound = AudioConverter()
    blocks = push(sound, [frame(tone(length, rate), rate, layout) for length, rate, layout in parts])
    assert sound.end == 1.5 * SECOND
    assert len(joined(blocks)) == pytest.approx(24_000, abs=4)
    assert all(b.pts == a.pts + a.duration for a, b in pairwise(blocks))


def test_skipping_and_beginning_again() -> None:
    wave = np.linspace(0, 0.9, 8000)
    sound = AudioConverter(0.1)
    sound.begin(SECOND)
    assert sound.skip(SECOND // 10) == 1600
    blocks = push(sound, [frame(wave)])
    assert (blocks[0].pts, sound.end) == (SECOND, SECOND + 6400 * SAMPLE_NS)
    assert blocks[0].samples[0] == pytest.approx(wave[1600], abs=1e-4)
    sound.begin(3 * SECOND)
    assert [block.pts for block in push(sound, [frame(wave[:1600])])] == [3 * SECOND]


def test_nothing_gives_nothing() -> None:
    assert list(AudioConverter().flush()) == []


def test_what_cannot_be_converted_is_left_out_and_the_rest_goes_on() -> None:
    sound = AudioConverter()
    wave = tone(0.5, SAMPLE_RATE_HZ)
    blocks = list(sound.push(frame(wave)))
    odd = av.AudioFrame("s16", "mono", 1024)
    odd.sample_rate = 0
    with pytest.raises((ValueError, av.error.FFmpegError)):
        list(sound.push(odd))
    assert sound.end == SECOND // 2
    blocks += push(sound, [frame(wave)])
    assert len(joined(blocks)) == 16_000
    assert sound.end == SECOND
