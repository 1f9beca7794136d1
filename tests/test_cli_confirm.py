"""QPU time is not spent without a yes."""

from __future__ import annotations

import pytest

from pcs_runner.cli.confirm import confirm_qpu, spends
from pcs_runner.cli.session import Session
from pcs_runner.errors import UsageError


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"backend": "local", "batch": {"device_type": "FRESNEL"}}, False),
        ({"backend": "pcs", "batch": {"device_type": "EMU_MPS"}}, False),
        ({"backend": "pcs", "batch": {"device_type": None}}, False),
        ({"backend": "pcs"}, False),
        ({"backend": "pcs", "batch": {"device_type": "FRESNEL_CAN1"}}, True),
    ],
)
def test_only_real_devices_spend(target: dict[str, object], expected: bool) -> None:
    assert spends(target) is expected


def test_yes_is_yes() -> None:
    confirm_qpu(Session(), what="2 jobs", device_type="FRESNEL", yes=True)


def test_without_a_terminal_it_is_refused() -> None:
    session = Session(arguments=("a b.yaml", "-t", "qpu"))
    with pytest.raises(UsageError) as refused:
        confirm_qpu(session, what="2 jobs", device_type="FRESNEL", yes=False)
    assert refused.value.message == "Send 2 jobs to FRESNEL, a real device? There is no terminal to ask on, and nothing was sent"
    assert refused.value.hint == "pcs-run 'a b.yaml' -t qpu --yes"
