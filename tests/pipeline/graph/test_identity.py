"""What a run's results depend on, and in which words two runs differ."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from emopipe.pipeline.graph.identity import FileIdentity, RunIdentity, changes, identify, identify_file
from emopipe.pipeline.graph.load import graph_from_table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"a recording")
    (tmp_path / "ears.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(mode: str = "replay", **settings: Any) -> dict[str, Any]:
    play = {"use": "tests.support.stages:Player", "uri": "clip.mp4", "model": "ears.safetensors", **settings}
    show = {"use": "tests.support.stages:Show", "inputs": {"scores": "play.scores"}}
    return {"pipeline": {"mode": mode}, "stages": {"play": play, "show": show}}


def identity(mode: str = "replay", **settings: Any) -> RunIdentity:
    return identify(graph_from_table(table(mode, **settings), "graph.toml"))


def said(before: RunIdentity, now: RunIdentity) -> list[tuple[str, str]]:
    return [tuple(change) for change in changes(before, now)]


def test_a_run_is_known_by_what_it_reads_and_loads(folder: Path) -> None:
    found = identity(log="log.txt")
    assert found.weights == [identify_file(folder / "ears.safetensors")]
    assert found.recordings == [identify_file(folder / "clip.mp4")]
    assert [Path(file.path).name for file in found.own_code] == ["stages.py"]
    assert {"emopipe", "python", "numpy"} <= found.versions.keys()
    play = found.graph["stages"]["play"]
    assert play["gain"] == 1.0  # a default of today is a fact of the run
    assert [play[key] for key in ("uri", "model", "log")] == [
        str(folder / name) for name in ("clip.mp4", "ears.safetensors", "log.txt")
    ]


def test_the_graph_can_be_made_of_it_again_from_any_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = identity(gain=0.25)
    stored = msgspec.json.decode(msgspec.json.encode(first), type=RunIdentity)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    again = identify(graph_from_table(stored.graph, "graph.toml"))
    assert (again.graph, said(first, again)) == (first.graph, [])


def test_files_are_known_by_content_wherever_they_lie(folder: Path) -> None:
    before = identity()
    (folder / "moved").mkdir()
    (folder / "moved" / "clip.mp4").write_bytes(b"a recording")
    (folder / "other-name.safetensors").write_bytes(b"weights")
    assert said(before, identity(uri="moved/clip.mp4", model="other-name.safetensors")) == []
    (folder / "other.mp4").write_bytes(b"a recording")
    (change,) = said(before, identity(uri="other.mp4"))  # a stream is called after its recording
    assert change[0] == "graph"
    assert change[1].startswith('stages.play.uri: "clip.mp4 sha256:')


@pytest.mark.parametrize(("name", "subject"), [("ears.safetensors", "weights"), ("clip.mp4", "recording")])
def test_a_flipped_bit_is_found_and_its_file_named(folder: Path, name: str, subject: str) -> None:
    before = identity()
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    ((kind, text),) = said(before, identity())
    assert kind == subject
    assert text.startswith(f"{folder / name}: sha256 ")
    assert text.endswith("… then")


def test_settings_stages_and_modes_are_told_apart(folder: Path) -> None:
    assert said(identity(), identity(gain=2.0)) == [("graph", "stages.play.gain: 1 then, 2 now")]
    assert said(identity(), identity(model="")) == [
        ("graph", 'stages.play.model: "sha256:' + said(identity(), identity(model=""))[0][1].partition("sha256:")[2]),
        ("weights", f"{folder / 'ears.safetensors'}: read then, and not now"),
    ]
    assert ("mode", "replay then, live now") in said(identity(), identity("live"))
    fewer = table()
    fewer["stages"]["more"] = fewer["stages"]["show"]
    more = identify(graph_from_table(fewer, "graph.toml"))
    assert said(identity(), more) == [("graph", 'stage "more" is new')]
    assert said(more, identity()) == [("graph", 'there is no stage "more" any more')]


def test_how_a_replay_is_cut_into_processes_changes_nothing_and_live_it_does(folder: Path) -> None:
    assert said(identity(), identity(process="all")) == []
    assert said(identity("live"), identity("live", process="all")) == [
        ("graph", 'stages.play.process: "play" then, "all" now')
    ]


def test_other_code_and_other_libraries_are_another_version(folder: Path) -> None:
    now = identity()
    older = msgspec.structs.replace(now, versions=now.versions | {"numpy": "1.0"})
    assert said(older, now) == [("version", f'numpy: "1.0" then, "{now.versions["numpy"]}" now')]
    edited = msgspec.structs.replace(now, code="0")
    assert said(edited, now) == [("version", f"emopipe {now.versions['emopipe']} has other code than the one then")]


def test_what_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    assert identify_file(tmp_path) == FileIdentity(str(tmp_path), 0, None)
    assert identify_file(tmp_path / "missing").sha256 is None


def test_a_recording_that_has_gone_is_said(folder: Path) -> None:
    before = identity()
    (folder / "clip.mp4").unlink()
    ((kind, text),) = said(before, identity())
    assert kind == "recording"
    assert text.startswith(f"{folder / 'clip.mp4'}: cannot be read now, ")
