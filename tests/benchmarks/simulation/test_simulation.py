"""Cameras in virtual time: one shard, fleets of them, and how they compare with what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulation import __main__ as command
from benchmarks.simulation.check import Comparison, compare
from benchmarks.simulation.costs import DEFAULT, measured
from benchmarks.simulation.fleet import cost, figures, loads
from benchmarks.simulation.shard import Shard, simulate
from emopipe.pipeline.errors import EmopipeError

STAGE_MS = {"faces": 5.0, "facial": 3.0, "fusion": 1.0, "publish": 0.2}  # of a picture: ms in each stage
CPU = {"faces": 6.0, "facial": 3.5, "fusion": 1.5, "publish": 0.7, "captures": 8.0, "windows": 1.0, "speech": 0.8}
LIVE: dict[str, Any] = {
    "streams": {"1": {"results_per_s": 30.0, "offered_per_s": 30.0, "p50_ms": 15.0, "cpu_ms_a_result": 21.5}},
    "process_cpu_ms": {"1": {**CPU, "beside": 2.0}},
    "speaking": {"share": 0.5, "loop_s": 3.0},
    "kernel_ms": {"decode": 8.0, "convert": 2.0},
    "hops_ms": [
        {"streams": 1, "stage": stage, "waited p50": 0.5, "worked p50": ms, "worked p95": ms * 1.2}
        for stage, ms in STAGE_MS.items()
    ],
}
COSTS = measured(LIVE)


def live(**rows: dict[str, float]) -> dict[str, Any]:
    """What was measured, with other rows; `s4` of four cameras."""
    return {**LIVE, "streams": LIVE["streams"] | {name.removeprefix("s"): row for name, row in rows.items()}}


def test_costs_are_what_one_camera_takes() -> None:
    assert COSTS.work == pytest.approx(
        {"capture": 3.3, "faces": 5.0, "facial": 3.0, "fusion": 1.0, "sink": 0.2, "windows": 1.0, "speech": 0.8}
    )
    way = sum(COSTS.work[name] for name in ("capture", "faces", "facial", "fusion", "sink"))
    assert way + 5 * COSTS.hop == pytest.approx(15.0)  # the age of one camera's results
    assert sum(COSTS.cpu.values()) == pytest.approx(21.5 + 2.0)
    assert (COSTS.decode, COSTS.hop, COSTS.warm) == pytest.approx((6.0, 0.5, 1.0))
    assert COSTS.beside["capture"] == pytest.approx(8.0 - 3.3)


def test_costs_on_busy_cores_are_those_with_the_most_cameras() -> None:
    row = {"results_per_s": 100.0, "p50_ms": 50.0, "offered_per_s": 240.0}
    cold = 100 * (21.5 - 1.8) + 240 * 1.8  # ms a second: sound is not left out
    found = live(s4=row | {"cpu_ms_a_result": 18.0}, s8=row | {"cpu_ms_a_result": 0.75 * cold / 100})
    assert measured(found).warm == pytest.approx(0.75)
    assert measured(live(s8=row | {"cpu_ms_a_result": 40.0})).warm == 1.0


def test_costs_scale() -> None:
    assert sum(COSTS.times(1.5).cpu.values()) == pytest.approx(1.5 * sum(COSTS.cpu.values()))
    assert COSTS.times(1.5).decode == 9.0


def test_a_file_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "live.json"
    for content, said in ((None, "No such file"), ("{", "is not what `emopipe bench"), ("[]", "no table")):
        if content is not None:
            file.write_text(content)
        assert command.main(["--check", str(file)]) == EmopipeError.exit_code
        told = capsys.readouterr().err
        assert told.startswith(f"emopipe: {file}: ")
        assert said in told


@pytest.mark.parametrize("missing", ["process_cpu_ms", "hops_ms", "kernel_ms"])
def test_what_says_nothing_of_costs_is_told(missing: str) -> None:
    with pytest.raises(EmopipeError, match=f"nothing of '{missing}' in what was measured; measure with `emopipe bench"):
        measured({name: each for name, each in LIVE.items() if name != missing})


def test_one_camera_alone_takes_what_was_measured_of_it() -> None:
    shard = simulate(1, 2, 3.0, costs=COSTS._replace(decode=0.0))
    assert len(shard.ages) == shard.offered
    assert sum(shard.ages) / len(shard.ages) == pytest.approx(15.0, rel=0.05)
    assert shard.busy == pytest.approx(sum(COSTS.cpu.values()) * 30 / 2000, rel=0.05)


def test_pictures_that_come_encoded_are_decoded_wanted_or_not() -> None:
    encoded = simulate(1, 2, 3.0, costs=COSTS)
    assert encoded.busy == pytest.approx((COSTS.decode + sum(COSTS.cpu.values())) * 30 / 2000, rel=0.05)
    assert sum(encoded.ages) / len(encoded.ages) == pytest.approx(15.0 + COSTS.decode, rel=0.05)


def test_too_many_cameras_are_left_out_and_ages_stay_bounded() -> None:
    shard = simulate(8, 2, 4.0, costs=COSTS._replace(decode=0.0))
    assert shard.dropped > 0.4
    assert shard.busy > 0.95
    assert max(shard.ages) < 500


def test_cameras_that_leave_no_core_idle_cost_less_each() -> None:
    warm = simulate(8, 2, 3.0, costs=COSTS._replace(decode=0.0, warm=0.75))
    cold = simulate(8, 2, 3.0, costs=COSTS._replace(decode=0.0))
    assert len(warm.ages) > 1.15 * len(cold.ages)
    alone = simulate(1, 2, 3.0, costs=COSTS._replace(decode=0.0, warm=0.75))
    assert sum(alone.ages) / len(alone.ages) == pytest.approx(15.0, rel=0.05)


def test_the_same_seed_gives_the_same_ages() -> None:
    assert simulate(2, 2, 2.0, costs=COSTS).ages == simulate(2, 2, 2.0, costs=COSTS).ages
    assert simulate(2, 2, 2.0, costs=COSTS).ages != simulate(2, 2, 2.0, costs=COSTS, seed=2).ages


@pytest.mark.slow("twelve seconds of up to eight cameras, simulated")
def test_it_is_as_near_to_what_was_measured_as_the_docs_say() -> None:
    found = json.loads(DEFAULT.read_text())
    far = [(row.streams, row.name) for row in compare(found, 12.0, cores=2, uncertain=0.0) if not row.near]
    assert far == []


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
    alone, beside = cost(COSTS, 0.5, 1.0, None), cost(COSTS, 0.5, 1.0, 0.0)
    assert alone.cores == 0.5
    assert 1 - beside.cores / alone.cores == pytest.approx((3.5 + 0.8) / (COSTS.decode + sum(COSTS.cpu.values())))
    assert cost(COSTS, 0.5, 0.0, 12_800 / 30).euros == pytest.approx(730)
    assert cost(COSTS, 1.0, 1.0, None).euros == pytest.approx(2 * alone.euros)


def test_the_check_fails_where_a_figure_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "live.json"
    near = simulate(2, 2, 2.0, costs=COSTS._replace(decode=0.0), together=True)
    p50 = sorted(near.ages)[len(near.ages) // 2]
    for factor, code in ((1.0, 0), (0.6, 1)):
        two = {"results_per_s": 60.0, "offered_per_s": 60.0, "p50_ms": p50 * factor, "cpu_ms_a_result": 21.5}
        file.write_text(json.dumps(live(s2=two)))
        assert command.main(["--check", str(file), "--seconds", "2", "--cores", "2"]) == code
    told = capsys.readouterr().out
    assert "| 1 | results/s | 30.0 | 30.0 | 30.0 – 30.0 | 1.00 | yes |  |" in told
    assert [line.split("|")[7].strip() for line in told.splitlines() if line.startswith("| 2 | p50")] == ["yes", "no"]


def test_near_and_inside_are_two_things() -> None:
    figure = Comparison(4, "p50 ms", measured=100.0, simulated=70.0, low=40.0, high=110.0)
    assert (figure.near, figure.inside) == (False, True)
    figure = Comparison(4, "p50 ms", measured=100.0, simulated=81.0, low=40.0, high=90.0)
    assert (figure.near, figure.inside) == (True, False)


def test_more_work_gives_older_results() -> None:
    four = {"results_per_s": 100.0, "p50_ms": 50.0, "cpu_ms_a_result": 21.5, "offered_per_s": 80.0}
    rate, p50 = compare(live(s4=four), 3.0, cores=2)[2:]
    assert rate.simulated == pytest.approx(80.0, rel=0.05)  # what was offered
    assert p50.low < p50.simulated < p50.high


def test_a_machine_of_its_own_makes_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "live.json"
    file.write_text(json.dumps(LIVE))
    assert command.main(["--measured", str(file), "--seconds", "2", "--streams", "10", "--a-shard", "1"]) == 0
    told = capsys.readouterr().out
    assert "| 10 | 10 | even | " in told
    assert told.count("| networks on ") == 2
