"""Who the user is: looked up as an option, in the environment, in `~/.pasqal/config` and in the keyring, in this order."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from pcs_runner.errors import UsageError
from pcs_runner.pcs.tokens import read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pcs_runner.pcs.endpoints import Endpoints

USERNAME, PASSWORD, PROJECT, TOKEN = "PASQAL_USERNAME", "PASQAL_PASSWORD", "PASQAL_PROJECT_ID", "PASQAL_AUTH_TOKEN"
COMMAND = "PCS_RUNNER_TOKEN_COMMAND"
OVH_TOKEN = "PASQAL_PULSER_ACCESS_TOKEN"  # noqa: S105  a name

KEYRING_SERVICE = "pcs-runner"
LONGEST_FILE = 100_000
"""Bytes of the configuration file that are read."""


class CredentialsError(UsageError):
    """Nobody said who the user is, or which project pays; nothing was sent."""


class KeyringError(Exception):
    """There is no keyring, or it does not open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What one source says, or all of them together. The text of this object shows no secret.

    Attributes:
        username: Of the account.
        password: Of the account.
        token: A bearer token, used as it is.
        command: Prints a bearer token.
        project_id: The project that pays.
        source: Where the token, the command or the password comes from, for messages.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    command: str | None = field(default=None, repr=False)
    project_id: str | None = None
    source: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether a token can be had with them."""
        return bool(self.token or self.command or (self.username and self.password))


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """What the environment says; empty variables are as good as unset."""
    token, command = environ.get(TOKEN), environ.get(COMMAND)
    return Credentials(
        username=environ.get(USERNAME) or None,
        password=environ.get(PASSWORD) or None,
        token=token or None,
        command=command or None,
        project_id=environ.get(PROJECT) or None,
        source=TOKEN if token else COMMAND if command else "the environment",
    )


def config_file(environ: Mapping[str, str]) -> Path:
    """`~/.pasqal/config`, or below `PASQAL_CONFIG_ROOT` as QRMI has it."""
    root = environ.get("PASQAL_CONFIG_ROOT")
    return (Path(root).expanduser() if root else Path.home()) / ".pasqal" / "config"


def from_file(path: Path) -> Credentials:
    """What a file of `key = value` lines says (QRMI's and CUDA-Q's format): `username password token project_id`.

    Sections, comments and other keys are passed over, addresses too: those come from the region or the environment.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(LONGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return Credentials()
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";", "[")):
            values[key.strip().lower()] = _unquoted(value.strip())
    return Credentials(
        username=values.get("username") or None,
        password=values.get("password") or None,
        token=values.get("token") or None,
        project_id=values.get("project_id") or None,
        source=str(path),
    )


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def keyring_account(endpoints: Endpoints) -> str:
    """Under which name the keyring keeps what belongs to these services."""
    return endpoints.token.url if endpoints.token is not None else endpoints.core


def from_keyring(account: str) -> Credentials:
    """The name and password that `pcs-run login` put into the keyring; nothing when there is no keyring."""
    try:
        content = _keyring().get_password(KEYRING_SERVICE, account)
        body = json.loads(content) if content else {}
        return Credentials(username=str(body["username"]), password=str(body["password"]), source="the keyring")
    except Exception:  # noqa: BLE001  a backend raises what it likes; without it there are other sources
        return Credentials()


def login_file() -> Path:
    """Where `pcs-run login` keeps what is no secret (name, project, token command)."""
    return Path(platformdirs.user_config_dir("pcs-runner", appauthor=False)) / "login.json"


def from_login(path: Path, account: str) -> Credentials:
    """What `pcs-run login` wrote down for these services; nothing when it did not."""
    body = _logins(path).get(account)
    names = ("username", "command", "project_id")
    known = {name: body[name] for name in names if isinstance(body.get(name), str)} if isinstance(body, dict) else {}
    return Credentials(**known, source="`pcs-run login`")


def store_login(path: Path, account: str, credentials: Credentials | None) -> None:
    """Write down name, token command and project for these services, or (None) forget them. No password, no token.

    Raises:
        OSError: The file cannot be written.
    """
    logins = _logins(path)
    if credentials is None:
        logins.pop(account, None)
    else:
        body = {"username": credentials.username, "command": credentials.command, "project_id": credentials.project_id}
        logins[account] = {name: value for name, value in body.items() if value}
    if logins or path.exists():
        write_private(path, json.dumps(logins, indent=1).encode())


def _logins(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(read_private(path))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def store_in_keyring(account: str, username: str, password: str) -> None:
    """Keep a name and a password.

    Raises:
        KeyringError: There is no keyring, or it refuses.
    """
    keyring, failure = _keyring(), ""
    try:
        keyring.set_password(KEYRING_SERVICE, account, json.dumps({"username": username, "password": password}))
    except Exception as error:  # noqa: BLE001  a backend raises what it likes, and its text may hold the secret
        failure = type(error).__name__
    if failure:
        raise KeyringError(f"the keyring refuses ({failure})")


def forget_in_keyring(account: str) -> bool:
    """Remove what `pcs-run login` stored; whether there was something."""
    with contextlib.suppress(Exception):  # no keyring, or nothing in it
        _keyring().delete_password(KEYRING_SERVICE, account)
        return True
    return False


def _keyring() -> Any:
    """The keyring module with a backend that keeps things.

    Raises:
        KeyringError: It is not installed, or has no backend.
    """
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        raise KeyringError("the package keyring is not installed (`pip install 'pcs-runner[keyring]'`)") from None
    if isinstance(keyring.get_keyring(), (fail.Keyring, null.Keyring)):
        raise KeyringError("this machine has no keyring that can be used")
    return keyring


def find(
    *,
    option: Credentials,
    environ: Mapping[str, str],
    endpoints_of: Callable[[bool], Endpoints],
) -> Credentials:
    """Who the user is. The first source that has a token, a command or a name counts; what it lacks comes from later ones.

    A password is only taken from a source that names the same user or none. What belongs to the provider's own services (the
    file) is not used when another token service is set, and the keyring keeps one entry for each token service.

    Args:
        option: What the caller says.
        environ: The user's environment.
        endpoints_of: Gives the services; told whether a token is there already; may refuse.

    Raises:
        UsageError: `endpoints_of` refuses.
    """
    first = [option, from_environment(environ)]
    endpoints = endpoints_of(any(source.token or source.command for source in first))
    return merged(_sources(first, environ, endpoints))


def _sources(first: Iterable[Credentials], environ: Mapping[str, str], endpoints: Endpoints) -> Iterable[Credentials]:
    """The sources in order; the keyring is opened only when it is needed."""
    yield from first
    if endpoints.official and endpoints.official_token:
        yield from_file(config_file(environ))
    yield from_login(login_file(), keyring_account(endpoints))
    yield from_keyring(keyring_account(endpoints))


def merged(sources: Iterable[Credentials]) -> Credentials:
    """One set of credentials out of several, in their order; reads no further than it must."""
    username = password = token = command = project_id = None
    source = ""
    for one in sources:
        project_id = project_id or one.project_id
        if not (token or command):
            username = username or one.username
            if not password and one.username in (None, username):
                token, command, password = one.token, None if one.token else one.command, one.password
                source = one.source if token or command or password else source
        if project_id and (token or command or (username and password)):
            break
    return Credentials(
        username=username,
        password=None if token or command else password,
        token=token,
        command=command,
        project_id=project_id,
        source=source,
    )
