"""pylsl, and LSL's clock beside ours."""

import importlib
import itertools

import pytest

from emopipe.pipeline.clock import SECOND, SystemClock
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Hop
from emopipe.stages.lsl.library import clock_offset, load
from emopipe.stages.lsl.origins import Origins
from tests.support.factories import result


def test_lsl_has_our_clock_on_linux(lsl_world: dict[str, str]) -> None:
    assert clock_offset(load().local_clock, SystemClock().now) == 0


@pytest.mark.parametrize("ahead", [5 * SECOND, -7_777_777])
def test_another_clock_is_measured_by_the_tightest_probe(ahead: int) -> None:
    time = 0
    steps = itertools.cycle([40_000, 90_000, 700, 300_000])  # how long reading one takes (ns)

    def now() -> int:
        nonlocal time
        time += next(steps)
        return time

    assert clock_offset(lambda: (now() + ahead) / SECOND, now) == pytest.approx(ahead, abs=250_000)


def test_clocks_that_cannot_be_told_apart_are_one() -> None:
    times = itertools.count(0, 400)
    assert clock_offset(lambda: next(times) / SECOND, lambda: next(times)) == 0


def test_no_liblsl_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("LSL binary library file was not found.\n Please make sure that …\n and so on")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(EmopipeError) as caught:
        load()
    assert "\n" not in str(caught.value)
    assert "needs liblsl" in str(caught.value)
    assert "PYLSL_LIB" in str(caught.value)


def test_running_time_began_when_the_first_hop_says() -> None:
    origins = Origins()

    def said(pts: int, received: int) -> int:
        return origins.origin(result(pts, trace=[Hop("capture", received, received + 9)]))

    assert said(100, 1100) == 1000
    assert said(200, 1230) == 1000  # a window of speech that ended before the block of sound did
    assert said(300, 1290) == 990
    origins.forget("test")
    assert said(0, 5000) == 5000
