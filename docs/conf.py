"""Sphinx: `sphinx-build -W docs OUTPUT` (extra `docs`). The spec reference is made from the schema at every build."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import spec_reference

from pcs_runner import __version__

project = "pcs-runner"
author = "the pcs-runner developers"
version = release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pcs-runner {__version__}"
html_copy_source = False


def setup(app: Any) -> None:
    """Write the generated page before the sources are read."""
    app.connect("builder-inited", lambda app: spec_reference.write(Path(app.srcdir, "spec-reference.md")))
