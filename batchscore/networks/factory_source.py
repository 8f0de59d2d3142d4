"""Which files a model factory is made of."""

from __future__ import annotations

import sys
from pathlib import Path


def find_source(factory: str) -> frozenset[Path]:
    """The file of the factory's module, and of all that are loaded from its package or its folder.

    Nothing before the module is loaded.
    """
    name = factory.partition(":")[0]
    files = {loaded: Path(file) for loaded, module in list(sys.modules.items())
             if (file := getattr(module, "__file__", None)) is not None}  # fmt: skip
    if name not in files:
        return frozenset()
    package, folder = name.partition(".")[0], files[name].parent
    return frozenset(
        file for loaded, file in files.items() if loaded.partition(".")[0] == package or file.parent == folder
    )
