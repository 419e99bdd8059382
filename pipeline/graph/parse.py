"""Reading a graph's tables: every table and key by itself, before the stages are seen as a whole."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from emopipe.pipeline.errors import EmopipeError, GraphError, Problem
from emopipe.pipeline.graph.monitoring import Monitoring
from emopipe.pipeline.graph.registry import GRAPH_KEYS, is_own, resolve
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.graph.spec import OutputRef
from emopipe.pipeline.message import MAX_STAGE_CHARS, Payload
from emopipe.pipeline.port import ANY_PORT, Invalid, Layout, Mode, Queue, Settings, about
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.settings import Supervision
from emopipe.pipeline.text import instead, key_path, show

_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_STAGE_CHARS - 1}}}")

MAX_SHARDS = 1000
TABLES = ("pipeline", "stages", "processes")


class PipelineSettings(Settings):
    """The table `[pipeline]`."""

    name: Annotated[str, about("of the pipeline; the file's, where not set", min_length=1)] | None = None
    mode: Annotated[Mode, about("replay: lossless, deterministic · live: bounded age")] = "replay"
    latency_budget: (
        Annotated[float, about("refuse a graph that cannot be as fast; in live mode only", unit="s", gt=0)] | None
    ) = None
    layout: Annotated[
        Layout, about("stages: a process each · auto: shared as suits the cores; a stage's own `process` holds in both")
    ] = "stages"
    shards: Annotated[
        int, about("copies of the graph but its sinks, each with a share of the streams", ge=1, le=MAX_SHARDS)
    ] = 1
    supervision: Annotated[
        dict[str, Any], about("how all stages are watched and restarted, where their own table says nothing")
    ] = {}  # noqa: RUF012
    status: Annotated[str, about("address for `emopipe top` of other machines, tcp://HOST:PORT; with keys")] | None = (
        None
    )
    secret_key: Annotated[str, about("file of our secret key (CURVE) for `status`")] = ""
    allow: Annotated[
        str | list[str],
        about("who may watch there: a folder of public key files, or a list of public keys and such files"),
    ] = ""
    metrics: (
        Annotated[str, about("address where Prometheus reads the run's figures, HOST:PORT of this machine")] | None
    ) = None

    control: Annotated[dict[str, Any], about("where processes on other hosts find the run")] = {}  # noqa: RUF012

    @property
    def monitoring(self) -> Monitoring:
        return Monitoring(status=self.status, secret_key=self.secret_key, allow=self.allow, metrics=self.metrics)


class Problems:
    """What is wrong with a graph; nothing twice."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, where: tuple[object, ...], text: str, key: str = "", other: str = "") -> None:
        """`where` holds the names of the tables on the way, `key` the rest of the path as it is to be shown."""
        stage = str(where[1]) if where[:1] == ("stages",) and len(where) > 1 else ""
        path = ".".join(filter(None, [key_path(*where[2 if stage else 0 :]), key]))
        self._found.setdefault(Problem(stage=stage, key=path, text=text, other=other))

    def __len__(self) -> int:
        return len(self._found)

    def sorted(self, stages: Iterable[str]) -> list[Problem]:
        """All of them: those of the file and `[pipeline]`, then stage by stage, then those of the whole."""
        rank = {name: number for number, name in enumerate(stages)}
        whole = len(rank)
        return sorted(
            self._found,
            key=lambda each: rank.get(each.stage, whole) if each.stage else whole if each.key == "stages" else -1,
        )


@dataclass
class ParsedStage:
    """A stage as far as it could be read: `cls` and `settings` are none, an input's sources empty, where wrong."""

    name: str
    use: str = ""
    cls: type[Stage] | None = None
    settings: Settings | None = None
    table: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[OutputRef]] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    process: str = ""
    supervision: Supervision = field(default_factory=Supervision)
    restart_given: bool = False  # whether the graph itself says that it is to be restarted
    remote: bool = False  # in a process on another host, or on a node with labels
    gpus: float = 0.0
    fixed: bool = False  # whether the graph itself says where it runs, or how its process is supervised


