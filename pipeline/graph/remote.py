"""The processes of a graph that somebody starts on another host, and the address where they find the run.

Or what the node of a cluster must have on which one is to be placed.

[pipeline.control]
endpoint = "tcp://10.0.0.1:5570"
secret_key = "desk.key_secret"

[processes.vision]
remote = "vision.key"                 # or, on a cluster: label = { zone = "a" }
"""

from collections.abc import Mapping
from typing import Annotated, Any

from emopipe.pipeline.access.addresses import is_wildcard, split_tcp
from emopipe.pipeline.access.allow_list import expand, read_key
from emopipe.pipeline.access.keys import read_pair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.parse import ParsedStage, Problems
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.graph.spec import Remote, RemoteProcess
from emopipe.pipeline.port import Invalid, Settings, about
from emopipe.pipeline.text import instead, show


class ControlSettings(Settings):
    """The table `[pipeline.control]`: where processes on other hosts find the run."""

    endpoint: Annotated[str, about("this host's address as the others reach it: tcp://HOST:PORT")]
    secret_key: Annotated[str, about("file of the run's own secret key (CURVE)", min_length=1)]

    def check(self) -> list[Invalid]:
        try:
            host, port = split_tcp(self.endpoint)
        except ValueError as error:
            return [Invalid("endpoint", str(error))]
        if is_wildcard(host) or not port:
            say = "the other hosts connect to this host's links there, too; expected its own address and a port"
            return [Invalid("endpoint", f"{self.endpoint} is no address to be reached at: {say}")]
        try:
            read_pair(expand(self.secret_key))
        except EmopipeError as error:
            return [Invalid("secret_key", str(error))]
        return []


class ProcessSettings(Settings):
    """A table `[processes.NAME]`."""

    remote: Annotated[
        str, about("public key, or its file, of who starts this process on another host, by `emopipe worker`")
    ] = ""
    label: Annotated[dict[str, str], about("labels of the cluster's node on which it is to be placed")] = {}  # noqa: RUF012
    wait: Annotated[float, about("the longest wait for it at the start", unit="s", gt=0, le=3600)] = 60.0

    def check(self) -> list[Invalid]:
        if bool(self.remote) == bool(self.label):
            text = "expected either remote, the key of who starts it on another host, or label, of a cluster's node"
            return [Invalid("", text)]
        return []


def read_remote(
    control: Mapping[str, Any], table: object, stages: Mapping[str, ParsedStage], problems: Problems
) -> Remote:
    """Read `[pipeline.control]` and the tables `[processes.NAME]`; without what is wrong with them."""
    if not isinstance(table, Mapping):
        problems.add(("processes",), f"expected a table for each process, got {show(table)}")
        return Remote()
    processes: dict[str, RemoteProcess] = {}
    labels: dict[str, dict[str, str]] = {}
    names = list(dict.fromkeys(stage.process for stage in stages.values()))
    for name, given in table.items():
        where = ("processes", name)
        if name not in names:
            problems.add(where, f"no stage runs in a process {show(name)}; {instead(name, names)}")
        elif not isinstance(given, Mapping):
            problems.add(where, f'expected a table such as {{ remote = "{name}.key" }}, got {show(given)}')
        elif (settings := _read_settings(where, given, problems)) is None:
            continue
        elif settings.label:
            labels[name] = settings.label
        elif (process := _read_process(where, settings, problems)) is not None:
            if any(process.key == other.key for other in processes.values()):
                problems.add((*where, "remote"), "another process has the same key, by which it is known")
            processes[name] = process
    desk = None
    if processes and not control:
        problems.add(
            ("pipeline", "control"), "missing: by it other hosts find the run; expected endpoint and secret_key"
        )
    elif control:
        desk, found = convert(control, ControlSettings)
        for key, text in found or (desk.check() if desk is not None else []):
            problems.add(("pipeline", "control"), text, key)
    for stage in stages.values():
        stage.remote = stage.process in processes or stage.process in labels
    return Remote(desk.endpoint, desk.secret_key, processes, labels) if desk is not None else Remote(labels=labels)


def _read_settings(where: tuple[str, str], given: Mapping[str, Any], problems: Problems) -> ProcessSettings | None:
    settings, found = convert(given, ProcessSettings)
    found = found or (settings.check() if settings is not None else [])
    for key, text in found:
        problems.add(where, text, key)
    return settings if not found else None


def _read_process(where: tuple[str, str], settings: ProcessSettings, problems: Problems) -> RemoteProcess | None:
    try:
        return RemoteProcess(read_key(settings.remote), settings.remote, settings.wait)
    except EmopipeError as error:
        problems.add((*where, "remote"), str(error))
        return None
