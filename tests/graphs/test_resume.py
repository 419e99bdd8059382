"""A replay that was interrupted goes on with what it was of, and with nothing else."""

from pathlib import Path

import pytest

from emopipe.graphs.resume import RunState
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.graph.identity import identify
from emopipe.pipeline.graph.load import Graph, graph_from_table

TOY = "tests.support.restart_stages:"


def graph(out: Path, **recordings: object) -> Graph:
    stages = {
        "count": {"use": f"{TOY}Recordings", **recordings},
        "lines": {"use": f"{TOY}Lines", "inputs": {"numbers": "count.numbers"}, "path": str(out)},
    }
    return graph_from_table({"stages": stages}, "toy.toml")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "lines.txt"


def interrupt(out: Path, *, begun: bool = True) -> None:
    """Leave what a run leaves that a signal has ended."""
    with pytest.raises(KeyboardInterrupt), RunState(out, resume=False) as state:  # noqa: PT012
        state.begin(identify(graph(out)))
        if begun:
            Journal(state.folder / "lines.journal").set("begun", True)
        raise KeyboardInterrupt


def test_a_run_that_comes_to_its_end_leaves_nothing(out: Path) -> None:
    with RunState(out, resume=False) as state:
        state.begin(identify(graph(out)))
        Journal(state.folder / "lines.journal").set("begun", True)
    assert list(out.parent.iterdir()) == []


def test_nor_does_one_that_had_begun_nothing(out: Path) -> None:
    interrupt(out, begun=False)
    assert list(out.parent.iterdir()) == []


def test_what_was_begun_stays_for_the_run_that_goes_on(out: Path) -> None:
    interrupt(out)
    with RunState(out, resume=True) as state:
        state.begin(identify(graph(out)))
        assert Journal(state.folder / "lines.journal").get("begun")
    assert not state.folder.exists()


def test_a_run_that_begins_anew_keeps_nothing_of_it(out: Path) -> None:
    interrupt(out)
    with RunState(out, resume=False) as state:
        state.begin(identify(graph(out)))
        assert not state.begun


def test_without_anything_to_go_on_with_nothing_is_touched(out: Path) -> None:
    missing = f"--resume: {out}.run is not there, as it is only after a replay to {out} was interrupted; leave out"
    with pytest.raises(EmopipeError, match=missing):
        RunState(out, resume=True).__enter__()
    assert list(out.parent.iterdir()) == []


def test_another_graph_is_refused_and_nothing_is_touched(out: Path) -> None:
    interrupt(out)
    other = r"--resume: not what was interrupted: graph: stages\.count\.count: 100 then, 50 now; resume with what it"
    with pytest.raises(EmopipeError, match=other), RunState(out, resume=True) as state:
        state.begin(identify(graph(out, count=50)))
    assert state.begun
    with RunState(out, resume=True) as state:
        state.begin(identify(graph(out)))


def test_what_is_no_state_of_a_run_is_refused(out: Path) -> None:
    interrupt(out)
    (Path(f"{out}.run") / "run.json").write_text("{}")
    with (
        pytest.raises(EmopipeError, match=r"run\.json cannot be read: .* missing required"),
        RunState(out, resume=True) as s,
    ):
        s.begin(identify(graph(out)))


def test_two_replays_do_not_write_the_same_results(out: Path) -> None:
    with RunState(out, resume=False) as state:
        state.begin(identify(graph(out)))
        with pytest.raises(EmopipeError, match="another replay writes there; wait for it, or stop it"):
            RunState(out, resume=False).__enter__()
        assert (state.folder / "run.json").exists()
