"""The manifest beside results: what it says, when it is written, and which ones are refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from emopipe.graphs.manifest import Manifest, Manifests, manifest_path, read_manifest
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.identity import identify_file
from emopipe.pipeline.graph.load import Graph, graph_from_table


def graph(out: Path, *more: Path) -> Graph:
    play = {"use": "tests.support.stages:Player", "uri": "clip.mp4"}
    stages: dict[str, Any] = {"play": play}
    for number, path in enumerate([out, *more]):
        stages[f"show{number}"] = {
            "use": "tests.support.stages:Show",
            "inputs": {"scores": "play.scores"},
            "endpoint": str(path),
        }
    return graph_from_table({"stages": stages}, "graph.toml")


def read(result: Path) -> Manifest:
    manifest = read_manifest(result)
    assert manifest is not None
    return manifest


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/emopipe", "run", "graph.toml"])
    (tmp_path / "clip.mp4").write_bytes(b"a recording")
    return tmp_path / "results.jsonl"


def test_it_is_begun_with_the_run_and_completed_with_its_end(out: Path) -> None:
    with Manifests(graph(out)) as manifests:
        assert not manifest_path(out).exists()
        manifests.begin()
        begun = read(out)
        assert (begun.complete, begun.ended, begun.result.sha256) == (False, None, None)
        out.write_bytes(b"results")
        manifests.begin()
    ended = read(out)
    assert (ended.complete, ended.result) == (True, identify_file(out))
    assert ended.ended is not None
    assert ended.ended >= ended.started == begun.started
    assert (ended.stage, ended.command) == ("show0", ["emopipe", "run", "graph.toml"])
    assert ended.folder == str(out.parent)
    assert ended.origin == str(out.parent / "graph.toml")
    assert ended.run.recordings == [identify_file(out.parent / "clip.mp4")]
    assert ended.machine


def test_a_run_that_fails_is_not_complete(out: Path) -> None:
    manifests = Manifests(graph(out))
    manifests.begin()
    out.write_bytes(b"half")
    with pytest.raises(KeyboardInterrupt), manifests:
        raise KeyboardInterrupt
    manifest = read(out)
    assert (manifest.complete, manifest.result.sha256) == (False, identify_file(out).sha256)


def test_what_ended_a_run_is_told_and_not_that_its_manifest_cannot_be_completed(out: Path) -> None:
    manifests = Manifests(graph(out))
    manifests.begin()
    manifest_path(out).unlink()
    manifest_path(out).mkdir()
    with pytest.raises(StageFailed, match="the disk is full"), manifests:
        raise StageFailed("the disk is full")
    with pytest.raises(EmopipeError, match="cannot be written"), manifests:
        pass


def test_a_run_that_never_began_leaves_the_manifest_of_older_results(out: Path) -> None:
    with Manifests(graph(out)) as manifests:
        manifests.begin()
    before = manifest_path(out).read_bytes()
    with pytest.raises(EmopipeError), Manifests(graph(out)):
        raise EmopipeError("no models")
    assert manifest_path(out).read_bytes() == before


def test_each_file_has_its_own_and_addresses_and_what_is_thrown_away_have_none(out: Path) -> None:
    other, away = out.with_name("table.csv"), out.with_name("away.jsonl")
    addresses = [Path("tcp://127.0.0.1:5560"), Path("/dev/null"), out.parent]
    with Manifests(graph(out, other, away, *addresses), without=[away]) as manifests:
        manifests.begin()
    written = sorted(path.name for path in out.parent.glob("*.manifest.json"))
    assert written == ["results.jsonl.manifest.json", "table.csv.manifest.json"]
    assert not Path("/dev/null.manifest.json").exists()


def test_one_that_cannot_be_written_is_said(out: Path) -> None:
    manifest_path(out).mkdir()
    with pytest.raises(EmopipeError, match=r"results.jsonl.manifest.json: cannot be written \(Is a directory\)"):
        Manifests(graph(out)).begin()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a manifest of emopipe's"),
        (b"[]", "not a manifest of emopipe's"),
        (b'{"version": 1}', "not a manifest of emopipe's: Object missing required field"),
        (b'{"version": 2}', "manifest version 2, but this emopipe reads version 1; check the results with"),
        (b"[" * 100_000, "not a manifest of emopipe's"),
        (b"\xff\xfe", "not a manifest of emopipe's"),
        (b" " * (17 << 20), "larger than any manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    result = tmp_path / "r.jsonl"
    assert read_manifest(result) is None
    manifest_path(result).write_bytes(content)
    with pytest.raises(EmopipeError) as caught:
        read_manifest(result)
    assert str(caught.value).startswith(f"{manifest_path(result)}: {problem}")


def test_it_is_json_that_anybody_can_read(out: Path) -> None:
    with Manifests(graph(out)) as manifests:
        manifests.begin()
    content = msgspec.json.decode(manifest_path(out).read_bytes())
    assert list(content)[:3] == ["version", "result", "stage"]
    assert content["run"]["graph"]["stages"]["play"]["uri"] == str(out.parent / "clip.mp4")
    assert "numpy" in content["run"]["versions"]


def test_no_token_or_password_is_written_down(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, password = "a-token-of-enough-characters", "camera-password"
    setting = f"stages.page.token={token}"
    monkeypatch.setattr("sys.argv", ["emopipe", "run", "graph.toml", "--set", setting])
    camera = {"use": "network-capture", "uri": f"rtsp://anna:{password}@camera.local/1?key=of-the-stream"}
    stages = {
        "camera": camera,
        "faces": {"use": "face-detection", "inputs": {"video": "camera.video"}},
        "facial": {"use": "facial-inference", "inputs": {"faces": "faces.faces"}},
        "fusion": {"use": "fusion", "inputs": {"faces": "facial.emotions"}},
        "page": {"use": "page", "inputs": {"emotions": "fusion.emotions"}, "token": token},
        "results": {"use": "jsonl", "inputs": {"emotions": "fusion.emotions"}, "path": str(out)},
    }
    with Manifests(graph_from_table({"pipeline": {"mode": "live"}, "stages": stages}, "graph.toml")) as manifests:
        manifests.begin()
    written = manifest_path(out).read_text()
    assert "stages.page.token=***" in written
    assert "rtsp://anna:***@camera.local/1?***" in written
    for secret in (token, password, "of-the-stream"):
        assert secret not in written
