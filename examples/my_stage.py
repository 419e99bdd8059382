"""Stages of your own: how long each face has been smiling, and a printer that says so.

    emopipe run examples/my_stage.toml

A graph names a class by its module; the module is found beside the graph's file, in the current folder, or installed.
`test_my_stage.py` tests one alone.
"""

from typing import Annotated, ClassVar

from emopipe.pipeline import SECOND, Message, Payload, Port, Stage, about
from emopipe.stages.types import Emotions


class Smiles(Payload):
    """How long each face that smiles has done so: seconds by face id."""

    seconds: dict[int, float]


class SmileMeter(Stage):
    """Measures how long each face has been smiling."""

    name = "smile-meter"
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results of fusion")}
    outputs: ClassVar[dict[str, Port]] = {"smiles": Port(Smiles, "for each result, who smiles and since when")}

    class Settings(Stage.Settings):
        threshold: Annotated[float, about("probability of `happy` that counts as a smile", ge=0, le=1)] = 0.5

    settings: Settings

    async def setup(self) -> None:
        self._since = self.per_stream(dict[int, int])  # by face, the pts of the smile's beginning

    async def process(self, port: str, message: Message) -> None:
        before = self._since[message.stream]
        smiling = [f.id for f in message.payload.faces if f.probabilities["happy"] >= self.settings.threshold]
        now = self._since[message.stream] = {face: before.get(face, message.pts) for face in smiling}
        seconds = {face: (message.pts - since) / SECOND for face, since in now.items()}
        await self.emit("smiles", Smiles(seconds=seconds), cause=message)


class SmilePrinter(Stage):
    """Prints a line for each second that somebody has been smiling."""

    name = "smile-printer"
    inputs: ClassVar[dict[str, Port]] = {"smiles": Port(Smiles, "who smiles and since when")}

    async def setup(self) -> None:
        self._printed = self.per_stream(dict[int, int])  # by face, the whole seconds of the smile in the last line

    async def process(self, port: str, message: Message) -> None:
        printed = self._printed[message.stream]
        for face, seconds in message.payload.seconds.items():
            if int(seconds) > printed.get(face, 0):
                moment = f"{message.pts / SECOND:8.2f} s  {message.stream}"
                print(f"{moment}  face {face} has been smiling for {int(seconds)} s", flush=True)
            printed[face] = int(seconds)
