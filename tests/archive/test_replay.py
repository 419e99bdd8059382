"""One recording of an archive, replayed in this process: what its entry and its file say."""

import copy
import errno
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from emopipe.archive.replay import Order, Stopped, base_identity, replay
from emopipe.pipeline.graph.identity import identify_file
from emopipe.stages.lab import parquet
from tests.support.media import every, make

TABLE = {
    "pipeline": {"name": "scripted", "mode": "replay"},
    "stages": {
        "capture": {"use": "file-capture", "uri": "none.mp4"},
        "scripted": {
            "use": "tests.support.archive_stages:Scripted",
            "folder": "marks",
            "inputs": {"video": "capture.video"},
        },
        "console": {"use": "console", "inputs": {"emotions": "scripted.emotions"}},
        "served": {"use": "publish", "endpoint": "tcp://127.0.0.1:1", "inputs": {"emotions": "scripted.emotions"}},
    },
}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    make(tmp_path / "x.mkv", pictures=every(25, 0.2))
    out = tmp_path / "out"
    out.mkdir()
    return Order(table=TABLE, origin=str(tmp_path / "graph.toml"), overrides=[], root=str(tmp_path), out=str(out))


def test_the_entry_says_what_the_recording_was_and_the_file_what_it_is_made_of(order: Order, tmp_path: Path) -> None:
    entry = replay(order, "x.mkv", tmp_path / "state")
    recording, result = tmp_path / "x.mkv", tmp_path / "out/x.mkv.parquet"
    assert (entry.outcome, entry.word, entry.rows) == ("done", None, 5)
    assert (entry.size, entry.sha256) == (recording.stat().st_size, identify_file(recording).sha256)
    assert (entry.result, entry.result_size) == ("x.mkv.parquet", result.stat().st_size)
    run = json.loads(pq.read_schema(result).metadata[b"emopipe.run"])
    assert run["recordings"] == [{"path": str(recording), "size": entry.size, "sha256": entry.sha256}]
    assert list(run["graph"]["stages"]) == ["capture", "scripted", "out0"]  # nobody is served
    assert str(tmp_path / "out") not in json.dumps(run)


def test_what_all_depend_on_names_no_recording(order: Order, tmp_path: Path) -> None:
    (tmp_path / "a.mkv").touch()  # which cannot be played
    run, _ = base_identity(order, ["a.mkv", "x.mkv"])
    assert run.recordings == []
    assert ".mkv" not in msgspec.json.encode(run).decode()


def test_a_recording_that_is_written_to_meanwhile_has_no_results(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*given: Any, **more: Any) -> Any:
        with (tmp_path / "x.mkv").open("ab") as file:
            file.write(b"more")
        return rows(*given, **more)

    rows = parquet.rows
    monkeypatch.setattr(parquet, "rows", write)
    entry = replay(order, "x.mkv", tmp_path / "state")
    assert (entry.word, entry.text) == ("changed", "it was written to while it was read")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_recordings_own_failure(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(file: Path) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(parquet, "sync", full)
    with pytest.raises(Stopped, match=f"^--out {order.out}: no space is left on its disk; free some$"):
        replay(order, "x.mkv", tmp_path / "state")
    monkeypatch.undo()
    assert replay(order, "x.mkv", tmp_path / "state").outcome == "done"


def test_it_says_that_it_gets_on(order: Order, tmp_path: Path) -> None:
    beats: list[None] = []
    replay(order, "x.mkv", tmp_path / "state", beat=lambda: beats.append(None))
    assert beats


def on_a_node(order: Order, **more: Any) -> Order:
    return msgspec.structs.replace(order, place="node 10.0.0.2", **more)


def test_what_is_not_on_a_node_is_said_with_its_place(order: Order, tmp_path: Path) -> None:
    entry = replay(on_a_node(order), "far.mkv", tmp_path / "state")
    assert (entry.outcome, entry.word, entry.text) == ("failed", "unreadable", "no such file on node 10.0.0.2")


def test_a_stage_that_is_not_on_a_node_ends_it(order: Order, tmp_path: Path) -> None:
    table = copy.deepcopy(TABLE)
    table["stages"]["scripted"]["use"] = "nowhere.to.be_found:Scripted"
    with pytest.raises(
        Stopped, match=r"^node 10\.0\.0\.2: stages\.scripted\.use: .*; it has to be there as it is here$"
    ):
        replay(on_a_node(order, table=table), "x.mkv", tmp_path / "state")


def test_a_full_disk_of_a_node_is_said_with_its_place(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(parquet, "sync", full)
    with pytest.raises(Stopped, match=f"^node 10.0.0.2: {order.out}: no space is left on its disk; free some$"):
        replay(on_a_node(order), "x.mkv", tmp_path / "state")


@pytest.mark.parametrize("library", ["numpy", "onnxruntime", "pyarrow", "emopipe"])
def test_a_library_of_another_version_ends_it(order: Order, tmp_path: Path, library: str) -> None:
    run, _ = base_identity(order, ["x.mkv"])
    own = run.versions[library]
    order.run = msgspec.structs.replace(run, versions=run.versions | {library: "0.1"})
    with pytest.raises(Stopped) as caught:
        replay(order, "x.mkv", tmp_path / "state")
    assert str(caught.value) == (
        f'--out {order.out}: its results would be made otherwise now: version: {library}: "0.1" then, "{own}" now; '
        "have all be as it was when the archive was begun"
    )
    assert not list(Path(order.out).iterdir())


def test_results_say_nothing_of_where_the_files_lie_on_a_node(order: Order, tmp_path: Path) -> None:
    order.run, _ = base_identity(order, ["x.mkv"])
    replay(order, "x.mkv", tmp_path / "state")
    far = on_a_node(order, out=str(tmp_path / "far"))
    replay(far, "x.mkv", tmp_path / "state")
    assert (tmp_path / "far/x.mkv.parquet").read_bytes() == (tmp_path / "out/x.mkv.parquet").read_bytes()
