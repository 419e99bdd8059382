import itertools

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models.speech.features import MfccSpec, StreamingMfcc, mfcc, window_features
from tests.support.voices import voice

SOUND = voice(1.0)
SPEC = MfccSpec()


def test_a_frame_for_each_hop_that_holds_a_whole_window() -> None:
    assert mfcc(SOUND).shape == (SPEC.frames(len(SOUND)), 40) == (98, 40)
    assert mfcc(SOUND).dtype == np.float32
    assert mfcc(SOUND[:400]).shape == (1, 40)
    assert mfcc(SOUND[:399]).shape == (0, 40)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SOUND)), max_size=30))
def test_the_chunks_do_not_matter_to_a_single_bit(cuts: list[int]) -> None:
    stream = StreamingMfcc()
    edges = [0, *sorted(cuts), len(SOUND)]
    frames = [stream.push(SOUND[start:end]) for start, end in itertools.pairwise(edges)]
    assert np.concatenate(frames).tobytes() == mfcc(SOUND).tobytes()


def test_a_frame_is_there_as_soon_as_its_last_sample_is() -> None:
    stream = StreamingMfcc()
    assert len(stream.push(SOUND[:399])) == 0
    assert len(stream.push(SOUND[399:400])) == 1
    assert len(stream.push(SOUND[400:559])) == 0
    assert len(stream.push(SOUND[559:560])) == 1


def test_a_frame_depends_on_its_own_samples_alone() -> None:
    shouted = np.concatenate([SOUND[:8000], SOUND[8000:] * 9])
    assert np.array_equal(mfcc(shouted)[:48], mfcc(SOUND)[:48])


def test_it_is_the_cosine_transform_of_the_logarithm_of_mel_bands() -> None:
    frames = np.lib.stride_tricks.sliding_window_view(SOUND.astype(np.float64), 400)[::160]
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:400])) ** 2
    low, high = 2595 * np.log10(1 + np.array([50, 8000]) / 700)
    corners = 700 * (10 ** (np.linspace(low, high, 66) / 2595) - 1)
    hertz = np.linspace(0, 8000, 201)
    triangles = [np.interp(hertz, corners[band : band + 3], [0, 1, 0]) for band in range(64)]
    bands = np.log(power @ np.transpose(triangles) + 1e-6)
    cosines = np.cos(np.pi / 64 * (np.arange(64)[:, None] + 0.5) * np.arange(40)) * np.where(np.arange(40), 1, 0.5**0.5)
    assert mfcc(SOUND) == pytest.approx(bands @ cosines * (2 / 64) ** 0.5, abs=2e-4)


def test_it_is_what_torchaudio_computed_for_the_weights() -> None:
    """torchaudio 2.11.0: MFCC(16000, 40, log_mels=True, melkwargs=…) of a falling tone, and its compute_deltas.

    Beside a loud tone its quiet bands are 1e-3 from what double precision gives, and ours 1e-4.
    """
    tone = np.sin(1000 * np.log1p(np.arange(2000) / 500)).astype(np.float32)
    features = window_features(torch.from_numpy(mfcc(tone)))
    assert features[5, :4].tolist() == pytest.approx([-77.17131, 5.64835, -38.68905, -10.38643], abs=1e-3)
    assert features[5, 40:44].tolist() == pytest.approx([-0.62126, 4.53875, 2.33779, -9.22303], abs=1e-3)
    assert features[5, 80:84].tolist() == pytest.approx([0.25839, -0.9336, 1.46759, 2.06921], abs=1e-3)


def test_reset_starts_over() -> None:
    stream = StreamingMfcc()
    stream.push(SOUND[:5000])
    stream.reset()
    assert stream.push(SOUND).tobytes() == mfcc(SOUND).tobytes()


def test_louder_sound_moves_the_first_coefficient_only() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    difference = mfcc(noise * 2) - mfcc(noise)
    assert difference[:, 0] == pytest.approx(np.log(4) * 8, rel=0.01)  # 8: the root of 64 mel bands
    assert np.abs(difference[:, 1:]).max() < 0.05


def test_deltas_are_slopes_within_the_window() -> None:
    ramp = torch.arange(20.0)[:, None] * torch.tensor([1.0, -2.0])
    features = window_features(ramp)
    assert features.shape == (20, 6)
    assert torch.equal(features[:, :2], ramp)
    assert torch.allclose(features[4:16, 2:4], torch.tensor([1.0, -2.0]), atol=1e-6)
    assert torch.allclose(features[4:16, 4:], torch.zeros(12, 2), atol=1e-6)


def test_deltas_of_a_batch_and_of_a_single_frame() -> None:
    windows = torch.randn(3, 30, 40)
    assert torch.allclose(window_features(windows)[1], window_features(windows[1]), atol=1e-6)
    assert torch.allclose(window_features(windows[0, :1])[:, 40:], torch.zeros(1, 80), atol=1e-6)


def test_settings_survive_the_checkpoint_and_refuse_what_they_do_not_know() -> None:
    spec = MfccSpec(mels=80)
    assert msgspec.convert(msgspec.structs.asdict(spec), MfccSpec) == spec
    with pytest.raises(msgspec.ValidationError, match="top_db"):
        msgspec.convert({"top_db": 80}, MfccSpec)
