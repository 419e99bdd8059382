"""emopipe.tables.top: rates between two snapshots, recent percentiles, and tables that nobody's name can steer."""

import json

import pytest
from rich.console import Console

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.report import HopLatency, InletCounts, Latency, ProcessReport, Report, RunSnapshot
from emopipe.tables.top import Moment, figures, screen
from tests.support.snapshots import snapshot

LINK = LinkId("faces", "faces", "facial", "faces")
ASIDE = LinkId("faces", "faces", "overlay", "faces")


def took(*ms: int) -> Latency:
    latency = Latency()
    for each in ms:
        latency.add(each * MS)
    return latency


def run(sent: int, received: int, *, at: int, ages: tuple[int, ...], pid: int = 7, cpu: int = 0) -> RunSnapshot:
    """A detector that has sent so much to a network, of which it drops; and so old results at a sink."""
    counts = LinkCounts(sent=sent, received=received, dropped={"oldest": sent - received - 2}, in_flight=2, waiting=1)
    aside = LinkCounts(sent=sent, received=sent)
    inferred = {"batches": received // 2, "inferred": received}
    return snapshot(
        Report(stage="faces", links={LINK: counts, ASIDE: aside}, restarts=3),
        Report(stage="facial", inlets={LINK: InletCounts(delivered=received + 1, wait=took(*ages))}, counters=inferred),
        Report(stage="page", age=took(*ages), hops={"facial": HopLatency(queued=took(*ages), working=took(9))}),
        at=at,
        queues={LINK: Queue(size=4, policy="drop-oldest"), ASIDE: Queue()},
        processes={"vision": ProcessReport(pid=pid, cpu=cpu, memory=50_000_000, stages=["faces"])},
    )


@pytest.fixture
def moment() -> Moment:
    before = run(100, 60, at=10 * SECOND, ages=(1000,) * 50, cpu=4 * SECOND)
    return Moment(before, run(160, 80, at=12 * SECOND, ages=(*(1000,) * 50, 20, 20, 20), cpu=5 * SECOND))


def test_rates_are_those_of_the_time_between(moment: Moment) -> None:
    found = json.loads(json.dumps(figures(moment), allow_nan=False))
    link = found["links"][str(LINK)]
    assert (link["sent_per_s"], link["received_per_s"], link["dropped_per_s"]) == (30, 10, 20)
    assert (link["sent"], link["received"], link["dropped"]) == (160, 80, {"oldest": 78})
    assert (link["waiting"], link["under_way"], link["size"], link["unaccounted"]) == (1, 1, 4, 0)
    assert found["stages"]["faces"]["out_per_s"] == 30  # once, though it goes to two
    assert found["stages"]["facial"]["in_per_s"] == 10
    assert found["stages"]["facial"]["batch"] == 2
    assert found["processes"]["vision"]["cpu_percent"] == 50
    assert found["interval_s"] == 2
    assert (found["stages"]["faces"]["restarts"], found["processes"]["vision"]["restarts"]) == (3, 3)


def test_percentiles_are_of_the_time_between_too(moment: Moment) -> None:
    found = figures(moment)
    for times in (
        found["links"][str(LINK)]["wait_ms"],
        found["stages"]["page"]["age_ms"],
        found["stages"]["facial"]["queued_ms"],
    ):
        assert times == {"p50": pytest.approx(20, rel=0.05), "p95": pytest.approx(20, rel=0.05)}
    assert found["stages"]["facial"]["working_ms"] is None
    assert found["links"][str(ASIDE)]["wait_ms"] is None


def test_a_process_that_was_started_anew_counts_from_nothing() -> None:
    before = run(100, 60, at=10 * SECOND, ages=(5,) * 9, cpu=40 * SECOND)
    after = run(30, 20, at=11 * SECOND, ages=(7,), pid=8, cpu=SECOND // 2)
    found = figures(Moment(before, after))
    assert found["links"][str(LINK)]["sent_per_s"] == 30
    assert found["processes"]["vision"]["cpu_percent"] == 50


def test_a_run_that_still_loads_has_little_to_show() -> None:
    run_ = snapshot(state="loading", queues={LINK: Queue()})
    found = figures(Moment(run_, run_))
    assert (found["stages"], list(found["links"])) == ({}, [str(LINK)])
    shown(Moment(run_, run_))


def shown(moment: Moment, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(screen(moment))
    console.file.close()
    return console.export_text()


def test_tables_hold_what_people_look_for(moment: Moment) -> None:
    text = shown(moment)
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert lines["vision"][:3] == ["7", "50", "50"]
    assert "78 oldest" in text
    assert lines["faces.faces>facial.faces"][:2] == ["30.0", "10.0"]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_names_of_links_are_whole_at_any_width(moment: Moment, width: int) -> None:
    assert str(LINK) in shown(moment, width)


def test_what_a_run_calls_itself_cannot_steer_the_terminal() -> None:
    run_ = snapshot(Report(stage="\x1b[2J"), graph="\x1b[31mred[/]", refused=3, warnings=2, damaged=True)
    text = shown(Moment(run_, run_))
    assert "\x1b" not in text
    assert "\\x1b[31mred[/], live, playing 0:00:01, process 100, 2 warnings, damaged, 3 messages refused" in text
