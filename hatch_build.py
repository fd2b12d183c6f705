"""Build hook: compiles the C kernel into the wheel, also an editable one; without a compiler all of it is Python."""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelHook(BuildHookInterface[Any]):
    """Adds the kernel's shared library to a wheel, and the platform to its tag."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 the interface of hatchling
        """Build the kernel before the wheel is put together."""
        kernel = runpy.run_path(str(Path(self.root) / "replaylab/kernel/build.py"))
        try:
            library = kernel["build"]()
        except kernel["KernelNotBuilt"] as error:
            self.app.display_warning(f"replaylab is built without its C kernel, and converts slower: {error}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(str(library.relative_to(self.root)))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
