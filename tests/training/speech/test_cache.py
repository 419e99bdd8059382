"""What was computed of a data set, kept and read again."""

from pathlib import Path

import numpy as np

from emopipe.models.speech.features import MfccSpec
from emopipe.training.speech import cache
from emopipe.training.speech.clips import Corpus
from tests.support.clips import make_clips


def test_what_is_read_is_what_was_kept(tmp_path: Path) -> None:
    clips = make_clips(3)
    clips[0].windows = [(100, 200), (120, 260)]
    for place, clip in enumerate(clips):
        clip.vectors = np.full((1 + len(clip.windows), 5), place, np.float16)
    clips[1].degraded = np.ones(5, np.float16)
    cache.keep(tmp_path, "key", {1.0: Corpus(clips, {"song.wav": "a song"}, "digest")})
    found = cache.load(tmp_path, "key", [1.0])
    assert found is not None
    assert (found[1.0].skipped, found[1.0].sha256) == ({"song.wav": "a song"}, "digest")
    for one, other in zip(found[1.0].clips, clips, strict=True):
        assert (one.name, one.windows, one.speech) == (other.name, other.windows, other.speech)
        assert np.array_equal(one.mfcc, other.mfcc)
        assert np.array_equal(one.vectors, other.vectors)
        assert np.array_equal(one.degraded, other.degraded)


def test_a_speed_that_is_not_kept_and_a_damaged_file_are_no_cache(tmp_path: Path) -> None:
    cache.keep(tmp_path, "key", {1.0: Corpus(make_clips(3), {}, "")})
    assert cache.load(tmp_path, "key", [1.0, 1.1]) is None
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    assert cache.load(tmp_path, "key", [1.0]) is None


def test_other_sounds_and_other_features_have_another_fingerprint() -> None:
    one = cache.fingerprint([("a.wav", "1")], MfccSpec(), "")
    assert one == cache.fingerprint([("a.wav", "1")], MfccSpec(), "")
    assert one != cache.fingerprint([("a.wav", "2")], MfccSpec(), "")
    assert one != cache.fingerprint([("a.wav", "1")], MfccSpec(hop=200), "")
    assert one != cache.fingerprint([("a.wav", "1")], MfccSpec(), "an embedder")
