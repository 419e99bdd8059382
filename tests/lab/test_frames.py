"""Results as data frames."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import emopipe
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab.parquet import Parquet
from emopipe.stages.sinks.affect import PLACES
from emopipe.stages.sinks.csv import CsvTable
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.sinks.table import COLUMNS, DERIVED, GEOMETRY
from tests.support.factories import make_geometry
from tests.support.lab import FRAME_NS, scene

SINKS = {".jsonl": JsonLines, ".csv": CsvTable, ".parquet": Parquet}
each_file = pytest.mark.parametrize("suffix", SINKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same results in all three files; one stream has a name that a spreadsheet would compute."""
    folder = tmp_path_factory.mktemp("results")
    sent = [("emotions", message) for stream in ("a", "=1+1") for message in scene(stream)]
    for suffix, cls in SINKS.items():
        run_stage(cls(cls.Settings(path=str(folder / f"x{suffix}"))), sent)  # type: ignore[call-arg, abstract]
    return folder


@each_file
def test_pandas_has_the_types_and_the_times(folder: Path, suffix: str) -> None:
    frame = emopipe.read(folder / f"x{suffix}")
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(COLUMNS)
    dtypes = frame.dtypes.astype(str).to_dict()
    kinds = {"pts_ns": "int64", "duration_ns": "int64", "time_s": "float64", "face": "Int64", "happy": "float64"}
    kinds |= {"uncertain": "boolean", "forced": "bool", "voice_uncertain": "boolean", "emotion": "str"}
    assert {name: dtypes[name] for name in kinds} == kinds
    assert frame.stream.unique().tolist() == ["a", "=1+1"]
    of_one = frame[(frame.stream == "=1+1") & (frame.face == 0)]
    assert of_one.pts_ns.tolist() == [number * FRAME_NS for number in range(110)]
    assert (of_one.time_s - of_one.pts_ns / 1e9).abs().max() < 1e-6
    assert int(of_one.uncertain.sum()) == 20
    assert frame[frame.face.isna()].emotion.isna().all()


MARKER = b'{"stream":"a","pts":5,"time":0.0,"marker":"stimulus 1","sender":"paradigm","sent":12.5}\n'


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_markers_have_a_frame_of_their_own(folder: Path, tmp_path: Path, library: Any) -> None:
    lines = (folder / "x.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "marked.jsonl").write_bytes(b"".join([lines[0], MARKER, *lines[1:]]))
    frame = emopipe.read(tmp_path / "marked.jsonl", library, what="markers")
    row = {"stream": "a", "time_s": 0.0, "pts_ns": 5, "marker": "stimulus 1", "sender": "paradigm", "sent_s": 12.5}
    assert list(frame.columns) == list(row)
    assert [frame[name][0] for name in row] == list(row.values())
    assert len(emopipe.read(tmp_path / "marked.jsonl", library)) == len(emopipe.read(folder / "x.jsonl", library))
    assert len(emopipe.read(folder / "x.jsonl", library, what="markers")) == 0


def test_markers_are_looked_for_where_they_can_be(folder: Path) -> None:
    with pytest.raises(EmopipeError, match=r"markers are in results that end in \.jsonl alone"):
        emopipe.read(folder / "x.csv", what="markers")
    with pytest.raises(EmopipeError, match='what: "marks" is unknown; did you mean "markers"'):
        emopipe.read(folder / "x.jsonl", what="marks")  # type: ignore[arg-type]


@each_file
def test_polars_has_the_types_and_the_times(folder: Path, suffix: str) -> None:
    frame = emopipe.read(str(folder / f"x{suffix}"), "polars")
    assert isinstance(frame, pl.DataFrame)
    types = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
    assert dict(frame.schema) == {name: types[kind] for name, kind in COLUMNS.items()}
    pts = frame.filter((pl.col("stream") == "a") & (pl.col("face") == 1))["pts_ns"].to_list()
    assert pts == [number * FRAME_NS for number in range(30, 60)]


def test_the_three_files_give_the_same_frame(folder: Path) -> None:
    one, *others = (emopipe.read(folder / f"x{suffix}", "polars") for suffix in SINKS)
    assert all(one.equals(other) for other in others)


@each_file
def test_without_results_the_columns_are_there(tmp_path: Path, suffix: str) -> None:
    cls: Any = SINKS[suffix]
    run_stage(cls(cls.Settings(path=str(tmp_path / f"x{suffix}"))))
    frame = emopipe.read(tmp_path / f"x{suffix}")
    assert (len(frame), list(frame.columns)) == (0, list(COLUMNS))


def test_a_line_that_says_what_is_missing_is_no_row(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "x.jsonl").read_bytes().splitlines(keepends=True)[:2]
    gap = b'{"stream":"a","pts":0,"time":0.0,"duration":5,"gap":"faces was restarted"}\n'
    (tmp_path / "x.jsonl").write_bytes(lines[0] + gap + lines[1])
    assert emopipe.read(tmp_path / "x.jsonl").pts_ns.tolist() == [0, FRAME_NS]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", b"", "expected results, whose name ends in .jsonl, .csv, .parquet"),
        ("x.jsonl", b"{}\n", "line 1 is no result of emopipe's: Object missing required field `source`"),
        ("x.jsonl", b"\xff\n", "line 1 is no result of emopipe's"),
        ("x.csv", b"stream,time_s\n", "not a table of emopipe's: there is no column pts_ns"),
        ("x.csv", b"", "not a table of emopipe's: there is no column stream"),
        ("x.csv", b"\xff\xfe", "not a table of emopipe's"),
        ("x.csv", f"{','.join(COLUMNS)}\na,b\n".encode(), "line 2 is no row of results"),
        ("x.csv", f"{','.join(COLUMNS)}\n{',' * (len(COLUMNS) - 1)}\n".encode(), "line 2 is no row of results"),
        ("x.parquet", b"PAR1", "not a Parquet file, or a damaged one"),
    ],
)
def test_what_is_no_result_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EmopipeError) as caught:
        emopipe.read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_somebody_else_is_refused(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "x.parquet"
    pl.DataFrame({"stream": ["a"], "pts_ns": [1]}).write_parquet(mine)
    with pytest.raises(EmopipeError, match="not a table of emopipe's: there is no column time_s"):
        emopipe.read(mine)
    whole = emopipe.read(folder / "x.parquet", "polars")
    whole.with_columns(time_s=pl.lit("soon")).write_parquet(mine)
    with pytest.raises(EmopipeError, match=r"not a table of emopipe's: .*soon"):
        emopipe.read(mine)
    whole.write_parquet(mine)
    assert emopipe.read(mine, "polars").equals(whole)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"x\.csv: no such file"):
        emopipe.read(tmp_path / "x.csv")


