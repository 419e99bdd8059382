"""benchmarks.fuzz, in short: forged and broken messages at every socket of a running graph change nothing."""

import pytest

from benchmarks.fuzz import KINDS


@pytest.mark.slow("plays a graph in three processes while strangers send to its sockets")
def test_what_strangers_send_to_a_running_graph_is_refused_and_changes_nothing() -> None:
    found = KINDS["messages"].fuzz(1, range(100))
    assert found.wrong == []
    assert found.refused >= 100
