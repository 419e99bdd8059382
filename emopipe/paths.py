"""Where the graphs that come with emopipe lie: in the checkout, or inside the installed package."""

from pathlib import Path

_PACKAGED = Path(__file__).parent


def default_graph() -> Path:
    """`pipeline.toml` of the working directory, else the one that comes with emopipe."""
    candidates = [Path("pipeline.toml"), _PACKAGED / "pipeline.toml"]
    return next((path for path in candidates if path.is_file()), candidates[0])
