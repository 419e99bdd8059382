"""graph.memory: what a graph takes is held against what there is, before anything plays."""

from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, load_graph
from emopipe.pipeline.graph.memory import free_memory_mb, shortage
from emopipe.stages.fusion.stage import Fusion
from tests.support.paths import ROOT


def default_graph(*overrides: str) -> Graph:
    return load_graph(ROOT / "pipeline.toml", ["pipeline.layout=stages", *overrides])


def write(root: Path, **files: str) -> Path:
    """Files below `root`; `__` in a name stands for a slash, `_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_too_little_is_said_with_both_figures_and_a_remedy() -> None:
    graph = default_graph()
    assert shortage(graph, 100_000.0) == ""
    assert shortage(graph, None) == ""
    text = shortage(graph, 200.4)
    assert text.startswith(f"{len(graph.processes)} processes and this one need about ")
    assert 'MB of memory, but 200 MB are free; play fewer stages, or let them share processes (layout = "auto")' in text
    need = int(text.split(" MB of memory")[0].rpartition(" ")[2])
    assert 350 < need < 700  # `bench memory` has measured 450 to 530
    assert shortage(graph, need + 1.0) == ""


def test_stages_that_share_a_process_take_less() -> None:
    names = default_graph().stages
    together = default_graph(*(f"stages.{name}.process=all" for name in names))
    text, apart = shortage(together, 1.0), shortage(default_graph(), 1.0)
    need = [int(each.split(" MB of memory")[0].rpartition(" ")[2]) for each in (text, apart)]
    assert need[0] == need[1] - 30 * (len(names) - 1)
    assert text.startswith("1 process and this one need")


MEMINFO = "MemTotal:  9000000 kB\nMemAvailable:  3000000 kB\nHugePages_Total:  0\n"


def test_what_is_free_is_what_the_machine_and_every_group_above_leave(tmp_path: Path) -> None:
    assert free_memory_mb(tmp_path) is None
    write(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/one/two\n")
    assert free_memory_mb(tmp_path) == pytest.approx(3072.0)
    own = {"sys__fs__cgroup__one__two__memory_max": "max\n", "sys__fs__cgroup__one__two__memory_current": "5\n"}
    above = {"sys__fs__cgroup__one__memory_max": "900000000\n", "sys__fs__cgroup__one__memory_current": "500000000\n"}
    write(tmp_path, **own, **above, sys__fs__cgroup__one__memory_stat="anon 9\ninactive_file 50000000\n")
    assert free_memory_mb(tmp_path) == pytest.approx(450.0)


def test_check_says_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.commands.setup.check.free_memory_mb", lambda: 10.0)
    assert main(["check", str(ROOT / "pipeline.toml")]) == 0
    assert "MB of memory, but 10 MB are free" in capsys.readouterr().out


class Hungry(Fusion):
    memory_mb = -1.0


def test_it_is_a_number() -> None:
    with pytest.raises(GraphError, match=r"stages.fusion.use: .*`memory_mb` must be a number, 0 or more, not -1"):
        default_graph("stages.fusion.use=tests.pipeline.graph.test_memory:Hungry")
