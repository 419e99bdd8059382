"""That the stages name every file of weights they load: what a manifest states is all there is."""

import asyncio
from pathlib import Path

import pytest

from emopipe.models import assets
from emopipe.models.checkpoint import WEIGHTS_DIR
from emopipe.pipeline.graph.identity import identify
from emopipe.pipeline.graph.load import load_graph
from emopipe.pipeline.runtime.supervisor import Supervisor
from tests.support.opened_files import opened_files
from tests.support.paths import ROOT


@pytest.mark.slow("a run of the default graph with its models")
def test_a_run_loads_the_weights_that_its_stages_name_and_no_others(tmp_path: Path) -> None:
    report = "stages.console={ use = 'report', inputs.emotions = 'fusion.emotions', path = 'report.html' }"
    short = ["stages.capture.duration=1.0", "stages.capture.realtime=false"]
    graph = load_graph(ROOT / "pipeline.toml", [*short, report.replace("report.html", str(tmp_path / "report.html"))])
    named = {Path(file.path) for file in identify(graph).weights}
    with opened_files([WEIGHTS_DIR.resolve(), assets.FOLDER.resolve()]) as opened:
        asyncio.run(Supervisor(graph).run())
    assert opened == named
