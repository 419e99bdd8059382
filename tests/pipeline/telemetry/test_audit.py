"""telemetry.audit: what does not add up on a link is said, with the link; what does is not."""

import copy

import pytest

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import InletCounts, Report
from emopipe.pipeline.telemetry.audit import audit

LINK = LinkId("faces", "faces", "facial", "faces")


def reports() -> dict[str, Report]:
    a = LinkCounts(sent=4, received=3, dropped={"oldest": 1})
    others = LinkCounts(sent=2, received=1, dropped={"age": 1})
    counts = LinkCounts(sent=6, received=4, dropped={"oldest": 1, "age": 1}, streams={"a": a}, others=others)
    return {
        "faces": Report(stage="faces", links={LINK: counts}),
        "facial": Report(stage="facial", inlets={LINK: InletCounts(delivered=4)}),
    }


def test_what_adds_up_is_not_mentioned() -> None:
    assert audit(reports()) == []


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("sent", 7, "1 of 7 messages unaccounted for"),
        ("in_flight", 1, "1 messages still in flight"),
        ("received", 3, "3 messages received, but 4 by stream"),
        ("dropped", {"oldest": 3}, "3 messages dropped, but 2 by stream"),
        ("others", None, "6 messages sent, but 4 by stream"),
    ],
)
def test_what_does_not_is_said_with_the_link(key: str, value: object, problem: str) -> None:
    wrong = reports()
    setattr(wrong["faces"].links[LINK], key, value)
    assert f"faces.faces>facial.faces: {problem}" in audit(wrong)


def test_a_stream_by_itself_is_looked_into() -> None:
    wrong = reports()
    counts = wrong["faces"].links[LINK]
    counts.streams["b"] = copy.deepcopy(counts.streams["a"])
    counts.streams["a"].received -= 1
    counts.streams["b"].received += 1
    assert "faces.faces>facial.faces: 1 of 4 messages of a unaccounted for" in audit(wrong)
    assert "faces.faces>facial.faces: -1 of 4 messages of b unaccounted for" in audit(wrong)


def test_both_ends_must_agree() -> None:
    wrong = reports()
    wrong["facial"].inlets[LINK].delivered = 5
    assert audit(wrong) == ["faces.faces>facial.faces: 4 messages received, but 5 seen by the receiving end"]
    del wrong["facial"]
    assert audit(wrong) == ["faces.faces>facial.faces: its receiving end is unknown"]
