"""`python -m pcs_runner.emulator.dask_local N`: a Dask cluster of N processes on this machine, which ends with its parent.

A process of its own, because a Dask cluster changes the one that starts it: its nannies set `OMP_NUM_THREADS` there, and start
workers at any time from a copy of its main module.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

LOST_S = 24 * 3600
"""Seconds; Dask's own 15 s end a cluster under load, or under a job that kills worker after worker."""


def serve(workers: int) -> None:
    """Start the cluster, write its address as a line to file descriptor 1, and stop when file descriptor 0 ends."""
    distributed: Any = import_module("distributed")
    # A cluster looks so long after it lost a worker whether it is there, and closes its nanny for good if it is not.
    import_module("dask").config.set({"distributed.deploy.lost-worker-timeout": LOST_S})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    no_page = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # None would take port 8787, on every interface
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", scheduler_kwargs=no_page
    ) as cluster:
        os.write(1, f"{cluster.scheduler_address}\n".encode())
        while os.read(0, 4096):
            pass


if __name__ == "__main__":
    serve(int(sys.argv[1]))
