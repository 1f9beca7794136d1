"""`pcs-run devices` prints the cloud's devices without login, and without the cloud what was pulled last."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from loopback import Loopback, as_json, data
from pcs_runner.cli import main
from pcs_runner.pcs import retries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = {
    "name": "FRESNEL",
    "max_atom_num": 25,
    "max_runs": 1000,
    "max_sequence_duration": 6000,
    "channels": [{"id": "rydberg_global"}],
}
DEVICES = [{"device_type": "FRESNEL", "specs": json.dumps(SPEC)}, {"device_type": "EMU_FREE", "specs": {"name": "\x1b[2J"}}]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(retries, "FIRST_PAUSE_S", 0.001)
    with Loopback() as loopback:
        monkeypatch.setenv("PCS_RUNNER_CORE_URL", f"{loopback.url}/core")
        loopback.on("GET", "/core/api/v1/devices/public-specs", data(DEVICES))
        yield loopback


def test_the_devices_and_their_limits_are_listed(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "list"]) == 0
    output = capsys.readouterr().out
    assert re.sub(r"[0-9a-f]{8}$", "HASH", output, flags=re.MULTILINE) == (
        "device    atoms  runs  duration_ns  hash\n"
        "EMU_FREE  -      -     -            HASH\n"
        "FRESNEL   25     1000  6000         HASH\n"
    )


def test_the_list_as_json(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "list", "--json"]) == 0
    _, fresnel = json.loads(capsys.readouterr().out)
    assert fresnel["name"] == "FRESNEL"
    assert fresnel["channels"] == ["rydberg_global"]
    assert len(fresnel["hash"]) == 64


def test_the_spec_of_a_device_is_printed(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "show", "FRESNEL"]) == 0
    assert json.loads(capsys.readouterr().out) == SPEC
    assert main(["devices", "show", "FRESNEL2"]) == 2
    assert capsys.readouterr().err == (
        "error: the cloud has no device 'FRESNEL2'; it has: EMU_FREE, FRESNEL\nnext: pcs-run devices list\n"
    )
    assert main(["devices", "show", "EMU_FREE"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_pull_says_what_changed(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "pull"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "EMU_FREE\nFRESNEL\n"
    assert captured.err == "new: EMU_FREE, FRESNEL\n2 devices kept\n"
    server.on("GET", "/core/api/v1/devices/public-specs", data([{"device_type": "FRESNEL", "specs": "{}"}]))
    assert main(["devices", "pull"]) == 0
    assert capsys.readouterr().err == "changed: FRESNEL\ngone: EMU_FREE\n1 device kept\n"


def test_without_the_cloud_what_was_pulled_is_shown_with_its_age(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "devices", "pull"][1:]) == 0
    server.on("GET", "/core/api/v1/devices/public-specs", as_json({"message": "closed"}, 503))
    capsys.readouterr()
    assert main(["devices", "list"]) == 0
    captured = capsys.readouterr()
    assert "FRESNEL" in captured.out
    assert re.fullmatch(
        r"GET /api/v1/devices/public-specs was answered with HTTP 503 6 times: closed; showing what was pulled \d\.\d s ago\n",
        captured.err,
    )


def test_without_the_cloud_and_without_a_cache_it_fails(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET", "/core/api/v1/devices/public-specs", as_json({}, 503))
    for command in (["devices", "list"], ["devices", "pull"]):
        assert main(command) == 3
        assert capsys.readouterr().err == (
            "error: GET /api/v1/devices/public-specs was answered with HTTP 503 6 times\n"
            "hint: The service has a problem; try later.\n"
            f"next: pcs-run {' '.join(command)}\n"
        )
