"""How a graph says what is watched and restarted, and what of it cannot be."""

import pytest

from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import graph_from_table, resolve
from emopipe.pipeline.supervision.settings import Supervision
from tests.support.graphs import good


def test_how_stages_are_supervised_is_read_and_checked() -> None:
    table = good()
    table["pipeline"]["supervision"] = {"kill_after": 20, "restart": "always"}
    table["stages"]["voice"]["supervision"] = {"restart": "never", "max_memory": 2000}
    graph = graph_from_table(table, "g.toml")
    assert graph.stages["voice"].supervision == Supervision(kill_after=20, restart="never", max_memory=2000)
    assert graph.stages["fusion"].supervision == Supervision(kill_after=20, restart="always")


@pytest.mark.parametrize(
    ("where", "given", "problem"),
    [
        ("pipeline", {"kill_after": -1}, "pipeline.supervision.kill_after: -1 is not above 0 s"),
        ("pipeline", {"restarts": 1}, 'pipeline.supervision.restarts: unknown setting; did you mean "restart"?'),
        (
            "voice",
            {"restart": "sometimes"},
            'stages.voice.supervision.restart: expected "always", "never" or "on-failure", got "sometimes"',
        ),
        ("voice", 7, 'stages.voice.supervision: expected a table such as { restart = "never" }, got 7'),
    ],
)
def test_supervision_that_cannot_be(where: str, given: object, problem: str) -> None:
    table = good()
    (table["pipeline"] if where == "pipeline" else table["stages"][where])["supervision"] = given
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "g.toml")
    assert problem in str(caught.value)


def test_a_restart_of_what_cannot_be_restarted_is_refused_in_replay_mode() -> None:
    table = good()
    table["pipeline"] = {"supervision": {"restart": "never"}}
    table["stages"]["fusion"]["supervision"] = {"restart": "on-failure"}
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "g.toml")
    assert str(caught.value) == (
        "g.toml: stages.fusion.supervision.restart: capture (camera) cannot bring the same again, which a restart in "
        'replay mode needs; expected "never", or mode = "live"'
    )
    del table["stages"]["fusion"]["supervision"]
    assert "cannot bring the same again" in graph_from_table(table, "g.toml").unrepeatable


def test_two_sources_bring_their_streams_in_no_order_that_could_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    table = good()
    monkeypatch.setattr(resolve(table["stages"]["capture"]["use"]), "repeatable", True)
    table["pipeline"] = {}
    assert graph_from_table(table, "g.toml").unrepeatable == ""
    table["stages"]["second"] = dict(table["stages"]["capture"])
    why = graph_from_table(table, "g.toml").unrepeatable
    assert (
        why
        == "capture and second bring their streams at once, in an order that a restart in replay mode could not repeat"
    )
