"""emopipe replay --check: stored results are derived again, and what differs is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from emopipe.__main__ import main
from emopipe.graphs.manifest import manifest_path
from emopipe.models.checkpoint import WEIGHTS_DIR
from tests.support.media import every, make
from tests.support.paths import ROOT
from tests.support.recordings import write_field

GRAPH = str(ROOT / "pipeline.toml")
Told = tuple[int, str, str]


def flip(path: Path, at: int) -> None:
    """Flip a bit of the byte at a place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """What lies in a folder with recorded messages, the fusion's weights, and the results of a replay."""
    folder = tmp_path_factory.mktemp("replayed")
    field, weights, out = folder / "field.mcap", folder / "fusion.safetensors", folder / "results.jsonl"
    write_field(field)
    shutil.copy(WEIGHTS_DIR / "fusion.safetensors", weights)
    given = ["--graph", GRAPH, "--set", f"stages.fusion.weights={weights}", "--one-process"]
    assert main(["replay", str(field), "--out", str(out), *given]) == 0
    return {path: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def results(contents: dict[Path, bytes]) -> Path:
    """The results; all files are as they were written."""
    for path, content in contents.items():
        path.write_bytes(content)
    return next(path for path in contents if path.suffix == ".jsonl")


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def check(*arguments: object) -> Told:
        code = main(["replay", "--one-process", "--check", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return check


def edit(results: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the manifest of results."""
    manifest = msgspec.json.decode(manifest_path(results).read_bytes())
    change(manifest)
    manifest_path(results).write_bytes(msgspec.json.encode(manifest))


def test_the_same_results_of_the_same_files(check: Callable[..., Told], results: Path) -> None:
    code, out, err = check(results)
    lines = results.read_text().count("\n")
    assert (code, out) == (0, f"{results}: the same: {lines} results, to the byte, and so is all that it is made of\n")
    assert "then" not in err


def test_a_flipped_bit_in_weights(check: Callable[..., Told], results: Path) -> None:
    weights = results.with_name("fusion.safetensors")
    flip(weights, len(weights.read_bytes()) - 2)  # the exponent of the last number
    code, out, err = check(results)
    assert code == 1
    assert f"emopipe: weights: {weights}: sha256 " in err
    assert "emopipe: recording:" not in err
    assert out.startswith(f"{results}: different: line ") or "the same results, though not of the same files" in out


def test_a_flipped_bit_in_the_recording(check: Callable[..., Told], results: Path) -> None:
    field = results.with_name("field.mcap")
    flip(field, field.read_bytes().index(b"zstd") + 300)
    code, _, err = check(results)
    assert code == 2  # what a recording of messages holds is known to be damaged
    assert f"emopipe: recording: {field}: sha256 " in err
    assert "field.mcap: damaged at byte" in err


def test_a_flipped_bit_in_the_results(check: Callable[..., Told], results: Path) -> None:
    content = results.read_bytes()
    flip(results, content.index(b'"happy"', 2000) + 1)  # "iappy"
    code, out, err = check(results)
    assert code == 1
    assert f"emopipe: results: {results} is not what was written: sha256 " in err
    number = content[: content.index(b'"happy"', 2000)].count(b"\n") + 1
    assert out.startswith(f'{results}: different: line {number}, stream "test" at ')
    assert out.endswith('faces[0].emotion: "iappy" stored, "happy" now\n')


def test_another_version_is_said_and_is_no_difference(check: Callable[..., Told], results: Path) -> None:
    edit(results, lambda manifest: manifest["run"]["versions"].update(numpy="0.9"))  # type: ignore[index]
    code, out, err = check(results)
    assert code == 0
    assert 'emopipe: version: numpy: "0.9" then, "' in err
    assert out.endswith("results, to the byte\n")


def test_another_graph_is_said_with_what_it_changes(check: Callable[..., Told], results: Path) -> None:
    weights, field = results.with_name("fusion.safetensors"), results.with_name("field.mcap")
    given = ["--graph", GRAPH, "--set", f"stages.fusion.weights={weights}", "--set", "stages.fusion.smoothing=0"]
    code, out, err = check(results, field, *given)
    assert code == 1
    assert "emopipe: graph: stages.fusion.smoothing: 0.3 then, 0 now\n" in err
    assert "faces[0].confidence: " in out


def test_a_recording_that_lies_elsewhere_now(check: Callable[..., Told], results: Path, tmp_path: Path) -> None:
    moved = tmp_path / "field.mcap"
    results.with_name("field.mcap").rename(moved)
    code, _, err = check(results)
    assert code == 2
    assert "its run cannot be made again: stages.messages: " in err
    assert "recordings that lie elsewhere now are named after --check FILE" in err
    code, out, _ = check(results, moved)
    assert (code, "the same" in out) == (0, True)
    code, _, err = check(results, moved, moved)
    assert (code, "does not fit: its run had 1 recording, not 2" in err) == (2, True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m.update(version=3), "manifest version 3, but this emopipe reads version 1"),
        (lambda m: m.pop("run"), "not a manifest of emopipe's: Object missing required field `run`"),
        (lambda m: m.update(stage="out7"), "does not fit: its graph has no stage out7"),
        (lambda m: m["run"].update(mode="live"), "results.jsonl is of a live run, which cannot be run again"),
        (
            lambda m: m["run"]["graph"]["stages"]["out0"].update(use="csv"),
            "results.jsonl was written by csv; only .jsonl",
        ),
        (
            lambda m: m["run"]["graph"]["stages"]["fusion"].update(mood=1),
            "its run cannot be made again: stages.fusion.mood",
        ),
        (lambda m: m["run"]["graph"].update(stages=[]), "does not fit: it holds no graph"),
        (lambda m: m["run"]["graph"]["stages"].update(fusion=7), "does not fit: it holds no graph"),
    ],
)
def test_a_manifest_that_does_not_fit(
    check: Callable[..., Told], results: Path, change: Callable[[dict[str, object]], object], problem: str
) -> None:
    edit(results, change)
    before = results.read_bytes()
    code, out, err = check(results)
    assert (code, out) == (2, "")
    assert err.startswith(f"emopipe: {manifest_path(results)}: {problem}")
    assert err.count("\n") == 1
    assert results.read_bytes() == before


def test_results_without_a_manifest_need_their_recording(check: Callable[..., Told], results: Path) -> None:
    manifest_path(results).unlink()
    code, _, err = check(results)
    assert (code, err.startswith(f"emopipe: --check {results}: name the recordings that it is of")) == (2, True)
    code, out, err = check(results, results.with_name("field.mcap"), "--graph", GRAPH)
    assert code == 0
    assert "is not there: only the results are compared" in err
    assert out.endswith("results, to the byte\n")


def test_what_makes_no_sense_with_a_check(check: Callable[..., Told], results: Path, tmp_path: Path) -> None:
    assert check(tmp_path / "gone.jsonl")[2] == (
        f"emopipe: --check {tmp_path}/gone.jsonl: no such file; expected results of a replay, such as results.jsonl\n"
    )
    assert "leave out --out" in check(results, "--out", tmp_path / "x.jsonl")[2]
    assert main(["replay"]) == 2


@pytest.mark.slow("three replays of a clip through the default graph with its models")
def test_a_flipped_bit_in_a_film(check: Callable[..., Told], tmp_path: Path) -> None:
    clip, out = make(tmp_path / "clip.mkv", pictures=every(25, 1.0)), tmp_path / "results.jsonl"
    assert main(["replay", str(clip), "--out", str(out), "--graph", GRAPH, "--one-process"]) == 0
    assert check(out)[0] == 0
    flip(clip, clip.stat().st_size * 2 // 3)
    code, _, err = check(out)
    assert code == 1
    assert f"emopipe: recording: {clip}: sha256 " in err
    assert "emopipe: graph:" not in err
    assert "emopipe: weights:" not in err
