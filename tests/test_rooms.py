"""The rooms of the house: which folder may import which, how full each is, and that tests keep to themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each room, and the rooms that it may import; its own files always. `pipeline.testing`, `models.export` and
# `pipeline.runtime.supervisor` are rooms of one file each, which stand above the other files of their folder.
MAY_IMPORT = {
    "pipeline": "",
    "pipeline.access": "pipeline",
    "pipeline.memory": "pipeline",
    "pipeline.supervision": "pipeline",
    "pipeline.telemetry": "pipeline pipeline.access",
    "pipeline.graph": "pipeline pipeline.access pipeline.supervision",
    "pipeline.runtime": "pipeline pipeline.access pipeline.memory pipeline.supervision pipeline.graph "
    "pipeline.telemetry",
    "pipeline.runtime.processes": "pipeline pipeline.access pipeline.supervision pipeline.graph pipeline.telemetry "
    "pipeline.runtime",
    "pipeline.runtime.supervisor": "pipeline pipeline.access pipeline.supervision pipeline.graph pipeline.telemetry "
    "pipeline.runtime pipeline.runtime.processes",
    "pipeline.cluster": "pipeline pipeline.access pipeline.supervision pipeline.graph pipeline.telemetry "
    "pipeline.runtime pipeline.runtime.processes",
    "pipeline.testing": "pipeline pipeline.runtime",
    "models": "pipeline",
    "models.face_detection": "models pipeline",
    "models.facial": "models pipeline",
    "models.speech": "models pipeline",
    "models.fusion": "models pipeline",
    "models.geometry": "models models.face_detection pipeline",
    "models.export": "models models.facial models.speech models.fusion pipeline",
    "models.onnx": "models pipeline",
    "stages": "models models.face_detection models.geometry models.onnx pipeline",
    "stages.media": "stages pipeline pipeline.memory",
    "stages.capture": "stages stages.media pipeline pipeline.graph",
    "stages.sinks": "stages models pipeline pipeline.access",
    "stages.lab": "stages stages.media stages.sinks models pipeline",
    "stages.lsl": "stages stages.sinks stages.lab models pipeline",
    "stages.messages": "stages stages.sinks pipeline pipeline.access pipeline.graph",
    "stages.faces": "stages models models.face_detection models.facial models.geometry models.onnx pipeline",
    "stages.speech": "stages models models.speech models.onnx models.fusion pipeline",
    "stages.fusion": "stages models models.fusion pipeline",
    "stages.mp4": "stages stages.media stages.sinks models pipeline",
    "stages.report": "stages stages.media stages.sinks models pipeline",
    "stages.web": "stages stages.media stages.sinks models pipeline pipeline.access",
    "stages.webrtc": "stages stages.media stages.capture stages.web pipeline",
    "training.trainer": "models pipeline pipeline.graph",  # settings are read from TOML as a stage's are
    "training.evaluation": "models pipeline",
    "training.facial": "training.trainer training.evaluation models models.facial pipeline",
    "training.speech": "training.trainer training.evaluation models models.speech pipeline",
    "training.fusion": "training.trainer training.evaluation training.speech "
    "models models.speech models.fusion pipeline",
}
for above in (
    "emopipe.graphs",
    "emopipe.lab",
    "emopipe.certificate",
    "emopipe.predictor",
    "emopipe.fine_tuning",
    "emopipe.tables",
    "emopipe.archive",
    "emopipe.arguments",
):  # each may import all below it
    MAY_IMPORT[above] = " ".join(MAY_IMPORT)
VERBS = {f"emopipe.commands.{room}": " ".join(MAY_IMPORT) for room in ("playing", "setup", "models", "evaluation")}
MAY_IMPORT |= VERBS | {"emopipe.commands": ""}  # a verb may import all below, and none of another room
MAY_IMPORT["emopipe"] = " ".join(MAY_IMPORT)
LINKED = ("pipeline", "stages", "models", "training")
MIN_FILES, MAX_FILES = 2, 16  # in a room; the package's face has its one beside `__init__`


def modules() -> Iterator[tuple[str, Path]]:
    """Every product module by its name without the leading `emopipe.`; those of `emopipe/` itself keep it."""
    for top in (*LINKED, "emopipe"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if top == "emopipe" and parts[1] in (*LINKED, "configs"):
                continue  # the links
            yield ".".join(parts), path


MODULES = dict(modules())


def room_of(module: str) -> str:
    """The room a module lies in."""
    return module if module in MAY_IMPORT and module in MODULES else module.rpartition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """The product modules that a file imports, by the names of `MODULES`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first != "emopipe" or not rest:
                continue
            dotted = rest if rest.split(".")[0] in LINKED else name
            while dotted and dotted not in MODULES and f"{dotted}.__init__" not in MODULES:
                dotted = dotted.rpartition(".")[0]
            if dotted:
                yield dotted if dotted in MODULES else f"{dotted}.__init__"


def test_arrows_between_rooms_run_one_way() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        for other in imported(path)
        if room_of(other) != room_of(module) and room_of(other) not in MAY_IMPORT[room_of(module)].split()
    ]
    assert wrong == []


def test_the_table_itself_has_no_circle() -> None:
    seen: set[str] = set()
    while len(seen) < len(MAY_IMPORT):
        free = [room for room, below in MAY_IMPORT.items() if room not in seen and seen.issuperset(below.split())]
        assert free, sorted(MAY_IMPORT.keys() - seen)
        seen.update(free)


def test_every_room_is_of_a_size_that_one_can_look_over() -> None:
    files: dict[str, int] = {}
    for path in MODULES.values():
        if path.name != "__init__.py":
            files[str(path.parent.relative_to(ROOT))] = files.get(str(path.parent.relative_to(ROOT)), 0) + 1
    del files["emopipe"]
    assert {room: count for room, count in files.items() if not MIN_FILES <= count <= MAX_FILES} == {}


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_nobody_imports_a_test(folder: str) -> None:
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests."):
                named = [*node.module.split("."), *(alias.name for alias in node.names)]
                if folder == "benchmarks" or any(each.startswith("test_") for each in named[:-1]):
                    wrong.append(f"{path.relative_to(ROOT)} imports {node.module}")
    assert wrong == []
