"""The graphs that come with emopipe, found from any folder by their names: `webcam`, or `configs/webcam.toml`."""

from pathlib import Path

from emopipe.pipeline.errors import EmopipeError, GraphError, Problem
from emopipe.pipeline.text import instead

_PACKAGE = Path(__file__).parents[1]
_DEFAULT = Path("pipeline.toml")


def ready_graphs() -> dict[str, Path]:
    """The graphs that come with emopipe, by name; the default one has none."""
    return {path.stem: path for path in sorted((_PACKAGE / "configs").glob("*.toml"))}


def default_graph() -> Path:
    """`pipeline.toml` of the current folder, else the one that comes with emopipe."""
    return find_graph(_DEFAULT)


def find_graph(given: Path | None) -> Path:
    """The file of a graph: one of the user's own at `given`, else one that comes with emopipe and is called so.

    Args:
        given: a path or a name; None stands for the default graph.

    Raises:
        GraphError: there is no such file and no such name.
        EmopipeError: emopipe was installed without its graphs.
    """
    given = given or _DEFAULT
    if given.exists() and not given.is_dir():
        return given
    ready = ready_graphs()
    places = {_DEFAULT: _PACKAGE / _DEFAULT}
    for name, path in ready.items():
        places |= {Path(name): path, Path("configs", path.name): path}
    if given in places and places[given].exists():
        return places[given]
    if not ready or given == _DEFAULT:
        raise EmopipeError(f"{_PACKAGE}: the graphs that come with emopipe are missing there; install emopipe again")
    if given.is_dir():
        return given  # whoever reads it says that it is a folder
    raise GraphError(
        [Problem(text=f"no such file, and no graph of emopipe's; {instead(given.stem, ready)}")], str(given)
    )