def test_libraries_that_are_missing_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.lab.frames.find_spec", lambda name: None)
    with pytest.raises(EmopipeError, match=r'^pandas is not installed: pip install pandas, or choose frame="polars"$'):
        emopipe.read(folder / "x.csv")
    monkeypatch.undo()
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    with pytest.raises(EmopipeError, match=r'^emopipe\.read needs pyarrow, .*pip install "emopipe\[lab\]"$'):
        emopipe.read(folder / "x.csv")
    with pytest.raises(EmopipeError, match='frame: "panda" is unknown; did you mean "pandas"'):
        emopipe.read(folder / "x.csv", "panda")  # type: ignore[arg-type]


def test_importing_emopipe_or_read_imports_no_library_of_frames() -> None:
    heavy = "{'pandas', 'polars', 'pyarrow', 'torch', 'av'}"
    code = f"import sys, emopipe; emopipe.read; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_derived_is_there_where_the_file_has_it(tmp_path: Path, suffix: str) -> None:
    cls: Any = SINKS[suffix]
    run_stage(cls(cls.Settings(path=str(tmp_path / f"x{suffix}"), derived=True)), [("emotions", m) for m in scene()])
    frame = emopipe.read(tmp_path / f"x{suffix}")
    assert list(frame.columns) == [*COLUMNS, *DERIVED]
    with_face = frame[frame.face.notna()]
    expected = sum(with_face[label] * valence for label, (valence, _) in PLACES.items())
    assert (with_face.derived_valence - expected).abs().max() < 1e-5
    assert frame[frame.face.isna()].derived_arousal.isna().all()


@each_file
def test_the_geometry_of_faces_is_there_where_the_file_has_it(tmp_path: Path, suffix: str) -> None:
    cls: Any = SINKS[suffix]
    sent = list(scene())
    sent[5].payload.faces[0].geometry = make_geometry(yaw=12.5, blinks=2)
    asked = {} if suffix == ".jsonl" else {"geometry": True}
    run_stage(cls(cls.Settings(path=str(tmp_path / f"x{suffix}"), **asked)), [("emotions", each) for each in sent])
    frame = emopipe.read(tmp_path / f"x{suffix}")
    assert list(frame.columns) == [*COLUMNS, *GEOMETRY]
    (row,) = frame[frame.head_yaw_deg.notna()].itertuples()
    assert (row.pts_ns, row.face, row.head_yaw_deg, row.blinks) == (5 * FRAME_NS, 0, 12.5, 2)
    assert frame.geometry_uncertain.dropna().tolist() == [False]
