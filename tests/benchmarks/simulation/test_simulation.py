"""Cameras in virtual time: the loop, one shard, and fleets of them."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.simulation import __main__ as command
from benchmarks.simulation.fleet import cost, figures, loads
from benchmarks.simulation.shard import COSTS_MS, HOP_MS, OVERHEAD, Shard, simulate
from benchmarks.simulation.virtual_time import Cores, VirtualClock, run
from emopipe.pipeline.clock import MS, SECOND

MEASURED = {1: (29.4, 16.1), 4: (112.0, 73.7), 8: (108.4, 211.6)}  # docs/performance.md: results/s, p50 in ms
WAY = ("capture", "faces", "facial", "fusion", "sink")  # of a picture


def test_time_passes_where_everybody_waits_and_not_before() -> None:
    async def work() -> list[int]:
        clock = VirtualClock()
        times = [clock.now()]
        await asyncio.sleep(3600)
        times.append(clock.now())
        await clock.sleep_until(7200 * SECOND)
        return [*times, clock.now()]

    assert run(work()) == [0, 3600 * SECOND, 7200 * SECOND]


def test_a_deadlock_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everybody waits"):
        run(wait())


def test_work_takes_turns_on_the_cores() -> None:
    async def work() -> tuple[list[float], int]:
        cores, clock, ended = Cores(2), VirtualClock(), []

        async def one(ms: int) -> None:
            await cores.work(ms * MS)
            ended.append(clock.now() / MS)

        await asyncio.gather(one(10), one(10), one(1))
        return ended, cores.busy

    ended, busy = run(work())
    assert ended[0] == pytest.approx(2)  # the short one has waited for one slice, not for ten
    assert busy == 21 * MS
    assert max(ended) == pytest.approx(11)


def test_one_camera_alone_takes_its_kernels_and_hops() -> None:
    shard = simulate(1, 2, 3.0)
    assert len(shard.ages) == shard.offered
    way = sum(COSTS_MS[kernel] for kernel in WAY) * OVERHEAD + 4 * HOP_MS
    assert sum(shard.ages) / len(shard.ages) == pytest.approx(way, rel=0.1)
    assert shard.busy == pytest.approx(sum(COSTS_MS.values()) * OVERHEAD * 30 / 2000, rel=0.1)


def test_too_many_cameras_are_left_out_and_ages_stay_bounded() -> None:
    shard = simulate(8, 2, 4.0)
    assert shard.dropped > 0.4
    assert shard.busy > 0.95
    assert max(shard.ages) < 500


def test_the_same_seed_gives_the_same_ages() -> None:
    assert simulate(2, 2, 2.0).ages == simulate(2, 2, 2.0).ages
    assert simulate(2, 2, 2.0).ages != simulate(2, 2, 2.0, seed=2).ages


@pytest.mark.slow("twelve seconds of cameras, simulated")
@pytest.mark.parametrize("streams", MEASURED)
def test_it_is_within_a_fifth_of_what_was_measured(streams: int) -> None:
    shard = simulate(streams, 2, 6.0, together=True)
    rate, p50 = MEASURED[streams]
    assert len(shard.ages) / 5 == pytest.approx(rate, rel=0.2)
    assert sorted(shard.ages)[len(shard.ages) // 2] == pytest.approx(p50, rel=0.2)


def test_every_camera_is_on_one_shard() -> None:
    for placement in ("even", "hash"):
        found = loads(1000, 300, placement)
        assert sum(streams * shards for streams, shards in found.items()) == 1000
        assert sum(found.values()) == 300
    assert loads(1000, 300, "even") == {3: 200, 4: 100}
    assert max(loads(1000, 300, "hash")) > 4


def test_a_fleets_figures_weigh_its_shards() -> None:
    shards = {1: Shard(1, 1.0, 2, [10.0, 10.0]), 2: Shard(2, 1.0, 4, [100.0, 100.0])}
    found = figures({1: 3, 2: 1, 0: 1}, shards.__getitem__)
    assert (found.p50, found.p95) == (10.0, 100.0)
    assert found.dropped == pytest.approx(1 - 8 / 10)
    assert found.overloaded == pytest.approx(1 / 5)


def test_a_gpu_saves_cores_and_has_its_price() -> None:
    alone, beside = cost(1.0, None, 1.0), cost(1.0, 0.0, 1.0)
    assert alone.cores == pytest.approx(sum(COSTS_MS.values()) * OVERHEAD * 0.03)
    assert beside.cores < alone.cores
    assert cost(0.0, 12_800 / 30, 1.0).euros == pytest.approx(730)
    assert cost(1.0, None, 0.5).euros == pytest.approx(2 * alone.euros)


def test_the_check_fails_where_a_figure_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = simulate(1, 8, 2.0)
    p50 = sorted(near.ages)[len(near.ages) // 2]
    file = tmp_path / "live.json"
    for factor, code in ((1.0, 0), (2.0, 1)):
        file.write_text(json.dumps({"streams": {"1": {"results_per_s": 30.0, "p50_ms": p50 * factor}}}))
        assert command.main(["--check", str(file), "--seconds", "2"]) == code
    assert "| 1 | results/s | 30.0 |" in capsys.readouterr().out


def test_the_check_takes_the_cpu_that_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "live.json"
    simulated = []
    for ms in (10.0, 20.0):
        row = {"results_per_s": 30.0, "p50_ms": 10.0, "cpu_ms_a_result": ms}
        file.write_text(json.dumps({"streams": {"1": row}}))
        command.main(["--check", str(file), "--seconds", "2"])
        simulated.append(float(capsys.readouterr().out.splitlines()[-1].split("|")[4]))
    assert simulated[1] > 1.5 * simulated[0]
