"""The edges of a stage: its ports with the links that lead there, its typed settings, and what it asks of its host."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Unpack

import msgspec

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import Payload, Placement

Mode = Literal["replay", "live"]
Layout = Literal["stages", "auto"]  # which stages share a process
Policy = Literal["block", "drop-oldest", "drop-newest"]

ANY_PORT = "*"  # the name of a port that stands for any number of them
MIN_REPLAY_QUEUE_MESSAGES = 16  # on a link of which the graph says nothing


class Port(msgspec.Struct, frozen=True):
    """One input or output.

    Declared as `"*"` with the type `Payload` it stands for any number of them. Of an input the graph says how they are
    called, and each carries what the output that feeds it does; of an output the settings say it (`Settings.carries`).

    `policy` and `size` (messages; of each stream, where the policy is to drop) are an input's default link policy in
    live mode; the graph may set others. In replay mode every link blocks.
    """

    type: type[Payload]
    doc: str
    optional: bool = False
    policy: Policy = "block"
    size: int = 16


class Invalid(NamedTuple):
    """A problem with one setting, as a sentence for the user; an empty `key` speaks of all of them."""

    key: str
    text: str


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """Base of a stage's typed settings; validation, `emopipe inspect` and the reference are made from it.

    Before anything runs the graph asks them what the methods say.
    """

    def check(self) -> list[Invalid]:
        """The problems of these settings beyond their types and ranges."""
        return []

    def reads(self) -> list[str]:
        """The recordings, and whatever else the stage reads beside weights; no other stage may write them."""
        return []

    def loads(self) -> list[str]:
        """The files of weights that the stage loads, also those that no setting names; no stage may write them.

        Results carry their hashes, so none may be missing here.
        """
        return []

    def carries(self) -> dict[str, type[Payload]]:
        """What the output `*` stands for: the outputs' names, and what each carries.

        Raises:
            EmopipeError: that cannot be known.
        """
        return {}

    def writes(self) -> list[str]:
        """Files, addresses and devices that the stage takes for itself alone; two stages may not share one."""
        return []

    def serves(self) -> list[str]:
        """Addresses that several stages may serve together, as long as they share a process."""
        return []

    def secrets(self) -> list[str]:
        """Texts of these settings that are never to be written down: tokens and passwords."""
        return []

    def plays(self) -> list[str]:
        """Of a source: its streams, in the order in which it plays them, where they are known before."""
        return []

    def part(self, streams: Sequence[str]) -> dict[str, Any]:
        """Of a source that plays several streams: the settings that have to be others for these alone to be played."""
        raise NotImplementedError

    def waits(self) -> float:
        """The longest time, in s, that the stage may wait for somebody else before it is ready."""
        return 0.0

    def latency(self) -> float:
        """The least delay, in s, between a thing observed and its result, whatever the machine's speed."""
        return 0.0


def about(
    text: str,
    *,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
) -> msgspec.Meta:
    """The meaning of a setting, its unit and range: `hop: Annotated[float, about("…", unit="s", gt=0)] = 0.5`."""
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt, "min_length": min_length}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    return msgspec.Meta(description=text, extra={"unit": unit}, **given)


class Queue(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A link's policy, on the receiving side (the table `[stages.NAME.queue]`)."""

    size: Annotated[
        int, about("how many may wait: with `block` of all streams, else of each", unit="messages", ge=1, le=100_000)
    ] = 16
    policy: Annotated[Policy, about("what happens when the queue is full")] = "block"
    max_age: Annotated[float, about("what has waited longer is dropped", unit="s", gt=0)] | None = None

    @classmethod
    def of(cls, port: Port, mode: Mode, table: "Queue | None" = None) -> "Queue":
        """The policy that holds: the graph's, else the port's own; in replay mode every link blocks.

        In replay mode nothing becomes too old in a queue, and room for what is to come next keeps every stage busy.
        """
        size = port.size if mode == "live" else max(port.size, MIN_REPLAY_QUEUE_MESSAGES)
        chosen = table or cls(size=size, policy=port.policy)
        return cls(size=chosen.size) if mode == "replay" else chosen

    @property
    def window(self) -> int:
        """The messages that may be under way at most: one where the queue must keep the choice, many for throughput."""
        return self.size if self.policy == "block" else 1


class LinkId(msgspec.Struct, frozen=True, array_like=True):
    """A link by its two ends: an output of one stage, an input of another."""

    sender: str
    output: str
    receiver: str
    input: str

    def __str__(self) -> str:
        return f"{self.sender}.{self.output}>{self.receiver}.{self.input}"


class Host(Protocol):
    """The stage's view of whatever runs it."""

    clock: Clock
    mode: Mode
    journal: Journal  # of this stage; outlasts its process
    finished: frozenset[str]  # streams that are done for good, in a run that goes on after a crash
    base_time: int  # monotonic ns that are running time 0, the same in all processes of a run; known from play on

    async def emit(self, output: str, payload: Payload | None, **placement: Unpack[Placement]) -> None:
        """Send data, or a gap where there is no payload."""

    async def advance(self, stream: str) -> None:
        """Send the stage's watermark on, if it moved."""

    def input_watermark(self, stream: str) -> int:
        """The smallest pts that any connected input may still bring."""

    def connected(self, port: str) -> bool:
        """True if the graph feeds this input."""

    def warn(self, text: str, damage: bool) -> None:
        """Tell the user."""
