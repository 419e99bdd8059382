"""Others' models, which every wheel holds though the repository does not: `emopipe/models/assets.py` fetches them."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FetchAssets(BuildHookInterface[Any]):
    """Fetches them where they are missing; a build without them fails, and says why."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        paths = runpy.run_path(str(Path(self.root, "emopipe", "models", "assets.py")))["fetch"]()
        build_data["artifacts"] += [f"/emopipe/models/third_party/{path.name}" for path in paths]
