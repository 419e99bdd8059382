"""The libraries behind the formats of the lab, which are an extra of the installation."""

from importlib.util import find_spec

LIBRARIES = {"pyarrow": "pyarrow", "pympi": "pympi-ling", "praatio": "praatio"}
"""What each module is called where it is installed from."""


def extra_problem(module: str) -> str | None:
    """What to do where `module` is not installed, as a sentence for the user; None where it is."""
    if find_spec(module) is not None:
        return None
    return f'needs {LIBRARIES[module]}, which is not installed: pip install "emopipe[lab]"'
