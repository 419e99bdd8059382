"""Where results come from: beside each file that a run writes, a manifest of all that it depends on.

`results.jsonl.manifest.json` says by which graph, weights, recordings, code and command `results.jsonl` was made, so
that it can be derived again (`emopipe replay --check results.jsonl`). The results' own bytes stay free of it.
"""

import platform
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import RUN_IDENTITY, replacing
from emopipe.pipeline.graph.identity import FileIdentity, RunIdentity, identify, identify_file
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.text import one_line

MANIFEST_VERSION = 1
MAX_BYTES = 16 << 20
SUFFIX = ".manifest.json"
HIDDEN = "***"  # in place of a token or a password


class Manifest(msgspec.Struct, kw_only=True):
    """What one file of results was made of.

    Attributes:
        version: of this format.
        result: the file, as it was at the end of the run; without a hash while the run goes on.
        stage: that wrote it.
        origin: the graph's file; modules beside it may be the run's.
        run: what the results depend on.
        command: as it was given.
        folder: in which it was given.
        machine: that it ran on; another one may round otherwise.
        started: by the wall clock, ISO 8601, UTC.
        ended: None while the run goes on, or where it was killed.
        complete: whether the run came to its end.
    """

    version: int = MANIFEST_VERSION
    result: FileIdentity
    stage: str
    origin: str
    run: RunIdentity
    command: list[str]
    folder: str
    machine: str
    started: str
    ended: str | None = None
    complete: bool = False


def manifest_path(result: str | Path) -> Path:
    """Where the manifest of a file lies."""
    return Path(f"{result}{SUFFIX}")


def read_manifest(result: Path) -> Manifest | None:
    """The manifest of a file; None where it has none.

    Raises:
        EmopipeError: it cannot be read, is damaged, or of another version.
    """
    path = manifest_path(result)
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise EmopipeError(f"{path}: larger than any manifest; it is not one of emopipe's")
        version = msgspec.json.decode(content, type=_Version).version
        if version != MANIFEST_VERSION:
            raise EmopipeError(
                f"{path}: manifest version {version}, but this emopipe reads version {MANIFEST_VERSION}; "
                "check the results with the emopipe that has written them"
            )
        return msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise EmopipeError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EmopipeError(f"{path}: not a manifest of emopipe's: {one_line(error)}") from None


class Manifests:
    """The manifests of a run's result files: begun when it plays, completed when it has ended.

    What the run depends on is looked at before it starts; that takes about 0.8 s a GB of recordings and weights. A run
    that fails at its start leaves the manifests of older results as they are, as it leaves the results.

    Args:
        graph: that is run.
        without: files that need none, as they are thrown away.

    Attributes:
        run: what it depends on; None where no file needs a manifest.
    """

    def __init__(self, graph: Graph, without: Collection[Path] = ()) -> None:
        left_out = {str(path.resolve()) for path in without}
        self._files = {path: stage for path, stage in result_files(graph).items() if path not in left_out}
        self._started: str | None = None
        self.run = identify(graph) if self._files else None
        self._origin = str(graph.path.absolute())
        self._secrets = secrets_of(graph)

    def __enter__(self) -> Self:
        return self

    def keep_identity(self, folder: Path) -> None:
        """Let sinks know what their results depend on, in the folder of the run's journals.

        Raises:
            EmopipeError: it cannot be written.
        """
        if self.run is None:
            return
        told = without_secrets(msgspec.to_builtins(self.run), self._secrets)
        path = folder / RUN_IDENTITY
        try:
            with replacing(path) as file:
                file.write_bytes(msgspec.json.encode(told))
        except OSError as problem:
            raise EmopipeError(f"{path}: cannot be written ({problem.strerror}); free some space") from None

    def begin(self) -> None:
        """The run plays; harmless if that is said again.

        Raises:
            EmopipeError: a manifest cannot be written.
        """
        if self._started is None:
            self._started = _now()
            self._write(ended=None, complete=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started is None:
            return
        try:
            self._write(ended=_now(), complete=error is None)
        except EmopipeError:
            if error is None:  # else that is what is to be told, and the manifest says that the run did not end
                raise

    def _write(self, *, ended: str | None, complete: bool) -> None:
        if self.run is None:
            return
        for path, stage in self._files.items():
            manifest = Manifest(
                result=identify_file(path) if ended else FileIdentity(path, 0, None),
                stage=stage,
                origin=self._origin,
                run=self.run,
                command=["emopipe", *sys.argv[1:]],
                folder=str(Path.cwd()),
                machine=_machine(),
                started=self._started or "",
                ended=ended,
                complete=complete,
            )
            told = without_secrets(msgspec.to_builtins(manifest), self._secrets)
            content = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
            try:
                with replacing(manifest_path(path)) as file:
                    file.write_bytes(content)
            except OSError as problem:
                raise EmopipeError(
                    f"{manifest_path(path)}: cannot be written ({problem.strerror}); "
                    f"{path} is complete without it, but says nothing of where it comes from"
                ) from None


def result_files(graph: Graph) -> dict[str, str]:
    """The files that the sinks of a graph write, with the stages that do."""
    return {
        path: name
        for name, spec in graph.stages.items()
        if not spec.cls.outputs
        for path in spec.settings.writes()
        if Path(path).is_absolute() and Path(path).parent.is_dir() and (Path(path).is_file() or not Path(path).exists())
    }


def secrets_of(graph: Graph) -> list[str]:
    """The tokens and passwords in a graph, the longest first."""
    secrets = {text for spec in graph.stages.values() for text in spec.settings.secrets() if text}
    return sorted(secrets, key=len, reverse=True)


def without_secrets(value: Any, secrets: Sequence[str]) -> Any:
    """Plain data without tokens and passwords: a manifest is given to others."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {without_secrets(key, secrets): without_secrets(each, secrets) for key, each in value.items()}
    return [without_secrets(each, secrets) for each in value] if isinstance(value, list) else value


class _Version(msgspec.Struct):
    version: int


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _machine() -> str:
    """Processor and system: what bits may depend on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return ", ".join(filter(None, [model or platform.processor(), platform.platform()]))
