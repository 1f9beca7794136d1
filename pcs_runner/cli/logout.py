"""`pcs-run logout`: forget passwords, tokens and who was logged in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.text import plural

if TYPE_CHECKING:
    from pcs_runner.cli.session import Session


@click.command("logout", short_help="Forget passwords and tokens.")
@options.verbosity
@click.pass_obj
def command(session: Session) -> int:
    """Remove every token that is kept, and what `login` put into the keyring, for all regions."""
    from pcs_runner.pcs import credentials, endpoints, tokens

    count = tokens.forget_all(tokens.default_folder())
    places = [
        *endpoints.REGIONS.values(),
        *(endpoints.from_environment(one, os.environ, own_token=True) for one in endpoints.REGIONS),
    ]
    accounts = {credentials.keyring_account(where) for where in places}
    passwords = sum(credentials.forget_in_keyring(account) for account in sorted(accounts))
    credentials.login_file().unlink(missing_ok=True)
    session.out(f"forgot {plural(count, 'token')} and {plural(passwords, 'password')}")
    left = [name for name in (credentials.PASSWORD, credentials.TOKEN) if os.environ.get(name)]
    if left:
        session.say(f"{' and '.join(left)} in your environment {'are' if len(left) > 1 else 'is'} still used")
    return 0
