"""benchmarks.fuzz: cases come out the same each time, and what they find is told with their numbers."""

import pytest

from benchmarks.fuzz import __main__ as command
from benchmarks.fuzz import graphs, messages
from benchmarks.fuzz.cases import mutate, random_of
from emopipe.graphs.ready import default_graph


def test_a_case_is_known_by_its_number() -> None:
    def made(seed: int) -> list[list[bytes]]:
        return [messages.multipart(random_of(seed, case)) for case in range(50)]

    assert made(1) == made(1)
    assert made(1) != made(2)
    texts = {mutate(b"a = 1", random_of(1, case)) for case in range(50)}
    assert len(texts) > 40


def test_what_a_case_finds_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(graphs, "load_graph", load)
    found = graphs.fuzz(1, range(20))
    assert found.tried == 20
    assert 0 < len(found.wrong) < 20
    assert all(text.startswith("case ") and text.endswith(": KeyError: 'lost'") for text in found.wrong)


def test_the_command_fails_where_something_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "graphs", "--cases", "5"])
    assert command.main() == 0
    assert "| graphs |     5 |" in capsys.readouterr().out
    monkeypatch.setattr(graphs, "MAX_GROWTH_MB", -1.0)
    assert command.main() == 1
    assert "graphs, seed 1: grew by" in capsys.readouterr().err


def test_mutated_graphs_give_a_graph_or_problems_in_words() -> None:
    found = graphs.fuzz(20, range(100))
    assert found.wrong == []
    assert 50 < found.refused < 100
    assert default_graph().exists()


@pytest.mark.slow("whole processes")
def test_no_stranger_changes_a_run() -> None:
    found = messages.fuzz(20, range(500))
    assert found.wrong == []
    assert found.refused >= 500
