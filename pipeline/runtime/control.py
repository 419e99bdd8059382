"""What the supervisor and its workers say to each other: typed messages in MessagePack, over one ZeroMQ socket each.

worker      Hello          Bound          Loading … Ready       Reported … Finished | Failed       Closed
supervisor        Prepare        Connect                  Play  Status …  [Drain]             Stop

and from its Hello on a worker says Alive. One on another host is asked for its clock before all else: AskClock,
ClockTold, and at last SetClock.
"""

import signal
from typing import Any

import msgspec

from emopipe.pipeline.graph.spec import Link
from emopipe.pipeline.port import LinkId, Mode
from emopipe.pipeline.report import Interruption, ProcessReport, Report, RunSnapshot
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.result import RunWarning
from emopipe.pipeline.telemetry.trace import TraceEvent

STACKS_SIGNAL = signal.SIGUSR1  # lets a worker write the stacks of its threads


class StagePlan(msgspec.Struct, frozen=True):
    """One stage as the graph gives it: `table` holds the settings as plain data.

    `carried` names the payload type of each input, for those that the port `*` of the class stands for.
    """

    name: str
    use: str
    table: dict[str, Any]
    carried: dict[str, str] = {}


class Hello(msgspec.Struct, tag=True):
    """The worker has started.

    `key` is its public key for links between hosts, `clock` tells hosts' clocks apart (`remote_host.clock_id`).
    """

    key: str
    clock: str


class AskClock(msgspec.Struct, tag=True):
    """What does the monotonic clock of your host show? `asked` is when this was sent, by ours (ns)."""

    asked: int


class ClockTold(msgspec.Struct, tag=True):
    """The answer: `clock` (ns)."""

    asked: int
    clock: int


class SetClock(msgspec.Struct, tag=True):
    """Add `shift` (ns) to the monotonic clock of your host from now on."""

    shift: int


class Prepare(msgspec.Struct, tag=True):
    """Make these stages and bind their inputs.

    `path` are the folders of users' own modules; `sockets` is how the addresses of this worker's inputs begin; in the
    folder `state` the stages' journals are kept; `finished` are the streams that are not to be played again; `traced`
    asks for `Traced`. To a process that is restarted `received` says how much each of its links had carried, and
    `epochs` in which its sources' streams begin. Links from other hosts are bound at `address`, for the public keys of
    their `senders`. Sinks keep the order of `turns`.
    """

    mode: Mode
    stages: list[StagePlan]
    links: list[Link]  # all that begin or end here
    path: list[str]
    sockets: str
    state: str
    finished: list[str]
    received: dict[LinkId, int]
    epochs: dict[str, int]
    traced: bool
    address: str = ""
    senders: dict[LinkId, str] = {}
    turns: dict[str, int] = {}


class Bound(msgspec.Struct, tag=True):
    """The inputs are bound: where, for each link that is not local."""

    endpoints: dict[LinkId, Endpoint]


class Connect(msgspec.Struct, tag=True):
    """Connect the outputs, then set the stages up."""

    endpoints: dict[LinkId, Endpoint]


class Loading(msgspec.Struct, tag=True):
    """The worker makes this stage, or sets it up; empty when it waits for the others."""

    stage: str


class Ready(msgspec.Struct, tag=True):
    """Every stage of the worker is set up and warm."""


class Play(msgspec.Struct, tag=True):
    """Every stage of every worker is ready: begin. `base_time` (monotonic ns) is running time 0."""

    base_time: int


class Cut(msgspec.Struct, tag=True):
    """The process at the other end of these links has died, and will be restarted: bind anew, and lose what waits."""

    links: list[LinkId]


class WasCut(msgspec.Struct, tag=True):
    """The links are cut.

    `received` says how much each had carried; `sent` which streams are open on those that lead to the process that has
    died, and `taken` on those that come from it, with their epochs; `endpoints` where the latter are bound now.
    """

    received: dict[LinkId, int]
    sent: dict[str, int]
    taken: dict[LinkId, dict[str, int]]
    endpoints: dict[LinkId, Endpoint]


class Rejoined(msgspec.Struct, tag=True):
    """A process has been restarted: go on with it.

    Its inputs are bound at `endpoints`; the streams that pass it go on in `epochs`; of those that it knows no more
    `ended` says where they end.
    """

    interruption: Interruption
    endpoints: dict[LinkId, Endpoint]
    ended: dict[LinkId, list[str]]


class Noted(msgspec.Struct, tag=True):
    """The worker goes on as `Rejoined` said, whose `epochs` these are."""

    epochs: dict[str, int]


class Status(msgspec.Struct, tag=True):
    """How the run is doing; about once a second, to workers with a stage that watches."""

    run: RunSnapshot


class Drain(msgspec.Struct, tag=True):
    """End the sources: what is under way goes through to the sinks, and everything ends by itself."""


class Alive(msgspec.Struct, tag=True):
    """The worker's event loop lives; sent about twice a second, from `Hello` to `Closed`.

    `busy` says for how long (s) a stage has been at one message, or its thread at one call; those that go on are left
    out, and so is waiting for room on a link.
    """

    busy: dict[str, float]


class Reported(msgspec.Struct, tag=True):
    """How far the stages are; sent several times a second, and once more at the end."""

    reports: list[Report]
    process: ProcessReport


class Traced(msgspec.Struct, tag=True):
    """What the stages have taken and sent since the last of these; `lost` events were too many."""

    events: list[TraceEvent]
    lost: int


class Warned(msgspec.Struct, tag=True):
    """Things the user should know; at once, but not more than a few each half second."""

    warnings: list[RunWarning]


class Failed(msgspec.Struct, tag=True):
    """A stage has failed. `exit_code` is 2 where the user can mend it; `detail` is the traceback.

    `explained`: the stage has said what is wrong; it is no accident.
    """

    stage: str
    error: str
    exit_code: int
    detail: str
    explained: bool


class Finished(msgspec.Struct, tag=True):
    """Every stage of the worker has ended and its outputs are consumed."""


class Stop(msgspec.Struct, tag=True):
    """Close the stages and exit."""


class Closed(msgspec.Struct, tag=True):
    """Every stage of the worker is closed; nothing follows."""


FromWorker = (
    Hello
    | ClockTold
    | Alive
    | Bound
    | WasCut
    | Noted
    | Loading
    | Ready
    | Reported
    | Traced
    | Warned
    | Failed
    | Finished
    | Closed
)
ToWorker = AskClock | SetClock | Prepare | Connect | Play | Cut | Rejoined | Status | Drain | Stop

encode = msgspec.msgpack.Encoder().encode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
