"""A client of the cloud pointed at a loopback server, with time that only passes when somebody sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from loopback import Loopback, as_json
from pcs_runner.pcs.access import Access
from pcs_runner.pcs.auth import Bearer, static_origin
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.client import Client
from pcs_runner.pcs.effects import Effects
from pcs_runner.pcs.endpoints import Endpoints

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "token-that-nobody-may-see"
PASSWORD = "password-that-nobody-may-see"
BATCH = {
    "id": "b-1",
    "status": "PENDING",
    "open": True,
    "jobs_count": 0,
    "tags": ["t"],
    "project_id": "p-1",
    "created_at": "2026-11-01T10:00:00Z",
}


@dataclass
class Time:
    """A clock for tests.

    Attributes:
        slept: Every wait, in seconds.
    """

    moment: datetime = datetime(2026, 11, 1, 12, tzinfo=UTC)
    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass without anybody sleeping."""
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)

    @property
    def effects(self) -> Effects:
        """The clock as the client takes it; chance is always 1, so that pauses are 0.5, 1, 2, 4, 8 s."""
        return Effects(now=lambda: self.moment, monotonic=lambda: self.seconds, sleep=self.sleep, chance=lambda: 1.0)


def endpoints(server: Loopback | str) -> Endpoints:
    """All services on one server."""
    url = server if isinstance(server, str) else server.url
    return Endpoints(
        core=f"{url}/core", account=f"{url}/account", billing=f"{url}/billing", token=None, official=False, official_token=False
    )


def client(server: Loopback | str, time: Time | None = None, *, limits: Limits | None = None, **options: Any) -> Client:
    """A client with a static token."""
    effects = (time or Time()).effects
    access = Access(
        endpoints=endpoints(server), bearer=Bearer(static_origin(TOKEN, "the test"), effects=effects), project_id="p-1"
    )
    return Client(access, effects=effects, limits=limits, **options)


def environment(server: Loopback, home: Path, **more: str) -> dict[str, str]:
    """The environment of a user who works with a server on this machine."""
    return {
        "PCS_RUNNER_CORE_URL": f"{server.url}/core",
        "PCS_RUNNER_ACCOUNT_URL": f"{server.url}/account",
        "PCS_RUNNER_BILLING_URL": f"{server.url}/billing",
        "PCS_RUNNER_TOKEN_URL": f"{server.url}/token",
        "PASQAL_USERNAME": "ada@example.com",
        "PASQAL_PASSWORD": PASSWORD,
        "PASQAL_PROJECT_ID": "p-1",
        "PASQAL_CONFIG_ROOT": str(home),
        **more,
    }


def token_reply(value: str = TOKEN, expires_in: float = 3600) -> Any:
    """What a token service answers."""
    return as_json({"access_token": value, "expires_in": expires_in, "token_type": "Bearer"})
