"""The vendor's SDK and Pulser's remote backends, unchanged, with the twin in the place of the cloud."""

from __future__ import annotations

import json
import uuid
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from twin_sequences import PI_OMEGA, built_rabi, long, rabi
from twin_server import TwinServer, serving

pasqal_cloud = pytest.importorskip("pasqal_cloud")

from pasqal_cloud import PasqalCloudConnection, RemoteEmuFreeBackend, RemoteMPSBackend, RemoteSVBackend  # noqa: E402
from pasqal_cloud.device.device_types import DeviceTypeName  # noqa: E402
from pasqal_cloud.endpoints import Endpoints, TokenProviderConf  # noqa: E402
from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient  # noqa: E402
from pasqal_cloud.utils import polling  # noqa: E402
from pasqal_cloud.utils.constants import BatchStatus, JobStatus  # noqa: E402
from pasqal_cloud.utils.filters import (  # noqa: E402
    BatchFilters,
    CancelJobFilters,
    JobFilters,
    PaginationParams,
    RebatchFilters,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1") as twin:
        yield twin


@pytest.fixture(autouse=True)
def quick_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK waits 2 s before it looks again; here 0.1 s do."""
    monkeypatch.setattr(polling, "POLL_WAIT_INITIAL_SECONDS", 0.1)


def settings(server: TwinServer, *, keycloak: bool = False, **changes: Any) -> dict[str, Any]:
    """What anyone's code has to say to reach the twin."""
    path = "/realms/pasqal-cloud/protocol/openid-connect/token"
    return {
        "username": server.line["username"],
        "password": server.line["password"],
        "project_id": server.line["project_id"],
        "endpoints": Endpoints(core=server.line["core"], account=server.line["account"]),
        "auth_config": TokenProviderConf(
            token_endpoint=server.root + path if keycloak else server.line["token_url"],
            public_client_id="cloud-sdk",
            audience="https://apis.pasqal.cloud/account/api/v1",
            realm="pcs-users",
            grant_type="password" if keycloak else "http://auth0.com/oauth/grant-type/password-realm",
        ),
        **changes,
    }


@pytest.fixture
def sdk(server: TwinServer) -> Any:
    return PasqalCloudClient(**settings(server))


def jobs(*omegas: float, runs: int = 20) -> list[Any]:
    return [{"runs": runs, "variables": {"omega": omega}} for omega in omegas]


def test_a_closed_batch_runs_and_its_results_can_be_read(sdk: Any) -> None:
    batch = sdk.create_batch(rabi(), jobs(0.0, PI_OMEGA), device_type=DeviceTypeName.EMU_FREE, wait=True)
    batch.refresh()
    assert (batch.status, batch.open, batch.jobs_count) == ("DONE", False, 2)
    assert [job.result for job in batch.ordered_jobs] == [{"0": 20}, {"1": 20}]
    full = batch.ordered_jobs[1].full_result
    assert full["raw"] == ["1"] * 20
    assert json.loads(full["serialised_results"])["atom_order"] == ["q0"]
    assert batch.sequence_builder == rabi()


def test_an_open_batch_takes_jobs_until_it_is_closed(sdk: Any) -> None:
    batch = sdk.create_batch(rabi(), [], open=True, device_type=DeviceTypeName.EMU_FREE)
    assert (batch.open, batch.ordered_jobs) == (True, [])
    batch.add_jobs(jobs(0.0))
    batch.add_jobs(jobs(PI_OMEGA), wait=True)
    assert [job.status for job in batch.ordered_jobs] == ["DONE", "DONE"]
    batch.retry(batch.ordered_jobs[1])
    batch.close(wait=True)
    assert (batch.open, batch.status) == (False, "DONE")
    assert [job.result for job in batch.ordered_jobs] == [{"0": 20}, {"1": 20}, {"1": 20}]
    with pytest.raises(BaseException, match="takes no more jobs"):
        batch.add_jobs(jobs(0.0))


def test_jobs_may_have_their_own_sequences(sdk: Any) -> None:
    own = [{"runs": 5, "serialized_sequence": built_rabi(0.0)}, {"runs": 5, "serialized_sequence": built_rabi()}]
    batch = sdk.create_batch(None, own, device_type=DeviceTypeName.EMU_FREE, wait=True)
    assert [job.result for job in batch.ordered_jobs] == [{"0": 5}, {"1": 5}]
    assert [job.sequence for job in batch.ordered_jobs] == [built_rabi(0.0), built_rabi()]
    assert sdk.get_batch(batch.id).sequence_builder is None


def test_statuses_and_single_jobs(sdk: Any) -> None:
    batch = sdk.create_batch(rabi(), jobs(PI_OMEGA), device_type=DeviceTypeName.EMU_FREE, wait=True)
    job = sdk.get_job(batch.ordered_jobs[0].id, wait=True)
    assert (job.batch_id, job.variables, job.result) == (batch.id, {"omega": PI_OMEGA}, {"1": 20})
    assert sdk.get_batch_status(batch.id) is BatchStatus.DONE
    assert sdk.get_job_status(job.id) is JobStatus.DONE


def test_batches_are_found_by_filters(sdk: Any) -> None:
    tag = f"tag-{uuid.uuid4()}"
    batches = [
        sdk.create_batch(rabi(), jobs(0.0), device_type=DeviceTypeName.EMU_FREE, tags=[tag, f"n{n}"], open=n == 2)
        for n in range(3)
    ]
    page = sdk.get_batches(BatchFilters(tag=tag), PaginationParams(limit=2))
    assert (page.total, [batch.id for batch in page.results]) == (3, [batches[2].id, batches[1].id])
    page = sdk.get_batches(BatchFilters(tag=tag), PaginationParams(limit=2, offset=2))
    assert [batch.id for batch in page.results] == [batches[0].id]
    assert page.results[0].sequence_builder == rabi()
    ids = [batch.id for batch in batches[:2]]
    assert sdk.get_batches(BatchFilters(id=ids)).total == 2
    assert sdk.get_batches(BatchFilters(id=ids, status=BatchStatus.TIMED_OUT)).total == 0
    assert sdk.get_batches(BatchFilters(tag=tag, open=True)).results[0].id == batches[2].id
    assert sdk.get_batches(BatchFilters(tag=tag, device_type="EMU_MPS")).total == 0
    assert sdk.get_batches(BatchFilters(tag=tag, user_id=["nobody"])).total == 0
    assert sdk.get_batches(BatchFilters(tag=tag, start_date=batches[1].created_at)).total == 2
    sdk.set_batch_tags(batches[0].id, ["other"])
    assert sdk.get_batches(BatchFilters(tag=tag)).total == 2
    batches[1].set_tags([])
    assert batches[1].tags == []
    batches[2].close()


def test_jobs_are_found_by_filters(sdk: Any) -> None:
    batch = sdk.create_batch(rabi(), [*jobs(0.0, runs=5), *jobs(0.1, runs=50)], device_type=DeviceTypeName.EMU_FREE, wait=True)
    found = sdk.get_jobs(JobFilters(batch_id=batch.id))
    assert (found.total, [job.runs for job in found.results]) == (2, [50, 5])
    assert [job.runs for job in sdk.get_jobs(JobFilters(batch_id=batch.id, min_runs=10)).results] == [50]
    assert [job.runs for job in sdk.get_jobs(JobFilters(batch_id=batch.id, max_runs=10)).results] == [5]
    assert sdk.get_jobs(JobFilters(batch_id=batch.id, status=[JobStatus.PENDING, JobStatus.ERROR])).total == 0
    assert sdk.get_jobs(JobFilters(batch_id=batch.id, errors=False)).total == 2
    assert sdk.get_jobs(JobFilters(id=found.results[0].id, batch_id=str(uuid.uuid4()))).total == 0


def test_more_than_a_page_of_jobs_comes_in_order(sdk: Any) -> None:
    batch = sdk.create_batch(rabi(), [{"runs": n + 1, "variables": {"omega": 0.0}} for n in range(205)], open=True)
    assert [job.runs for job in batch.ordered_jobs] == list(range(1, 206))
    batch.cancel()


def test_cancelling(sdk: Any) -> None:
    device = DeviceTypeName.EMU_FREE
    first = sdk.create_batch(long(), [{"runs": 1}], device_type=device)
    second = sdk.create_batch(rabi(), [*jobs(0.0, runs=5), *jobs(0.0, 0.1, runs=50)], device_type=device, open=True)
    third = sdk.create_batch(long(), [{"runs": 1}], device_type=device)
    outcome = sdk.cancel_jobs(second.id, CancelJobFilters(min_runs=10))
    assert sorted(job.runs for job in outcome.jobs) == [50, 50]
    assert {job.status for job in outcome.jobs} == {"CANCELED"}
    again = sdk.cancel_jobs(second.id, CancelJobFilters(id=[job.id for job in outcome.jobs]))
    assert (again.jobs, len(again.errors)) == ([], 2)
    group = sdk.cancel_batches([first.id, third.id, str(uuid.uuid4())])
    assert {batch.id: batch.status for batch in group.batches} == {first.id: "CANCELED", third.id: "CANCELED"}
    assert len(group.errors) == 1
    second.cancel()
    assert second.status == "CANCELED"
    with pytest.raises(BaseException, match="only a PENDING job"):
        sdk.cancel_job(outcome.jobs[0].id)


def test_a_pending_job_is_cancelled_by_id(sdk: Any) -> None:
    batch = sdk.create_batch(long(), [{"runs": 1}, {"runs": 2}], device_type=DeviceTypeName.EMU_FREE)
    job = batch.ordered_jobs[1]
    assert job.cancel()["status"] == "CANCELED"
    assert sdk.cancel_batch(batch.id).status == "CANCELED"


def test_rebatch_repeats_the_jobs_that_filters_find(sdk: Any) -> None:
    batch = sdk.create_batch(
        rabi(), [*jobs(0.0, runs=5), *jobs(PI_OMEGA, runs=50)], device_type=DeviceTypeName.EMU_FREE, wait=True
    )
    copy = sdk.rebatch(batch.id, RebatchFilters(min_runs=10, status=JobStatus.DONE))
    assert (copy.parent_id, copy.open, copy.jobs_count) == (batch.id, False, 1)
    job = sdk.get_job(copy.ordered_jobs[0].id, wait=True)
    assert (job.parent_id, job.runs, job.result) == (batch.ordered_jobs[1].id, 50, {"1": 50})
    with pytest.raises(BaseException, match="no such jobs"):
        sdk.rebatch(batch.id, RebatchFilters(max_runs=1))


def test_projects_and_devices(sdk: Any, server: TwinServer) -> None:
    assert [project.id for project in sdk.get_all_projects()] == [server.line["project_id"]]
    assert sdk.switch_to_project(server.line["project_id"]) == server.line["project_id"]
    specs = sdk.get_device_specs_dict()
    assert {"AnalogDevice", "MockDevice", "FRESNEL", "FRESNEL_CAN1"} <= set(specs)
    public = PasqalCloudClient(endpoints=settings(server)["endpoints"])
    assert json.loads(public.get_device_specs_dict()["FRESNEL_CAN1"])["max_runs"] == 1000


def test_refusals_reach_the_user_of_the_sdk(sdk: Any, server: TwinServer) -> None:
    with pytest.raises(BaseException, match=r"INVALID_VARIABLES: job 0: variables omega have no value"):
        sdk.create_batch(rabi(), [{"runs": 5}], device_type=DeviceTypeName.EMU_FREE)
    with pytest.raises(BaseException, match="there is no batch"):
        sdk.get_batch(str(uuid.uuid4()))
    with pytest.raises(BaseException, match="not a member of project"):
        PasqalCloudClient(**settings(server, project_id=str(uuid.uuid4()))).create_batch(rabi(), jobs(0.0))
    with pytest.raises(BaseException, match="403: Wrong email or password"):
        PasqalCloudClient(**settings(server, password="wrong"))
    with pytest.raises(BaseException, match="401: Invalid user credentials"):
        PasqalCloudClient(**settings(server, keycloak=True, password="wrong"))


def test_keycloak(server: TwinServer) -> None:
    assert PasqalCloudClient(**settings(server, keycloak=True)).get_all_projects()


def test_the_ovh_connection(server: TwinServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulser.backend import QPUBackend

    monkeypatch.setenv("PASQAL_PULSER_ACCESS_TOKEN", server.token())
    connection = pasqal_cloud.OVHConnection(endpoints=settings(server)["endpoints"])
    sequence = analog_sequence(connection.fetch_available_devices()["FRESNEL"])
    results = QPUBackend(sequence, connection).run([{"runs": 30}], wait=True)
    assert sum(results.results[0].final_bitstrings.values()) == 30


@pytest.fixture
def connection(server: TwinServer) -> Any:
    return PasqalCloudConnection(**settings(server))


def analog_sequence(device: Any, *, variable: bool = False) -> Any:
    """One atom, a pi pulse within the limits of an analog device; 1 is excited."""
    import pulser

    register = pulser.Register({"q0": (0, 0)})
    if device.requires_layout:
        register = register.with_automatic_layout(device)
    sequence = pulser.Sequence(register, device)
    sequence.declare_channel("ising", "rydberg_global")
    omega: Any = sequence.declare_variable("omega") if variable else PI_OMEGA
    sequence.add(pulser.Pulse.ConstantPulse(500, omega, 0, 0), "ising")
    return sequence


def counts(results: Any) -> list[dict[str, int]]:
    return [dict(result.final_bitstrings) for result in results.results]


def test_pulsers_qpu_backend(connection: Any) -> None:
    from pulser.backend import QPUBackend

    devices = connection.fetch_available_devices()
    assert devices["FRESNEL"].name == "FRESNEL"
    backend = QPUBackend(analog_sequence(devices["FRESNEL"], variable=True), connection)
    parameters: list[Any] = [{"runs": 30, "variables": {"omega": omega}} for omega in (0.0, PI_OMEGA)]
    results = backend.run(parameters, wait=True)
    assert results.get_batch_status().name == "DONE"
    assert counts(results)[0] == {"0": 30}
    assert sum(counts(results)[1].values()) == 30
    assert connection.cloud_client.get_batch(results.batch_id).device_type == "FRESNEL"


def test_pulsers_bundled_devices_and_open_batches(connection: Any) -> None:
    from pulser import AnalogDevice
    from pulser.backend import QPUBackend

    backend = QPUBackend(analog_sequence(AnalogDevice), connection)
    with backend.open_batch() as batch:
        first = batch.backend.run([{"runs": 10}])
        second = batch.backend.run([{"runs": 20}], wait=True)
    assert first.batch_id == second.batch_id
    assert [sum(one.values()) for one in counts(first) + counts(second)] == [10, 20]


@pytest.mark.parametrize("backend", [RemoteEmuFreeBackend, RemoteSVBackend, RemoteMPSBackend])
def test_pulsers_remote_emulators(connection: Any, backend: Any) -> None:
    """They leave `runs` out: the config says how many bitstrings are drawn."""
    from pulser import MockDevice

    results = backend(analog_sequence(MockDevice), connection).run(wait=True)
    assert counts(results) == [{"1": 1000}]


def test_a_config_reaches_the_emulator(connection: Any) -> None:
    from pulser import MockDevice
    from pulser.backend import BitStrings, EmulationConfig, Occupation

    config: Any = EmulationConfig(observables=[BitStrings(num_shots=70), Occupation()], default_evaluation_times=(0.5, 1.0))
    backend = RemoteEmuFreeBackend(analog_sequence(MockDevice, variable=True), connection, config=config)
    results = backend.run([{"variables": {"omega": PI_OMEGA}}], wait=True).results[0]
    assert sum(Counter(results.final_bitstrings).values()) == 70
    assert [float(one[0]) for one in results.get_tagged_results()["occupation"]] == pytest.approx([0.5, 1.0], abs=1e-3)


def test_the_deprecated_names_still_work(server: TwinServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdk = pasqal_cloud.SDK(**settings(server))
        batch = sdk.create_batch(rabi(), jobs(0.0), complete=False, emulator=pasqal_cloud.EmulatorType.EMU_FREE)
        assert batch.complete is False
        batch.declare_complete()
        assert batch.complete is True