def read_pipeline(table: Mapping[str, Any], problems: Problems) -> PipelineSettings:
    """The table `[pipeline]`; its defaults where it is wrong."""
    for key in table:
        if key not in TABLES:
            problems.add((key,), f"unknown table; {instead(key, TABLES)}")
    given = table.get("pipeline", {})
    if not isinstance(given, Mapping):
        problems.add(("pipeline",), f"expected a table, got {show(given)}")
        return PipelineSettings()
    settings, found = convert(given, PipelineSettings)
    for key, text in found:
        problems.add(("pipeline",), text, key)
    if settings is None:
        # The mode decides what else is wrong.
        live = given.get("mode") == "live"
        return PipelineSettings(mode="live" if live else "replay")
    _read_supervision(settings.supervision, ("pipeline", "supervision"), problems)
    return settings


def read_stages(
    table: Mapping[str, Any], pipeline: PipelineSettings, problems: Problems, *, own_code: bool = True
) -> dict[str, ParsedStage]:
    """All stages in the file's order; without `own_code` none of the user's own is imported."""
    stages = table.get("stages", {})
    if not isinstance(stages, Mapping):
        problems.add(("stages",), f"expected a table for each stage, got {show(stages)}")
        return {}
    if not stages:
        problems.add(("stages",), 'no stages; expected a table for each, such as [stages.capture] with use = "…"')
    return {name: _read_stage(name, stage, pipeline, problems, own_code) for name, stage in stages.items()}


def _read_stage(
    name: str, table: object, pipeline: PipelineSettings, problems: Problems, own_code: bool
) -> ParsedStage:
    where = ("stages", name)
    parsed = ParsedStage(name, process=name)
    if not _NAME.fullmatch(name):
        problems.add(where, f"a stage's name may have letters, digits, _ and - only, {MAX_STAGE_CHARS} at most")
    if not isinstance(table, Mapping):
        problems.add(where, f'expected a table with use = "…", got {show(table)}')
        return parsed
    parsed.table = {key: value for key, value in table.items() if key not in GRAPH_KEYS}
    inputs = _read_inputs(table.get("inputs", {}), where, problems)
    parsed.inputs = inputs or {}
    process = table.get("process", name)
    if isinstance(process, str) and _NAME.fullmatch(process):
        parsed.process = process
    elif "process" in table:
        problems.add((*where, "process"), f"expected a name of letters, digits, _ and -, got {show(process)}")
    parsed.fixed = "process" in table or "supervision" in table
    gpus = table.get("gpus", 0)
    if isinstance(gpus, int | float) and not isinstance(gpus, bool) and (0 <= gpus < 1 or gpus in range(1, 65)):
        parsed.gpus = float(gpus)
    else:
        problems.add(
            (*where, "gpus"), f"expected a part of a GPU, such as 0.25, or a whole number of them, got {show(gpus)}"
        )
    own = table.get("supervision", {})
    parsed.supervision = _read_supervision(own, (*where, "supervision"), problems, pipeline.supervision)
    given = {**pipeline.supervision, **own} if isinstance(own, Mapping) else {}
    parsed.restart_given = given.get("restart", "never") != "never"

    use = table.get("use")
    if not isinstance(use, str):
        expected = 'expected the name of a stage (`emopipe inspect` lists them) or "my_package.my_module:MyStage"'
        problems.add((*where, "use"), f"{expected}, got {'nothing' if use is None else show(use)}")
        return parsed
    parsed.use = use
    if not own_code and is_own(use):
        return parsed
    try:
        parsed.cls = cls = resolve(use)
    except GraphError as error:
        for problem in error.problems:
            problems.add((*where, "use"), problem.text)
        return parsed
    if inputs is None:
        parsed.inputs = {port: [] for port in cls.inputs}
    elif ANY_PORT in cls.inputs:  # what each of them carries is known when all stages are
        parsed.cls = cls = cls.with_ports(inputs=dict.fromkeys(inputs, Payload))
    try:
        parsed.settings, found = convert(parsed.table, cls.Settings, also=GRAPH_KEYS)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # in a stage's own __post_init__
        found = [Invalid("", f"the settings of {use} fail with {type(error).__name__}: {error}")]
    for key, text in found:
        problems.add(where, text, key)
    if parsed.settings is not None and ANY_PORT in cls.outputs:
        try:
            parsed.cls = cls = cls.with_ports(outputs=parsed.settings.carries())
        except EmopipeError as error:
            problems.add(where, str(error))
            parsed.cls = None
    parsed.queues = _read_queues(use, cls, table.get("queue", {}), pipeline.mode, (*where, "queue"), problems)
    return parsed


