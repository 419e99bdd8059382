"""Small stages for the tests of graphs: a camera with a microphone, a filter, a mixer, a slow one, a sink."""

import errno
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec

from emopipe.pipeline.message import Payload
from emopipe.pipeline.port import Invalid, Port, Settings, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage


class Image(Payload):
    """A picture."""

    width: int


class Sound(Payload):
    """Some sound."""

    samples: list[float]


class Score(Payload):
    """A judgement."""

    value: float


class Camera(Source):
    """Sees and hears."""

    name = "camera"
    outputs: ClassVar[dict[str, Port]] = {"video": Port(Image, "pictures"), "audio": Port(Sound, "sound")}

    class Settings(Settings):
        uri: Annotated[str, about("what to open", min_length=1)] = "default"
        fps: Annotated[float, about("pictures a second", unit="Hz", gt=0, le=240)] = 30.0
        mirrored: Annotated[bool, about("left is right")] = False


class Player(Source):
    """Plays a recording, with a model's help, and leaves a log."""

    name = "player"
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "of the recording")}

    class Settings(Settings):
        uri: Annotated[str, about("the recording")]
        model: Annotated[str, about("the weights; empty: none")] = ""
        log: Annotated[str | None, about("a file to write")] = None
        gain: Annotated[float, about("how loud")] = 1.0

        def reads(self) -> list[str]:
            return [str(Path(self.uri).resolve())]

        def loads(self) -> list[str]:
            return [str(Path(self.model).resolve())] if self.model else []

        def writes(self) -> list[str]:
            return [str(Path(self.log).resolve())] if self.log else []


class Look(Stage):
    """Judges pictures."""

    name = "look"
    inputs: ClassVar[dict[str, Port]] = {"video": Port(Image, "pictures", policy="drop-oldest", size=4)}
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "one for each picture")}

    class Settings(Settings):
        min_confidence: Annotated[float, about("what counts", ge=0, le=1)] = 0.5
        method: Annotated[Literal["fast", "exact"], about("how")] = "fast"
        retries: Annotated[int, about("how often", ge=0)] = 0


class Listen(Stage):
    """Judges sound, a window at a time."""

    name = "listen"
    inputs: ClassVar[dict[str, Port]] = {"audio": Port(Sound, "sound")}
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "one for each window")}

    class Settings(Settings):
        window: Annotated[float, about("of sound", unit="s", gt=0)] = 3.0
        hop: Annotated[float, about("from window to window", unit="s", gt=0)] = 0.5

        def check(self) -> list[Invalid]:
            return [Invalid("hop", "is longer than the window")] if self.hop > self.window else []

        def latency(self) -> float:
            return float(self.window)


class Mix(Stage):
    """Joins judgements."""

    name = "mix"
    inputs: ClassVar[dict[str, Port]] = {
        "left": Port(Score, "one", optional=True),
        "right": Port(Score, "the other", optional=True),
    }
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "of both")}


class Show(Stage):
    """Shows judgements, and may bind an address."""

    name = "show"
    inputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "to show")}

    class Settings(Settings):
        endpoint: Annotated[str, about("where to")] = ""
        labels: Annotated[list[str], about("what to show")] = msgspec.field(default_factory=list)

        def writes(self) -> list[str]:
            return [self.endpoint] if self.endpoint else []


class Serve(Stage):
    """Shows judgements at an address that others of its process may serve too."""

    name = "serve"
    inputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "to show")}

    class Settings(Settings):
        endpoint: Annotated[str, about("where to")] = "http://127.0.0.1:8080"

        def serves(self) -> list[str]:
            return [self.endpoint]


class Broken(Source):
    """Whose hooks all fail."""

    name = "broken"
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "none")}

    class Settings(Settings):
        """None."""

        def check(self) -> list[Invalid]:
            raise KeyError("lost")

        def writes(self) -> list[str]:
            raise OSError("two\nlines")

        def reads(self) -> list[str]:
            raise PermissionError(errno.EACCES, "Permission denied", "/locked/clip.mp4")

        def latency(self) -> float:
            return float("nan")


class Nameless(Source):
    """A class that forgets its name."""


def helper() -> None:
    """No stage at all."""


class Late(Stage):
    """A sink that shows everything late."""

    name = "late"
    inputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "to show")}

    class Settings(Settings):
        delay: Annotated[float, about("before it shows", unit="s", ge=0)] = 0.0

        def latency(self) -> float:
            return float(self.delay)


class Picky(Camera):
    """A camera whose settings raise what msgspec does not expect."""

    name = "picky"

    class Settings(Settings):
        uri: str = "x"

        def __post_init__(self) -> None:
            if not self.uri:
                raise RuntimeError("no uri")


class Dice(Source):
    """A source of judgements."""

    name = "dice"
    outputs: ClassVar[dict[str, Port]] = {"scores": Port(Score, "at random")}
