"""Results as a Parquet file."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emopipe
from emopipe.pipeline.files import RUN_IDENTITY, Journal
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab import parquet
from emopipe.stages.lab.parquet import Parquet
from emopipe.stages.sinks.csv import CsvTable
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.sinks.table import COLUMNS
from tests.support.lab import scene


def messages(*streams: str) -> list[tuple[str, Message]]:
    return [("emotions", message) for stream in streams for message in scene(stream)]


def written(path: Path, *streams: str, **more: Any) -> pq.ParquetFile:
    run_stage(Parquet(Parquet.Settings(path=str(path)), label="out0"), messages(*streams), **more)
    return pq.ParquetFile(path)


def test_columns_are_typed_and_hold_what_jsonl_does(tmp_path: Path) -> None:
    file = written(tmp_path / "x.parquet", "a")
    run_stage(JsonLines(JsonLines.Settings(path=str(tmp_path / "x.jsonl"))), messages("a"))
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    rows = file.read().to_pylist()
    assert file.schema_arrow.names == list(COLUMNS)
    kinds = {"pts_ns": pa.int64(), "face": pa.int64(), "time_s": pa.float64(), "happy": pa.float64()}
    kinds |= {"uncertain": pa.bool_(), "forced": pa.bool_(), "emotion": pa.string(), "stream": pa.string()}
    assert {name: file.schema_arrow.field(name).type for name in kinds} == kinds
    expected = [
        (line["stream"], line["pts"], line["duration"], line["time"], face["id"], face["emotion"], face["confidence"],
         face["probabilities"]["disgust"], face["uncertain"], face["speaking"], face["box"])
        for line in lines for face in line["faces"]
    ]  # fmt: skip
    found = [
        (row["stream"], row["pts_ns"], row["duration_ns"], row["time_s"], row["face"], row["emotion"],
         row["confidence"], row["disgust"], row["uncertain"], row["speaking"],
         [row[side] for side in ("left", "top", "width", "height")])
        for row in rows if row["face"] is not None
    ]  # fmt: skip
    assert found == expected
    nobody = [row for row in rows if row["face"] is None]
    assert [row["pts_ns"] for row in nobody] == [line["pts"] for line in lines if not line["faces"]]
    assert {row["emotion"] for row in nobody} == {None}


def test_it_holds_what_csv_does(tmp_path: Path) -> None:
    import csv

    rows = written(tmp_path / "x.parquet", "a", "b").read().to_pylist()
    run_stage(CsvTable(CsvTable.Settings(path=str(tmp_path / "x.csv"))), messages("a", "b"))
    with (tmp_path / "x.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    texts = {True: "true", False: "false", None: ""}
    as_text = [
        {name: texts[value] if isinstance(value, bool | None) else str(value) for name, value in row.items()}
        for row in rows
    ]
    assert as_text == cells


def test_each_stream_has_row_groups_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_ROWS", 100)
    file = written(tmp_path / "x.parquet", "b", "a")
    groups = [set(file.read_row_group(n, ["stream"])["stream"].to_pylist()) for n in range(file.num_row_groups)]
    assert groups == [{"b"}, {"b"}, {"a"}, {"a"}]


def test_it_says_what_it_was_made_of(tmp_path: Path) -> None:
    identity = {"graph": {"stages": {}}, "weights": [{"path": "ä.safetensors", "size": 1, "sha256": "00"}]}
    (tmp_path / RUN_IDENTITY).write_text(json.dumps(identity))
    file = written(tmp_path / "x.parquet", "a", journal=Journal(tmp_path / "out0.journal"))
    said = file.schema_arrow.metadata
    assert said[b"emopipe.version"].decode() == emopipe.__version__
    assert json.loads(said[b"emopipe.run"]) == identity


def test_without_results_it_is_a_table_without_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "x.parquet")
    assert (file.metadata.num_rows, file.schema_arrow.names) == (0, list(COLUMNS))


def test_a_stream_that_is_done_is_kept_for_the_run_that_goes_on(tmp_path: Path) -> None:
    undisturbed = written(tmp_path / "whole.parquet", "a", "b")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"of yesterday")

    class Killed(BaseException):
        pass

    class Dying(Parquet):
        async def process(self, port: str, message: Message) -> None:
            if message.stream == "b" and message.pts > 10**9:
                raise Killed
            await super().process(port, message)

    sent = messages("a", "b")
    with pytest.raises(Killed):
        run_stage(
            Dying(Parquet.Settings(path=str(path)), label="out0"), _with_end(sent, "a"),
            journal=Journal(tmp_path / "out0.journal"),
        )  # fmt: skip
    assert path.read_bytes() == b"of yesterday"
    again = written(path, "b", journal=Journal(tmp_path / "out0.journal"), finished=["a"])
    assert again.read().equals(undisturbed.read())
    assert path.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def _with_end(sent: list[tuple[str, Message]], stream: str) -> list[tuple[str, Message]]:
    """The messages, with the end of `stream` behind its last."""
    from emopipe.pipeline.testing import eos

    last = max(at for at, (_, message) in enumerate(sent) if message.stream == stream)
    return [*sent[: last + 1], ("emotions", eos(stream)), *sent[last + 1 :]]


def test_settings_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = Parquet.Settings(path=str(tmp_path / "x.pq")).check()
    assert problem.text.endswith("x.pq: expected a name that ends in .parquet")
    (problem,) = Parquet.Settings(path=str(tmp_path / "no" / "x.parquet")).check()
    assert "the directory" in problem.text
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    assert Parquet.Settings(path=str(tmp_path / "x.parquet")).check() == [
        ("", 'needs pyarrow, which is not installed: pip install "emopipe[lab]"')
    ]
