"""`pcs-run schema`: the JSON Schema of the spec language."""

from __future__ import annotations

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session


@click.command("schema", short_help="Print the JSON Schema of the spec language.")
@options.verbosity
@click.pass_obj
def command(session: Session) -> int:
    """Print the JSON Schema (draft 2020-12) of the spec language."""
    from pcs_runner.spec.schema import schema_text

    session.out(schema_text().rstrip("\n"))
    return 0
