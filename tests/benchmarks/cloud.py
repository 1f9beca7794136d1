"""The cloud client and a run over HTTP against the vendor's SDK, both against the same `pcs-run serve --latency 20`.

    python tests/benchmarks/cloud.py [--rounds N] [--results N] [--jobs N] [--followed N]

Method. One server in a process of its own, every answer 20 ms late, and one finished batch. First table: results of the same
jobs, by the SDK's `job.result` one after the other, by `Client.results`, and by the floor: as many requests (a results link and
its download for each) over 32 bare connections that do nothing else. SDK and ours take turns in each round, on the same jobs.
Second table: peak memory of a fresh process that reads so many results one after the other. Third table: a run of many jobs
is submitted, and one is followed to its end; requests are counted at the client's door to the network.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from measure import Spread, in_rounds, machine, print_table

from pcs_runner.pcs import Client
from pcs_runner.pcs.client import Wire
from pcs_runner.pcs.protocol import BatchRequest, JobRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.pcs.exchange import Answer, Failure, Outgoing

CONNECTIONS = 32
LATENCY_MS = 20

SPEC = """\
version: 1
name: cloud
sequence:
  device: MockDevice
  register: {q0: [0, 0]}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: 16, amplitude: omega}]
jobs: {runs: 10, sweep: {grid: {omega: {linspace: {start: 1, stop: 12, num: JOBS}}}}}
targets: {cloud: {backend: pcs, engine: qutip}}
"""

READER = """\
import resource, sys
from pcs_runner.pcs import Client
ids = sys.stdin.read().split()
with Client.from_environment() as client:
    shots = sum(sum(result.counter.values()) for _, result in client.results(ids))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, shots)
"""


@contextmanager
def serving() -> Iterator[Mapping[str, Any]]:
    """A twin that answers late; the line that it prints."""
    command = [sys.executable, "-m", "pcs_runner", "serve", "--port", "0", "--latency", str(LATENCY_MS), "--workers", "1", "-q"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def use(line: Mapping[str, Any]) -> None:
    """Make the twin the cloud of this process and its children."""
    os.environ.update(
        PCS_RUNNER_CORE_URL=line["core"],
        PCS_RUNNER_ACCOUNT_URL=line["account"],
        PCS_RUNNER_BILLING_URL=line["billing"],
        PCS_RUNNER_TOKEN_URL=line["token_url"],
        PASQAL_USERNAME=line["username"],
        PASQAL_PASSWORD=line["password"],
        PASQAL_PROJECT_ID=line["project_id"],
    )


class CountingWire(Wire):
    """The client's door to the network, which counts what goes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, bool, int]] = []

    def __call__(self, outgoing: Outgoing) -> Answer | Failure:
        """Send it, and remember method, path, whether it was compressed, and its size."""
        zipped = any(name.lower() == "content-encoding" and "gzip" in value for name, value in outgoing.headers.items())
        self.sent.append((outgoing.method, urlsplit(outgoing.url).path, zipped, len(outgoing.body or b"")))
        return super().__call__(outgoing)


