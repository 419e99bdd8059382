"""The libraries behind the formats and the network of the lab, which are extras of the installation."""

from importlib.util import find_spec

LIBRARIES = {
    "pyarrow": ("pyarrow", "lab"),
    "pympi": ("pympi-ling", "lab"),
    "praatio": ("praatio", "lab"),
    "pylsl": ("pylsl", "lsl"),
}
"""What each module is called where it is installed from, and the extra that has it."""


def extra_problem(module: str) -> str | None:
    """What to do where `module` is not installed, as a sentence for the user; None where it is."""
    if find_spec(module) is not None:
        return None
    library, extra = LIBRARIES[module]
    return f'needs {library}, which is not installed: pip install "emopipe[{extra}]"'
