"""Graphs by their names, from any folder: a user's own file comes first, then those that come with emopipe."""

from pathlib import Path

import pytest

from emopipe.graphs.ready import default_graph, find_graph, ready_graphs
from emopipe.pipeline.errors import GraphError
from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_graph_of_the_checkout_has_a_name() -> None:
    assert sorted(ready_graphs()) == sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


@pytest.mark.parametrize("given", ["webcam", "configs/webcam.toml"])
def test_a_graph_that_comes_with_emopipe_is_found_from_any_folder(given: str) -> None:
    assert find_graph(Path(given)).read_text() == (ROOT / "configs" / "webcam.toml").read_text()


def test_the_default_graph_is_found_from_any_folder() -> None:
    assert find_graph(None).samefile(ROOT / "pipeline.toml")
    assert find_graph(Path("pipeline.toml")) == default_graph()


@pytest.mark.parametrize("given", ["webcam", "configs/webcam.toml", "pipeline.toml"])
def test_a_file_of_the_users_own_comes_first(given: str) -> None:
    Path("configs").mkdir()
    Path(given).write_text("mine")
    assert find_graph(Path(given)) == Path(given)
    assert given != "pipeline.toml" or find_graph(None) == Path(given)


def test_a_folder_of_that_name_is_no_graph() -> None:
    Path("webcam").mkdir()
    assert find_graph(Path("webcam")).name == "webcam.toml"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("webcma", 'did you mean "webcam"?'),
        ("configs/webrct.toml", 'did you mean "webrtc"?'),
        ("mine.toml", 'known are "many-files", "page", "publish", "record", "rtsp", "webcam" and "webrtc"'),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(given: str, advice: str) -> None:
    with pytest.raises(GraphError) as caught:
        find_graph(Path(given))
    assert str(caught.value) == f"{given}: no such file, and no graph of emopipe's; {advice}"
