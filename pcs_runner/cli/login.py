"""`pcs-run login`: who you are on Pasqal Cloud, tried out, and kept in the keyring; secrets are typed, never arguments."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.devices import region as region_option
from pcs_runner.cli.session import Session, bullets, command_line
from pcs_runner.cli.text import printable
from pcs_runner.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.pcs.credentials import Credentials
    from pcs_runner.pcs.endpoints import Endpoints
    from pcs_runner.pcs.reading import Project


@click.command("login", short_help="Log in to Pasqal Cloud and keep it.")
@region_option
@click.option("--token-command", metavar="COMMAND", help="A command that prints a token, instead of a password; no shell.")
@options.verbosity
@click.pass_obj
def command(session: Session, region: str, token_command: str | None) -> int:
    """Ask for user name, password and project, log in with them, and keep them.

    The password goes into the system's keyring when there is one (`pip install 'pcs-runner[keyring]'`); without one only the
    token is kept, readable to you alone, until it expires.
    """
    from pcs_runner.pcs import credentials, endpoints

    session.next_command = command_line("login")
    where = endpoints.from_environment(region, os.environ, own_token=token_command is not None)
    account = credentials.keyring_account(where)
    typed = _typed(where, token_command)
    found = _tried(session, typed, region)
    credentials.store_login(credentials.login_file(), account, found)
    _keep_password(session, account, found)
    session.out(
        printable(f"logged in{f' as {found.username}' if found.username else ''}, project {found.project_id or 'not set'}")
    )
    return 0


def _typed(where: Endpoints, token_command: str | None) -> Credentials:
    """What the user types; the environment's values are offered.

    Raises:
        UsageError: There is no terminal to ask on.
    """
    from pcs_runner.pcs import credentials
    from pcs_runner.pcs.endpoints import host_of

    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on",
            hint=f"In a script set {credentials.USERNAME}, {credentials.PASSWORD} and {credentials.PROJECT}; they need no login.",
        )
    username = password = None
    if token_command is None:
        assert where.token is not None
        click.echo(f"Logging in at {host_of(where.token.url)}", err=True)
        username = click.prompt("User name (e-mail)", default=os.environ.get(credentials.USERNAME), err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    project = click.prompt("Project id (empty: not now)", default=os.environ.get(credentials.PROJECT, ""), err=True).strip()
    return credentials.Credentials(
        username=username, password=password, command=token_command, project_id=project or None, source="what you typed"
    )


def _tried(session: Session, typed: Credentials, region: str) -> Credentials:
    """The credentials, when a token can be had with them and the project is one of the user's.

    Raises:
        AuthError: No token.
        UsageError: The project is not the user's.
    """
    from pcs_runner.pcs import access, tokens
    from pcs_runner.pcs.client import Client, Wire

    wire = Wire()
    where = access.access_with(typed, region, os.environ, wire, tokens=tokens.default_folder())
    with Client(where, send=wire) as client:
        where.bearer.fresh()
        try:
            projects = client.projects()
        except ServiceError as error:
            session.say(printable(f"your projects are not known: {error.message}"))
            return typed
    _show(session, projects)
    if typed.project_id and projects and typed.project_id not in {project.id for project in projects}:
        raise UsageError(f"{printable(typed.project_id)} is not one of your active projects", hint=command_line("login"))
    return typed


def _show(session: Session, projects: Sequence[Project]) -> None:
    if projects:
        session.say("your active projects:", *bullets(printable(f"{one.id}  {one.name}") for one in projects))
    else:
        session.say("you have no active project")


def _keep_password(session: Session, account: str, found: Credentials) -> None:
    from pcs_runner.pcs import credentials

    if not found.username or not found.password:
        return
    try:
        credentials.store_in_keyring(account, found.username, found.password)
    except credentials.KeyringError as error:
        session.say(
            f"the password is not kept: {printable(str(error))}",
            f"until the token expires you stay logged in; after that log in again, or set {credentials.PASSWORD}",
        )
