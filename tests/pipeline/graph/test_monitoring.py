"""Where a run can be watched: addresses, and keys for those that others reach."""

from pathlib import Path

import pytest

from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import graph_from_table
from tests.support.graphs import good


def of_pipeline(tmp_path: Path, **keys: object) -> list[str]:
    """What is wrong with the good graph with these keys in `[pipeline]`."""
    table = good()
    table["pipeline"] |= keys
    table["stages"]["results"]["endpoint"] = "tcp://127.0.0.1:5560"
    try:
        graph_from_table(table, "g.toml")
    except GraphError as error:
        return [line.removeprefix("g.toml: pipeline.") for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"status": "here"}, "status: 'here' is not an address, expected one such as tcp://127.0.0.1:5560"),
        ({"status": "tcp://10.0.0.1:*"}, "status: tcp://10.0.0.1:* has no port between 1 and 65535"),
        ({"status": "tcp://127.0.0.1:5570"}, "status: takes encryption and an allow-list; make a key with"),
        ({"status": "tcp://0.0.0.0:1", "secret_key": "none.key_secret", "allow": ["x"]}, "secret_key: "),
        ({"allow": ["x"]}, "allow: is for the address `status`, which is missing"),
        ({"metrics": "9100"}, "metrics: '9100' is not an address, expected HOST:PORT, such as 127.0.0.1:9100"),
        (
            {"metrics": "http://127.0.0.1:9100"},
            "metrics: 'http://127.0.0.1:9100' is not an address, expected HOST:PORT",
        ),
        ({"metrics": "localhost:0"}, "metrics: 'localhost:0' is not an address"),
        ({"metrics": "0.0.0.0:9100"}, "metrics: 0.0.0.0:9100 can be reached from other machines, and asks nobody"),
        ({"metrics": "127.0.0.1:5560"}, 'metrics: "tcp://127.0.0.1:5560" is taken by stages.results already'),
        ({"metrics": 9100}, "metrics: "),
    ],
)
def test_where_a_run_can_be_watched_is_checked(tmp_path: Path, keys: dict[str, object], problem: str) -> None:
    found = of_pipeline(tmp_path, **keys)
    assert found
    assert found[0].startswith(problem)


def test_a_run_that_can_be_watched_from_outside_is_right(tmp_path: Path) -> None:
    keys = write_pair(tmp_path, "run")
    given = {"status": "tcp://127.0.0.1:5570", "secret_key": str(keys.secret_file), "allow": [keys.public]}
    assert of_pipeline(tmp_path, **given, metrics="localhost:9100") == []
    both = of_pipeline(tmp_path, **given, metrics="127.0.0.1:5570")
    assert both == ['metrics: "tcp://127.0.0.1:5570" is taken by pipeline.status already']
