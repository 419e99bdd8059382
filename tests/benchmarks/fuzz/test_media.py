"""The fuzzer of media: few files of it, and that it sees what it looks for."""

from pathlib import Path

import pytest

from benchmarks.fuzz.media import CONTAINERS, faults, mutation, originals, read, run
from emopipe.stages.media.recording import Item, Recording
from tests.support.media import every, make


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    whole = originals(tmp_path)
    assert set(whole) == set(CONTAINERS)
    made = [mutation(whole, 7, number) for number in range(50)]
    assert made == [mutation(whole, 7, number) for number in range(50)]
    assert len({suffix for suffix, _ in made}) > 5
    assert sum(data != whole[suffix] for suffix, data in made) > 40  # some harm undoes itself


def test_what_is_right_is_read(tmp_path: Path) -> None:
    originals(tmp_path)
    assert {path.name: read(path) for path in tmp_path.iterdir()} == {f"whole.{each}": "read" for each in CONTAINERS}


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    with Recording(make(tmp_path / "a.mkv", pictures=every(25, 0.2))) as recording:
        items = list(recording)
        assert list(faults(items, recording)) == []
        assert list(faults(items[::-1], recording)) == ["video goes back"]
        assert list(faults([Item("audio", -1, 5, None)], recording)) == ["audio before its beginning"]
        recording.counters["late"] += 1
        assert list(faults(items, recording)) == ["something is left out, and nothing said"]


@pytest.mark.slow("many examples")
def test_malformed_media_are_read_or_refused_in_words() -> None:
    outcomes, wrong = run(seed=2026, count=60)
    assert wrong == []
    assert sum(outcomes.values()) == 60
    assert min(outcomes["read"], outcomes["damaged"], outcomes["refused"]) > 0


def test_an_error_of_ours_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mkv", pictures=every(25, 0.2))
    monkeypatch.setattr(Recording, "_end", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read(path)
