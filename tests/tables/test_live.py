"""emopipe.live_tables: where the time went, and what became of each stream."""

from rich.console import Console
from rich.table import Table

from emopipe.pipeline.clock import MS
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import HopLatency, Latency, Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.tables.live import latencies, slowest_sink, streams


def took(*ms: float) -> Latency:
    latency = Latency()
    for each in ms:
        latency.add(int(each * MS))
    return latency


def cells(table: Table | None) -> list[list[str]]:
    assert table is not None
    screen = Console(width=200)
    with screen.capture() as capture:
        screen.print(table)
    return [line.split() for line in capture.get().splitlines()[1:]]


def sink(name: str, age: float, **streams: dict[str, int]) -> Report:
    return Report(
        stage=name, age=took(age), hops={"faces": HopLatency(took(2, 2, 2), took(8, 8, 8))}, streams=dict(streams)
    )


def test_the_slowest_sink_tells_each_hop() -> None:
    result = RunResult({"file": sink("file", 12), "page": sink("page", 30), "capture": Report(stage="capture")})
    slowest = slowest_sink(result)
    assert slowest is not None
    assert slowest.stage == "page"
    faces, whole = cells(latencies(result))
    assert faces[0] == "faces"
    assert [round(float(cell)) for cell in faces[1:]] == [2, 2, 2, 8, 8, 8]
    assert [round(float(cell)) for cell in whole[2:]] == [30, 30, 30]


def test_streams_are_told_apart_where_there_are_several() -> None:
    drops = LinkCounts(streams={"a": LinkCounts(sent=9, dropped={"oldest": 2, "age": 1}), "b": LinkCounts(sent=4)})
    links = {LinkId("capture", "video", "faces", "video"): drops}
    capture = Report(stage="capture", streams={"a": {"frames": 9}, "b": {"frames": 4}}, links=links)
    file = sink("file", 9, a={"frames_with_face": 4, "frames_without_face": 2, "voice_windows": 1, "forced": 3}, b={})
    assert cells(streams(RunResult({"capture": capture, "file": file}))) == [
        ["a", "9", "7", "3", "3"],
        ["b", "4", "0", "0", "0"],
    ]
    assert streams(RunResult({"file": sink("file", 9, a={"forced": 3})})) is None


def test_a_run_without_results_has_no_table() -> None:
    assert latencies(RunResult({"capture": Report(stage="capture")})) is None


def test_streams_are_told_apart_whatever_they_are_called() -> None:
    names = ["call [anna]", "call [bea]", "call\x1b[2J"]
    result = RunResult({"file": sink("file", 12, **{name: {"frames": 3} for name in names})})
    said = [" ".join(line) for line in cells(streams(result))]
    assert [line.rpartition(" 3 ")[0] for line in said] == ["call [anna]", "call [bea]", r"call\x1b[2J"]