def finished_batch(client: Client, count: int) -> tuple[str, list[str]]:
    """A batch with so many jobs that are done, and their ids in order."""
    import pulser

    sequence = pulser.Sequence(pulser.Register({"q0": (0, 0)}), pulser.MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    omega = sequence.declare_variable("omega")
    sequence.add(pulser.Pulse.ConstantPulse(16, omega, 0, 0), "ising")
    jobs = [JobRequest(runs=10, variables={"omega": 1 + k / count}) for k in range(count)]
    request = BatchRequest(
        sequence_builder=str(sequence.to_abstract_repr()),
        jobs=jobs,
        open=False,
        device_type="EMU_FREE",
        configuration={"engine": "qutip"},
    )
    batch = client.create_batch(request)
    while client.batch_status(batch.id).status != "DONE":
        time.sleep(0.5)
    return batch.id, [job.id for job in client.list_jobs(batch.id)]


def ours_s(client: Client, ids: Sequence[str]) -> float:
    """Seconds to have the results of these jobs."""
    begun = time.perf_counter()
    found = sum(1 for _ in client.results(ids))
    elapsed_s = time.perf_counter() - begun
    assert found == len(ids)
    return elapsed_s


def sdk_s(line: Mapping[str, Any], batch_id: str, count: int) -> float:
    """Seconds of the SDK's loop over `job.result`; its login and its list of jobs are not counted."""
    from pasqal_cloud.endpoints import Endpoints, TokenProviderConf
    from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient

    sdk = PasqalCloudClient(
        username=line["username"],
        password=line["password"],
        project_id=line["project_id"],
        endpoints=Endpoints(core=line["core"], account=line["account"]),
        auth_config=TokenProviderConf(
            token_endpoint=line["token_url"],
            public_client_id="cloud-sdk",
            audience="https://apis.pasqal.cloud/account/api/v1",
            realm="pcs-users",
            grant_type="http://auth0.com/oauth/grant-type/password-realm",
        ),
    )
    jobs = sdk.get_batch(batch_id).ordered_jobs[:count]
    begun = time.perf_counter()
    assert all(job.result for job in jobs)
    return time.perf_counter() - begun


def floor_s(line: Mapping[str, Any], token: str, ids: Sequence[str]) -> float:
    """Seconds of two requests a job over 32 bare connections, which nothing else does faster with so many."""
    host, path = urlsplit(line["core"]).netloc, urlsplit(line["core"]).path
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for one in ids:
        waiting.put(one)

    def work() -> None:
        connection = http.client.HTTPConnection(host)
        connection.connect()
        while True:
            try:
                job_id = waiting.get_nowait()
            except queue.Empty:
                return connection.close()
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", f"{path}/api/v1/jobs/{job_id}/results_link", headers=headers)
            link = urlsplit(json.loads(connection.getresponse().read())["data"]["results_link"])
            connection.request("GET", f"{link.path}?{link.query}")
            connection.getresponse().read()

    begun = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def token_of(line: Mapping[str, Any]) -> str:
    """A token from the twin."""
    import requests

    form = {
        "grant_type": "http://auth0.com/oauth/grant-type/password-realm",
        "realm": "pcs-users",
        "client_id": "benchmark",
        "audience": "https://apis.pasqal.cloud/account/api/v1",
        "username": line["username"],
        "password": line["password"],
    }
    return str(requests.post(line["token_url"], data=form, timeout=30).json()["access_token"])


def fetch_rows(line: Mapping[str, Any], client: Client, batch_id: str, ids: Sequence[str], rounds: int) -> list[tuple[str, ...]]:
    """Ours against the SDK and against the floor, on the same jobs."""
    token = token_of(line)
    measured = in_rounds(
        {
            "sdk": lambda: sdk_s(line, batch_id, len(ids)),
            "ours": lambda: ours_s(client, ids),
            "floor": lambda: floor_s(line, token, ids),
        },
        rounds,
    )
    sdk, ours, floor = measured["sdk"], measured["ours"], measured["floor"]
    return [
        (f"{len(ids)}, SDK / ours", sdk.text(), ours.text(), sdk.over(ours).text(1), ">= 20"),
        (f"{len(ids)}, ours / floor", floor.text(), ours.text(), ours.over(floor).text(), "<= 1.5"),
    ]


def sent_by_run(jobs: int, *, detach: bool) -> tuple[list[tuple[str, str, bool, int]], float]:
    """Requests of a run of so many jobs and its seconds; with `detach` it ends when all were sent, and is cancelled."""
    import pcs_runner
    from pcs_runner.pcs import access
    from pcs_runner.run.execute import start

    wire = CountingWire()
    with tempfile.TemporaryDirectory() as name:
        spec = Path(name, "cloud.yaml")
        spec.write_text(SPEC.replace("JOBS", str(jobs)), encoding="utf-8")
        plan = pcs_runner.plan(spec, "cloud", check=False)
        client = Client(access.find_access("fr", os.environ, wire), send=wire)
        begun = time.perf_counter()
        run = start(plan, output=Path(name, "run"), new=True, detach=detach, client_factory=lambda *_: client)
        elapsed_s = time.perf_counter() - begun
        sent = list(wire.sent)
        if detach:
            with Client.from_environment() as other:
                assert other.get_batch(run.batch_ids[0]).jobs_count == jobs
                other.cancel_batch(run.batch_ids[0])
        else:
            assert (run.counts, run.exit_code) == ({"DONE": jobs}, 0)
    return sent, elapsed_s


def run_rows(sending: int, following: int) -> list[tuple[str, str, str]]:
    """What a run sends: to submit its jobs, and to follow them to the end."""
    sent, sending_s = sent_by_run(sending, detach=True)
    posts = [one for one in sent if one[0] == "POST" and "/api/v" in one[1]]
    big = [one for one in posts if one[3] > 100]
    followed, following_s = sent_by_run(following, detach=False)
    kinds = Counter(path.rpartition("/")[2] for method, path, _, _ in followed if method == "GET" and "/api/v" in path)
    return [
        (f"submitting {sending} jobs: POSTs", str(len(posts)), "<= 101"),
        ("of them gzipped", f"{sum(one[2] for one in big)} of {len(big)} above 100 bytes", "all"),
        ("largest body, bytes as sent", str(max(one[3] for one in posts)), ""),
        ("seconds until all are acknowledged", f"{sending_s:.1f}", ""),
        (f"following {following} jobs: status requests", str(kinds["status"]), ""),
        ("pages of jobs", str(kinds["jobs"]), f"about {following} / 100 plus one a look"),
        ("results links", str(kinds["results_link"]), str(following)),
        ("seconds of the whole run", f"{following_s:.1f}", ""),
    ]


def memory_mb(ids: Sequence[str]) -> float:
    """Peak resident memory of a fresh process that reads these results, in MB."""
    done = subprocess.run([sys.executable, "-c", READER], input=" ".join(ids), capture_output=True, text=True, check=True)
    peak, shots = done.stdout.split()
    assert int(shots) == 10 * len(ids)
    return float(peak)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--followed", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, serving() as line:
        use(line)
        os.environ.update(XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home, PASQAL_CONFIG_ROOT=home)
        title = f"{machine()}, latency {LATENCY_MS} ms, {options.rounds} rounds, min / median / max"
        with Client.from_environment() as client:
            batch_id, ids = finished_batch(client, options.results)
            head = ("results", "peer, s", "ours, s", "ratio", "goal")
            print_table(f"Results: {title}", head, fetch_rows(line, client, batch_id, ids, options.rounds))
        few, many = (Spread((memory_mb(part),)) for part in (ids, ids * 10))
        rows = [(str(len(ids)), f"{few.median:.1f}"), (str(10 * len(ids)), f"{many.median:.1f}")]
        print_table(f"Memory of reading: {title}", ("results", "peak, MB"), rows)
        rows3 = run_rows(options.jobs, options.followed)
        print_table(f"A run over HTTP: {title}", ("what", "how many", "goal"), rows3)


if __name__ == "__main__":
    main()
