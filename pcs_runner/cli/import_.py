"""`pcs-run import FILE`: a Pulser sequence in abstract representation as a readable spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.files import STREAM, check_new, read_bytes, write_new
from pcs_runner.cli.init import schema_for
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from pcs_runner.plan.importing import Imported


@click.command("import", short_help="Turn a Pulser sequence into a spec.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="SPEC", help="Write the spec there; default: stdout.")
@options.verbosity
@click.pass_obj
def command(session: Session, file: Path, output: Path | None) -> int:
    """Print the spec of a sequence that `Sequence.to_abstract_repr()` wrote to FILE (`-`: stdin), built or parametrised.

    The spec compiles to the same sequence, which is checked. Nothing is overwritten. A device that Pulser does not know by
    name is written in full; with -o into a file beside the spec.
    """
    from pcs_runner.plan.importing import import_sequence
    from pcs_runner.sequence.importing.source import MAX_BYTES

    session.next_command = command_line("import", "--help")
    if output is not None:
        check_new(output)
    name = "stdin" if file == STREAM else str(file)
    device_file = None if output is None else f"{output.name.split('.', 1)[0]}.device.json"
    made = import_sequence(read_bytes(file, MAX_BYTES + 1), name, device_file=device_file)
    for note in made.notes:
        session.say(printable(f"note: {note}"))
    if output is None:
        session.out(_with_modeline(made, _published_schema()).rstrip("\n"))
    else:
        _write(session, output, made, device_file or "")
    return 0


def _write(session: Session, output: Path, made: Imported, device_file: str) -> None:
    """Write the spec, and the device where it has a file of its own."""
    if made.device is not None:
        device = output.with_name(device_file)
        if not device.exists():
            write_new(device, made.device)
            session.say(f"wrote {printable(str(device))}")
        elif device.read_text(encoding="utf-8") != made.device:
            raise UsageError(
                f"{printable(str(device))} holds another device, and nothing is overwritten", hint="Choose another file with -o."
            )
    write_new(output, _with_modeline(made, schema_for(session, output.parent)))
    session.say(f"wrote {printable(str(output))}", f"next: {command_line('validate', output)}")


def _with_modeline(made: Imported, schema: str) -> str:
    return f"# yaml-language-server: $schema={schema}\n{made.text}"


def _published_schema() -> str:
    """Where the schema is found from anywhere."""
    from pcs_runner.spec.schema import schema_text

    return str(json.loads(schema_text())["$id"])
