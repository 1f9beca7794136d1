"""`python -m pcs_runner` is `pcs-run`."""

from __future__ import annotations

import sys

from pcs_runner.cli import main

sys.exit(main())
