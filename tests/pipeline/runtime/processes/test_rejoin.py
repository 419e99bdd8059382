"""In which order a live run is told of a process that comes back."""

import asyncio
from typing import Any

import pytest

from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.processes import rejoin
from emopipe.pipeline.runtime.processes.rejoin import Rejoining
from emopipe.pipeline.supervision.restarts import Failure
from tests.support.graphs import good

GRAPH = graph_from_table(good(), "interview.toml")
SOURCE, *OTHERS = GRAPH.processes
REJOINED = control.Rejoined(Interruption(stages=["faces"], reason="killed", seconds=1.0, epochs={"a": 1}), {}, {})


class Told:
    """Workers that take down what they are told, and answer as they are asked to."""

    base_time = 5

    def __init__(self, answers: bool = True) -> None:
        self.heard: list[tuple[str, str]] = []
        self.rejoining = Rejoining(self, GRAPH, lambda failure: None, 1.0)  # type: ignore[arg-type]
        self._answers = answers

    def send(self, name: str, message: Any) -> None:
        self.heard.append((name, type(message).__name__))
        if isinstance(message, control.Rejoined) and self._answers:
            answer = control.Noted(message.interruption.epochs)
            asyncio.get_running_loop().call_later(0.01, self._note, name, answer)

    def _note(self, name: str, answer: control.Noted) -> None:
        self.heard.append((name, "notes"))
        self.rejoining.takes(name, answer)


def test_who_takes_what_is_sent_knows_of_the_gap_before_anything_is_sent() -> None:
    back = OTHERS[0]
    workers = Told()
    asyncio.run(workers.rejoining._tell(REJOINED, back))
    first = sorted(set(OTHERS) - {back})
    assert first
    assert workers.heard == [
        *((name, "Rejoined") for name in first),
        *((name, "notes") for name in first),
        (back, "Play"),
        *((name, "Rejoined") for name in sorted({SOURCE, back})),
    ]


def test_a_worker_that_is_held_up_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejoin, "NOTING_TIMEOUT_S", 0.02)
    workers = Told(answers=False)
    asyncio.run(workers.rejoining._tell(REJOINED, SOURCE))
    assert workers.heard[-2:] == [(SOURCE, "Play"), (SOURCE, "Rejoined")]


def test_a_note_of_another_time_is_none() -> None:
    workers = Told(answers=False)

    async def drive() -> None:
        telling = asyncio.create_task(workers.rejoining._tell(REJOINED, SOURCE))
        await asyncio.sleep(0.01)
        for name in OTHERS:
            workers.rejoining.takes(name, control.Noted({"a": 0}))
        await asyncio.sleep(0.01)
        assert (SOURCE, "Play") not in workers.heard
        for name in OTHERS:
            workers.rejoining.takes(name, control.Noted({"a": 1}))
        await telling

    asyncio.run(drive())
    assert (SOURCE, "Play") in workers.heard


def test_a_process_that_fails_again_meanwhile_is_told_nothing() -> None:
    workers = Told()
    failure = Failure(SOURCE, "stages.capture", "killed")
    workers.rejoining._name = SOURCE
    workers.rejoining.lost(failure)
    with pytest.raises(Failure):
        asyncio.run(workers.rejoining._tell(REJOINED, SOURCE))
    assert (SOURCE, "Play") not in workers.heard
