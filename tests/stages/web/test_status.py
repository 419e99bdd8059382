"""How the run is doing, as the page is told."""

from typing import Any

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Report
from emopipe.stages.web.status import status


def report(**values: Any) -> Report:
    return Report(stage="faces", **values)


def test_the_status_says_what_was_dropped_where() -> None:
    counts = LinkCounts(
        sent=10,
        received=7,
        dropped={"oldest": 3},
        streams={"a": LinkCounts(sent=5, received=4, dropped={"oldest": 1}), "b": LinkCounts(dropped={"oldest": 2})},
    )
    reports = {
        "faces": report(
            counters={"skipped": 5, "late": 1},
            streams={"a": {"skipped": 2}},
            links={LinkId("faces", "faces", to, "faces"): counts for to in ("facial", "page")},
        )
    }
    everything = status(reports, None, 0, ("page", "faces"))
    assert everything["drops"] == [{"link": "faces.faces>facial.faces", "reason": "oldest", "count": 3}]
    assert everything["counters"] == {"faces": {"skipped": 5, "late": 1}}
    mine = status(reports, "a", 4, ("page", "faces"))
    assert mine["drops"] == [{"link": "faces.faces>facial.faces", "reason": "oldest", "count": 1}]
    assert mine["counters"] == {"faces": {"skipped": 2}}
    assert mine["lost"] == 4
    nobody = status(reports, "c", 0, ("page", "faces"))
    assert (nobody["drops"], nobody["counters"]) == ([], {})