def fit_inputs(stages: Mapping[str, ParsedStage]) -> None:
    """Let the inputs that `*` stands for carry what the (first) outputs that feed them do."""
    for stage in stages.values():
        if stage.cls is not None and any(port.type is Payload for port in stage.cls.inputs.values()):
            sent = {port: [_sent(ref, stages) for ref in stage.inputs[port]] for port in stage.cls.inputs}
            carried = {port: next(filter(None, types), Payload) for port, types in sent.items()}
            stage.cls = resolve(stage.use).with_ports(inputs=carried)


def _sent(ref: OutputRef, stages: Mapping[str, ParsedStage]) -> type[Payload] | None:
    """What an output carries; None where there is no such output, as far as anybody knows."""
    sender = stages.get(ref.stage)
    port = sender.cls.outputs.get(ref.output) if sender is not None and sender.cls is not None else None
    return port.type if port is not None else None


def _read_supervision(
    given: object, where: tuple[str, ...], problems: Problems, common: Mapping[str, Any] | None = None
) -> Supervision:
    """The table `supervision` of a stage, or of all in `[pipeline]`; its defaults where it is wrong."""
    if not isinstance(given, Mapping):
        problems.add(where, f'expected a table such as {{ restart = "never" }}, got {show(given)}')
        return Supervision()
    _, found = convert(given, Supervision)
    settings, _ = convert({**(common or {}), **given}, Supervision)
    wrong = [each for each in settings.check() if each.key in given] if settings is not None else []
    for key, text in [*found, *wrong]:
        problems.add(where, text, key)
    return settings or Supervision()


def _read_inputs(given: object, where: tuple[str, str], problems: Problems) -> dict[str, list[OutputRef]] | None:
    if not isinstance(given, Mapping):
        problems.add((*where, "inputs"), f'expected inputs.PORT = "stage.output", got {show(given)}')
        return None
    inputs: dict[str, list[OutputRef]] = {}
    for port, sources in given.items():
        if sources == []:
            continue
        fed_by: dict[OutputRef, None] = {}
        for source in sources if isinstance(sources, list) else [sources]:
            stage, dot, output = source.partition(".") if isinstance(source, str) else ("", "", "")
            if not (stage and output and dot):
                text = f'expected "stage.output" or a list of such, got {show(source)}'
                problems.add((*where, "inputs", port), text)
            elif OutputRef(stage, output) in fed_by:
                problems.add((*where, "inputs", port), f"{show(source)} is there twice")
            else:
                fed_by[OutputRef(stage, output)] = None
        inputs[port] = list(fed_by)
    return inputs


def _read_queues(
    use: str, cls: type[Stage], given: object, mode: Mode, where: tuple[str, ...], problems: Problems
) -> dict[str, Queue]:
    if not isinstance(given, Mapping):
        problems.add(where, f"expected queue.PORT = {{ size = …, policy = … }}, got {show(given)}")
        given = {}
    for port in given:
        if port not in cls.inputs:
            problems.add((*where, port), f"{use} has no input {show(port)}; {instead(port, cls.inputs)}")
    queues: dict[str, Queue] = {}
    for port, declared in cls.inputs.items():
        table = given.get(port, {})
        if not isinstance(table, Mapping):
            problems.add((*where, port), f"expected {{ size = …, policy = … }}, got {show(table)}")
            table = {}
        given_or_own = {"size": Queue.of(declared, mode).size, "policy": declared.policy, **table}
        queue, found = convert(given_or_own, Queue)
        for key, text in found:
            problems.add((*where, port), text, key)
        queues[port] = Queue.of(declared, mode, queue)
    return queues
