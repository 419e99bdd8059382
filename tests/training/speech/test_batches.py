import msgspec
import numpy as np
import pytest
import torch

from emopipe.models.speech.features import MfccSpec
from emopipe.training.speech.batches import SpeechBatches, mask_features
from emopipe.training.speech.settings import Augmentation
from tests.support.clips import make_clips

SPEC = MfccSpec()
STILL = Augmentation(gain=0.0, speeds=(1.0,), time_mask=0.0, band_mask=0.0, calibrate=0.0)


def test_each_clip_once_an_epoch_in_another_order_each_time() -> None:
    batches = SpeechBatches([make_clips(12)], 4, STILL, SPEC, seed=0)

    def order() -> list[int]:
        return [int(number) for mfcc, _ in batches for number in mfcc[:, 0, 1]]

    first = order()
    assert sorted(first) == list(range(12))
    assert order() == first
    batches.epoch = 1
    assert sorted(order()) == list(range(12))
    assert order() != first


def test_a_batch_has_one_length_and_the_lengths_vary_within_the_limits() -> None:
    batches = SpeechBatches([make_clips(64)], 4, STILL, SPEC, seed=0)
    lengths = {mfcc.shape[1] for mfcc, _ in batches}
    assert all(mfcc.shape == (4, mfcc.shape[1], 40) for mfcc, _ in batches)
    assert SPEC.frames(9600) <= min(lengths) < 120
    assert 200 < max(lengths) <= SPEC.frames(48000)


def test_crops_are_of_the_speech_and_carry_their_clip_s_class() -> None:
    for mfcc, targets in SpeechBatches([make_clips(64)], 4, STILL, SPEC, seed=0):
        start, length = mfcc[:, 0, 0], mfcc.shape[1]
        assert torch.equal(mfcc[:, :, 0], start[:, None] + torch.arange(length))
        assert (start >= 100 if length <= 160 else start <= 100).all()
        assert (start + length <= 260).all() or length > 160
        assert torch.equal(targets, mfcc[:, 0, 1].long() % 8)


def test_a_clip_shorter_than_the_crop_is_held_at_its_end() -> None:
    short = make_clips(4, frames=50, speech=(0, 50))
    for mfcc, _ in SpeechBatches([short], 4, STILL, SPEC, seed=0):
        assert (mfcc[:, 49:, 0] == 49).all()


def test_the_gain_moves_the_level_of_a_whole_crop() -> None:
    plain = next(iter(SpeechBatches([make_clips(4)], 4, STILL, SPEC, seed=0)))[0]
    loud = next(
        iter(SpeechBatches([make_clips(4)], 4, Augmentation(gain=6.0, speeds=(1.0,), calibrate=0.0), SPEC, seed=0))
    )[0]
    assert torch.equal(loud[:, :, 1:], plain[:, :, 1:])
    moved = loud[:, :, 0] - plain[:, :, 0]
    assert torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-3)
    assert moved[:, 0].unique().numel() == 4


def test_each_speed_is_heard() -> None:
    slow, fast = make_clips(32), make_clips(32)
    for clip in fast:
        clip.mfcc[:, 2] = -1
    batches = [mfcc for mfcc, _ in SpeechBatches([slow, fast], 8, STILL, SPEC, seed=0)]
    share = float((torch.cat([mfcc[:, 0, 2] for mfcc in batches]) == -1).float().mean())
    assert 0.2 < share < 0.8


def test_masks_hide_a_span_and_a_band_with_its_deltas_but_never_the_level() -> None:
    torch.manual_seed(0)
    features = torch.randn(64, 200, 120) + 10
    fill = torch.zeros(120)
    hidden = mask_features(features, fill, Augmentation(time_mask=0.0, band_mask=0.2)) == 0
    assert torch.equal(hidden[:, :, :40], hidden[:, :, 40:80])
    assert torch.equal(hidden[:, :, :40], hidden[:, :, 80:])
    assert not hidden[:, :, 0].any()
    assert 0 < hidden[:, 0, :40].sum(1).max() <= 9
    hidden = mask_features(features, fill, Augmentation(time_mask=0.25, band_mask=0.0)) == 0
    assert 0 < hidden[:, :, 0].sum(1).max() <= 51
    assert torch.equal(mask_features(features, fill, STILL), features)


def test_the_statistics_are_those_of_the_speech_alone() -> None:
    features = SpeechBatches([make_clips(2)], 2, STILL, SPEC, seed=0).speech_features()
    assert features.shape == (2 * 160, 120)
    assert features[:, 0].mean() == pytest.approx(np.arange(100, 260).mean())


def test_some_crops_are_calibrated_by_other_clips_of_their_speaker() -> None:
    clips = make_clips(64)
    for place in range(0, 64, 2):  # another actor, whose voice lies elsewhere
        name = msgspec.structs.replace(clips[place].name, speaker="ravdess/02", stem=f"another-{place % 4 // 2}")
        clips[place] = msgspec.structs.replace(clips[place], name=name, mfcc=clips[place].mfcc + 500)

    def calibrated(share: float) -> float:
        how = msgspec.structs.replace(STILL, calibrate=share)
        crops = torch.cat([mfcc[:, 0, 2:] for mfcc, _ in SpeechBatches([clips], 8, how, SPEC, seed=0)])
        return float((crops != crops.round()).any(dim=1).float().mean())

    assert calibrated(0.0) == 0
    assert 0.3 < calibrated(0.5) < 0.7
    assert calibrated(1.0) > 0.9


def test_several_gpus_share_each_batch_and_no_clip_is_heard_twice() -> None:
    shares = []
    for rank in (0, 1):
        batches = SpeechBatches([make_clips(16)], 8, STILL, SPEC, seed=0)
        batches.rank, batches.world = rank, 2
        shares.append(list(batches))
    for (first, _), (second, _) in zip(*shares, strict=True):
        assert first.shape == second.shape == (4, first.shape[1], 40)
    scored = torch.cat([mfcc[:, 0, 1] for share in shares for mfcc, _ in share])
    assert sorted(scored.tolist()) == list(range(16))
