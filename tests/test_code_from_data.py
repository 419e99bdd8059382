"""Nothing that is read becomes code: no pickle, no eval, no weights that run, no command line from a string."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDERS = ("pipeline", "stages", "models", "training", "emopipe", "benchmarks", "examples")
# Modules whose reading runs what is written.
FORBIDDEN_IMPORTS = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "code",
}
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    "os.system": "a command line from a string",
    "os.popen": "a command line from a string",
    "subprocess.getoutput": "a command line from a string",
    "subprocess.getstatusoutput": "a command line from a string",
    "asyncio.create_subprocess_shell": "a command line from a string",
    "torch.jit.load": "a program in place of weights",
    "torch.hub.load": "somebody else's code, fetched",
    "torch.package.PackageImporter": "a program in place of weights",
    "numpy.ctypeslib.load_library": "native code by name",
}
FORBIDDEN_METHODS = {
    "register_custom_ops_library": "native code beside a model",
    "load_from_checkpoint": "a checkpoint that may be a pickle",
    "extractall": "paths that an archive chooses",
    "send_pyobj": "pickle",
    "recv_pyobj": "pickle",
}
# What is safe with one argument alone.
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def dangers(source: str) -> Iterator[str]:
    """What in a module's text can make code of data, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if name.partition(".")[0] in FORBIDDEN_IMPORTS:
                    yield f"{node.lineno}: imports {name}"
        elif isinstance(node, ast.Call) and (problem := _danger_of(node)):
            yield f"{node.lineno}: {problem}"


def _danger_of(call: ast.Call) -> str | None:
    name = ast.unparse(call.func)
    arguments = {each.arg: each.value for each in call.keywords}
    shell = arguments.get("shell")
    if isinstance(call.func, ast.Name) and name in FORBIDDEN_BUILTINS:
        return f"{name}() of a string"
    if name in FORBIDDEN_CALLS:
        return f"{name}: {FORBIDDEN_CALLS[name]}"
    if isinstance(call.func, ast.Attribute) and call.func.attr in FORBIDDEN_METHODS:
        return f"{call.func.attr}: {FORBIDDEN_METHODS[call.func.attr]}"
    if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
        return f"{name} with a shell"
    if name in REQUIRED:
        key, value = REQUIRED[name]
        given = arguments.get(key)
        if not (isinstance(given, ast.Constant) and given.value is value):
            return f"{name} without {key}={value}"
    return None


def modules() -> list[Path]:
    found = [ROOT / "hatch_build.py"]
    for folder in FOLDERS:
        found += [path for path in sorted((ROOT / folder).rglob("*.py")) if "third_party" not in path.parts]
    return found


def test_no_module_makes_code_of_what_it_reads() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{danger}"
        for path in modules()
        for danger in dangers(path.read_text(encoding="utf-8"))
    ]
    assert len(modules()) > 200
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "eval(text)",
        "exec(text)",
        "compile(text, '', 'exec')",
        "__import__(name)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=flag)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "options.register_custom_ops_library(path)",
        "Module.load_from_checkpoint(path)",
        "socket.recv_pyobj()",
        "archive.extractall(folder)",
    ],
)
def test_each_danger_would_be_found(line: str) -> None:
    assert len(list(dangers(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "network.eval()",
        "re.compile(text)",
        "subprocess.run([program, text])",
    ],
)
def test_what_is_safe_is_not(line: str) -> None:
    assert list(dangers(line)) == []


def test_what_is_shipped_as_weights_holds_numbers_alone() -> None:
    """safetensors by their own reader; others' models are known by their SHA-256 (`emopipe.models.assets`)."""
    from safetensors import safe_open

    files = [path for path in (ROOT / "models" / "weights").iterdir() if path.is_file()]
    weights = [path for path in files if path.suffix not in {".md", ".json", ".txt"}]
    assert weights
    for path in weights:
        assert path.suffix == ".safetensors", path
        with safe_open(path, framework="np") as file:
            assert len(list(file.keys())) > 0
