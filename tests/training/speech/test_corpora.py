import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.speech.features import MfccSpec, mfcc
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.corpora import decode, read
from emopipe.training.speech.ravdess import FOLDS, folds, parse_codes, speaker
from tests.support.voices import RATE, ravdess, silence, voice, write

NAME = "03-01-05-02-01-02-12"


@pytest.fixture(autouse=True)
def _cache_apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def packed(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.wav")):
            archive.write(file, file.relative_to(folder))
    return path


def test_a_name_says_who_what_and_how() -> None:
    codes = parse_codes(NAME)
    assert (codes.actor, codes.emotion, codes.intensity, codes.statement, codes.repetition) == (12, 5, 2, 1, 2)


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("holiday", "not a RAVDESS file name"),
        ("03-01-05-02-01-02-12-copy", "not a RAVDESS file name"),
        ("03-01-09-02-01-02-12", "emotion 09 does not exist .expected 01 to 08"),
        ("03-01-05-02-01-02-25", "actor 25 does not exist .expected 01 to 24"),
        ("03-01-05-00-01-02-12", "intensity 00 does not exist"),
    ],
)
def test_a_name_of_something_else(stem: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_codes(stem)


def test_folds_cover_each_actor_once() -> None:
    everyone = [actor for fold in FOLDS for actor in fold]
    assert sorted(everyone) == list(range(1, 25))
    some = [speaker(actor) for actor in (1, 2, 5, 9, 22, 3)]
    assert folds(some) == [tuple(map(speaker, fold)) for fold in ((2, 5), (3,), (1, 9, 22))]


def test_one_fold_alone_leaves_nobody_to_train_on() -> None:
    with pytest.raises(DataError, match="only ravdess/02, ravdess/05: at least two of RAVDESS's five folds"):
        folds([speaker(2), speaker(5)])


def test_a_clip_carries_its_features_and_the_windows_a_stream_would_cut(tmp_path: Path) -> None:
    data = ravdess(tmp_path, (1,), (1,))
    clip = read(data)[1.0].clips[0]
    samples = decode((data / "Actor_01/03-01-01-01-01-01-01.wav").read_bytes())
    assert np.array_equal(clip.mfcc, mfcc(samples))
    # The voice is from 0.5 to 1.3 s, the pre-roll 0.2 s, the grid's points every half second.
    assert clip.windows == [(30, 98), (30, 148), (30, 178)]
    assert clip.speech == (30, 178)


def test_folder_and_zip_read_the_same_in_the_order_of_the_names(tmp_path: Path) -> None:
    folder = ravdess(tmp_path / "data", (2, 1), (1, 3))
    loose, archive = read(folder)[1.0], read(packed(folder, tmp_path / "data.zip"))[1.0]
    assert [clip.name for clip in loose.clips] == [clip.name for clip in archive.clips]
    assert [clip.name.speaker[-2:] for clip in loose.clips] == ["01", "02", "01", "02"]
    assert loose.sha256 == archive.sha256
    assert loose.speakers == ["ravdess/01", "ravdess/02"]
    assert all(np.array_equal(a.mfcc, b.mfcc) for a, b in zip(loose.clips, archive.clips, strict=True))


def test_the_digest_depends_on_the_sound(tmp_path: Path) -> None:
    folder = ravdess(tmp_path, (1,), (1, 3))
    before = read(folder)[1.0].sha256
    write(folder / "Actor_01/03-01-01-01-01-01-01.wav", voice(1.0))
    assert read(folder)[1.0].sha256 != before


def test_originals_in_stereo_at_48_khz_become_mono_at_16(tmp_path: Path) -> None:
    t = np.arange(48000) / 48000
    tone = (0.25 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    write(tmp_path / "a.wav", tone, rate=48000, channels=2)
    samples = decode((tmp_path / "a.wav").read_bytes())
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(RATE, abs=50)
    assert np.abs(samples[2000:-2000]).max() == pytest.approx(0.25, rel=0.02)


def test_a_faster_clip_is_shorter_and_higher(tmp_path: Path) -> None:
    t = np.arange(RATE) / RATE
    write(tmp_path / "a.wav", (0.25 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))
    samples = decode((tmp_path / "a.wav").read_bytes(), speed=1.1)
    assert len(samples) == pytest.approx(RATE / 1.1, abs=50)
    peak = np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)
    assert peak == pytest.approx(484, abs=2)


def test_the_speech_of_a_faster_clip_is_where_it_then_is(tmp_path: Path) -> None:
    corpora = read(ravdess(tmp_path, (1,), (1,)), speeds=(1.0, 1.25))
    (slow,), (fast,) = corpora[1.0].clips, corpora[1.25].clips
    assert fast.speech == (round(30 / 1.25), round(178 / 1.25))
    assert len(fast.mfcc) == pytest.approx(len(slow.mfcc) / 1.25, abs=2)


def test_what_cannot_be_used_is_named_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ravdess(tmp_path, (1,), (1, 2))
    actor = data / "Actor_01"
    (actor / "03-01-03-01-01-01-01.wav").write_bytes(b"no sound at all")
    (actor / "03-01-04-01-01-01-01.wav").write_bytes(b"")
    write(actor / "03-01-05-01-01-01-01.wav", np.zeros(RATE, np.float32))
    write(actor / "03-01-06-01-01-01-01.wav", voice(0.02))
    write(actor / "03-02-01-01-01-01-01.wav", voice(1.0))
    write(actor / "03-01-09-01-01-01-01.wav", voice(1.0))
    write(data / "copy" / "03-01-01-01-01-01-01.wav", voice(1.0))
    (data / "LICENSE.txt").write_text("not a sound, so not mentioned")
    with caplog.at_level(logging.WARNING):
        corpus = read(data)[1.0]
    assert len(corpus.clips) == 2
    reasons = {Path(path).name if "copy" not in path else "copy": reason for path, reason in corpus.skipped.items()}
    assert "damaged sound" in reasons.pop("03-01-03-01-01-01-01.wav")
    assert "damaged sound" in reasons.pop("03-01-04-01-01-01-01.wav")
    assert reasons == {
        "03-01-05-01-01-01-01.wav": "silent: every sample is zero",
        "03-01-06-01-01-01-01.wav": "too short: 320 samples at 16 kHz (expected at least 400)",
        "03-02-01-01-01-01-01.wav": "not speech alone (expected a name that starts with 03-01)",
        "03-01-09-01-01-01-01.wav": "emotion '09' does not exist in RAVDESS (expected 01, 02, 03, 04, 05, 06, 07, 08)",
        "copy": "the same clip as Actor_01/03-01-01-01-01-01-01.wav",
    }
    assert "Actor_01/03-01-05-01-01-01-01.wav: skipped: silent" in caplog.text
    assert "1 clips left out: not speech alone" in caplog.text
    assert "7 of 9 sounds skipped" in caplog.text


def test_a_clip_in_which_nobody_is_heard_still_counts(tmp_path: Path) -> None:
    write(tmp_path / "03-01-01-01-01-01-01.wav", silence(1.0))
    (clip,) = read(tmp_path)[1.0].clips
    assert clip.windows == []
    assert clip.speech == (0, 98)


def test_missing_empty_and_half_downloaded_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder; expected a folder or zip of emotional speech"):
        read(tmp_path / "none.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no emotional speech of a known corpus in it"):
        read(tmp_path / "empty")
    whole = packed(ravdess(tmp_path / "data", (1,), (1, 2)), tmp_path / "whole.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"half.zip: not a whole zip .*; download it again"):
        read(tmp_path / "half.zip")


def test_a_damaged_member_of_a_zip_costs_that_clip_alone(tmp_path: Path) -> None:
    path = packed(ravdess(tmp_path / "data", (1,), (1, 2)), tmp_path / "data.zip")
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    content = bytearray(path.read_bytes())
    at = first.header_offset + 30 + len(first.filename) + first.compress_size // 2
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    corpus = read(path)[1.0]
    assert list(corpus.skipped) == [first.filename]
    assert "damaged archive member" in corpus.skipped[first.filename]
    assert len(corpus.clips) == 1


def test_the_second_time_comes_from_the_cache_and_names_what_was_skipped_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ravdess(tmp_path / "data", (1,), (1, 2))
    write(data / "03-01-05-01-01-01-01.wav", np.zeros(RATE, np.float32))
    first = read(data, speeds=(1.0, 1.1), cache=tmp_path / "cache")
    monkeypatch.setattr("emopipe.training.speech.corpora.decode", None)  # nothing is decoded any more
    caplog.clear()
    again = read(data, speeds=(1.0, 1.1), cache=tmp_path / "cache")
    assert "03-01-05-01-01-01-01.wav: skipped: silent" in caplog.text
    for speed in (1.0, 1.1):
        assert again[speed].sha256 == first[speed].sha256
        for a, b in zip(again[speed].clips, first[speed].clips, strict=True):
            assert (a.name, a.windows, a.speech) == (b.name, b.windows, b.speech)
            assert np.array_equal(a.mfcc, b.mfcc)


def test_other_features_other_sounds_and_a_damaged_cache_are_computed_anew(tmp_path: Path) -> None:
    data, cache = ravdess(tmp_path / "data", (1,), (1, 2)), tmp_path / "cache"
    read(data, cache=cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    assert len(read(data, cache=cache)[1.0].clips) == 2
    assert len(read(data, MfccSpec(hop=200), cache=cache)[1.0].clips[0].mfcc) < 150
    write(data / "Actor_01" / "03-01-03-01-01-01-01.wav", voice(1.0))
    assert len(read(data, cache=cache)[1.0].clips) == 3
    assert len(list(cache.iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_said_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")
    data = ravdess(tmp_path / "data", (1,), (1,))
    assert len(read(data, cache=tmp_path / "cache")[1.0].clips) == 1
    assert "not kept" in caplog.text


def test_nothing_but_songs_is_no_speech(tmp_path: Path) -> None:
    write(tmp_path / "03-02-01-01-01-01-01.wav", voice(1.0))
    with pytest.raises(
        DataError, match=r"no emotional speech of a known corpus in it \(1 sounds skipped: 03-02-01.*not speech alone"
    ):
        read(tmp_path)


def corpus_of(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write(folder / name, np.concatenate([silence(0.4, number), voice(0.8, 110 + 15 * number), silence(0.4, 9)]))
    return folder


def test_several_corpora_make_one_whose_speakers_never_mix(tmp_path: Path) -> None:
    one = corpus_of(tmp_path / "emodb", "wav/03a01Fa.wav", "wav/08a01Na.wav")
    other = packed(corpus_of(tmp_path / "urdu", "Angry/SM1_F10_A010.wav"), tmp_path / "urdu.zip")
    corpus = read([one, other])[1.0]
    assert corpus.corpora == ["emodb", "urdu"]
    assert corpus.speakers == ["emodb/03", "emodb/08", "urdu/sm1"]
    assert [clip.name.stem for clip in corpus.clips] == ["03a01Fa", "08a01Na", "SM1_F10_A010"]


def test_two_halves_of_one_corpus_share_their_speakers_and_a_copy_is_refused(tmp_path: Path) -> None:
    first = corpus_of(tmp_path / "first", "03a01Fa.wav", "03a02Na.wav")
    second = corpus_of(tmp_path / "second", "03a04Wa.wav", "03a01Fa.wav")
    corpus = read([first, second])[1.0]
    assert corpus.speakers == ["emodb/03"]
    assert corpus.skipped == {"second/03a01Fa.wav": "the same clip as 03a01Fa.wav"}
    with pytest.raises(DataError, match="first: all of its 2 clips are in the data before it; give each corpus once"):
        read([first, first])


def test_emotions_without_a_class_are_counted_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = corpus_of(tmp_path, "03a01La.wav", "08b02Lb.wav", "08a01Na.wav")
    with caplog.at_level(logging.WARNING):
        corpus = read(data)[1.0]
    assert len(corpus.clips) == 1
    assert "2 clips left out: its emotion ('l' in EmoDB) is none of the classes" in caplog.text


def test_clips_without_a_speaker_and_an_unknown_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say who speaks; put each speaker's clips into a folder"):
        read(corpus_of(tmp_path / "savee", "a01.wav", "sa02.wav"))
    with pytest.raises(DataError, match=r"expected files named as in RAVDESS .*, TESS"):
        read(corpus_of(tmp_path / "other", "my-voice-1.wav"))
