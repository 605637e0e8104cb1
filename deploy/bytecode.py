"""Compile what an image runs from its working directory, while the project's wheel is built there.

Buildpacks compile what they install, and nothing else; an image's file times are those of 1980 and its files cannot be
written, so that uncompiled modules are compiled again at every start. The bytecode is found out by its source's hash
and not by its time; it is checked, so that in a developer's checkout an edit is still seen. Never fails a build, and
adds nothing to the wheel.
"""

import compileall
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Bytecode(BuildHookInterface[Any]):
    """A hook that hatchling runs before it builds a wheel; its option ``folders`` names what is compiled."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the folders, unless the wheel is an editable one."""
        if version != "editable":
            for folder in self.config["folders"]:
                compileall.compile_dir(
                    Path(self.root, folder), quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH
                )
