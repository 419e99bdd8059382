"""Another network's answers about faces, translated into ours."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emopipe.models.labels import FACE
from emopipe.training.facial import translation
from emopipe.training.facial.translation import Translation, main, translate
from tests.support.fer2013 import write_folder
from tests.support.pairs import faces

RANDOM = np.random.default_rng(0)
THEIRS = (RANDOM.dirichlet(np.ones(7), 400) + 0.02) / 1.14  # no zeros, which are cut off at both ends
NEUTRAL = FACE.index("neutral")


def more_neutral(probabilities: np.ndarray) -> np.ndarray:
    raised = probabilities * np.where(np.arange(7) == NEUTRAL, 5.0, 1.0)
    return raised / raised.sum(axis=1, keepdims=True)


def test_what_a_network_leans_to_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "FRAME_NOISE_STD", 0.0)
    found = Translation.fit(THEIRS, more_neutral(THEIRS))
    assert np.abs(found.errors).max() < 0.05
    assert found.track(THEIRS[:30], RANDOM) == pytest.approx(more_neutral(THEIRS[:30]), abs=0.02)


def test_an_error_is_that_of_a_picture_alike_and_stays_throughout_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "FRAME_NOISE_STD", 0.0)
    happy, sad = np.eye(7)[3] * 0.9 + 0.1 / 7, np.eye(7)[4] * 0.9 + 0.1 / 7
    found = Translation(
        theirs=translation._log_ratios(np.repeat([happy, sad], 40, axis=0)),
        weights=np.eye(7),
        bias=np.zeros(7),
        errors=np.repeat([np.zeros(7), 8 * np.eye(7)[NEUTRAL]], 40, axis=0),
    )
    assert found.track([happy] * 3, RANDOM) == pytest.approx(np.array([happy] * 3))
    assert found.track([sad] * 3, RANDOM).argmax(axis=1).tolist() == [NEUTRAL] * 3


def test_a_table_is_translated_clip_by_clip_and_twice_alike(tmp_path: Path) -> None:
    table = faces(tmp_path / "faces.parquet", [1, 2])
    found = Translation.fit(THEIRS, more_neutral(THEIRS))
    outs = [tmp_path / f"{number}.parquet" for number in range(3)]
    for out, seed in zip(outs, (0, 0, 1), strict=True):
        translate(table, out, found, seed)
    before, after, again, other = (pq.read_table(path) for path in (table, *outs))
    assert after.equals(again)
    assert not after.equals(other)
    assert after["clip"].to_pylist() == before["clip"].to_pylist()
    assert after["frame"].to_pylist() == before["frame"].to_pylist()
    assert np.sum([after[label].to_numpy() for label in FACE], axis=0) == pytest.approx(np.ones(len(after)), abs=1e-5)
    assert after["neutral"].to_numpy().mean() > before["neutral"].to_numpy().mean()


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "fer2013", train=1, validation=0)
    (tmp_path / "faces.parquet").write_text("no table")
    given = ["--faces", str(tmp_path / "faces.parquet"), "--data", str(tmp_path / "fer2013"), "--out", "out.parquet"]
    with pytest.raises(SystemExit, match="2"):
        main(given)
    assert "the PublicTest split is empty" in capsys.readouterr().err


@pytest.mark.slow("runs the shipped network")
def test_the_command_translates(tmp_path: Path) -> None:
    write_folder(tmp_path / "fer2013", train=1, validation=6)
    table, out = faces(tmp_path / "faces.parquet", [1]), tmp_path / "out.parquet"
    main(["--faces", str(table), "--data", str(tmp_path / "fer2013"), "--out", str(out)])
    assert pq.read_table(out).num_rows == pq.read_table(table).num_rows
