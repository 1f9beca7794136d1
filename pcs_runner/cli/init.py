"""`pcs-run init`: a commented spec to begin with, and the schema that editors check it against."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from pcs_runner.cli import options
from pcs_runner.cli.files import write_new
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

SCHEMA_FILE = "pcs-spec.schema.json"
_DEFAULT = "experiment"
_SUFFIXES = frozenset({".yaml", ".yml"})
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

TEMPLATE = """\
# yaml-language-server: $schema={schema}
#
# Check it:  {validate}
# Plan it:   {plan}
# Run it:    {run}
version: 1
name: {name}  # names the run folder: lower-case letters, digits, - and _
description: Rabi oscillation of one atom.

# Units are Pulser's: ns, µm, rad/µs, rad. A number may be an expression, as a string.
constants:
  omega: 2*pi*1.0  # Rabi frequency (rad/µs), 1 MHz

sequence:
  device: AnalogDevice
  register:
    from_coordinates: {{coords: [[0, 0]]}}  # one atom (µm)
    automatic_layout: true                # on traps of the device's own
  channels: {{ising: rydberg_global}}
  operations:
    # `t` is swept below; where Pulser can parametrise, it travels as a variable of one sequence.
    - {{op: pulse, duration: t, amplitude: omega, detuning: 0}}
  measurement: ground-rydberg  # 1 means Rydberg

jobs:
  runs: 200  # repetitions of each job
  sweep:
    grid:
      t: {{arange: {{start: 40, stop: 2001, step: 40}}}}  # ns; NumPy's arange: stop is not included
"""


@click.command("init", short_help="Write a commented spec to begin with.")
@click.argument("destination", metavar="[NAME|FILE]", default=_DEFAULT)
@options.verbosity
@click.pass_obj
def command(session: Session, destination: str) -> int:
    """Write a commented spec: NAME.yaml (default experiment.yaml), or FILE. Nothing is overwritten.

    The schema that editors check it against is the nearest schemas/pcs-spec.schema.json above the file, or else is
    written beside it.
    """
    file = _file(destination)
    name = _name(file)
    session.next_command = command_line("init", file.with_name(f"{name}-2.yaml"))
    if file.exists() or file.is_symlink():
        raise UsageError(f"{printable(str(file))} exists already, and init overwrites nothing")
    if not file.parent.is_dir():
        raise UsageError(f"the folder {printable(str(file.parent))} does not exist", hint=command_line("init", file.name))
    schema = schema_for(session, file.parent)
    words = {verb: command_line(verb, file) for verb in ("validate", "plan", "run")}
    text = TEMPLATE.format(schema=schema, name=name, **words)
    write_new(file, text)
    session.say(f"wrote {printable(str(file))}", f"next: {command_line(file)}")
    session.out(printable(str(file)))
    return 0


def _file(destination: str) -> Path:
    path = Path(destination)
    return path if path.suffix in _SUFFIXES else path.with_name(f"{path.name}.yaml")


def _name(file: Path) -> str:
    """The spec's name, from the file's.

    Raises:
        UsageError: The file's name, up to its first dot, cannot name a spec.
    """
    name = file.name.split(".", 1)[0]
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{printable(repr(name))} cannot name a spec: lower-case letters, digits, - and _, beginning with a letter or digit",
            hint=command_line("init", _DEFAULT),
        )
    return name


def schema_for(session: Session, folder: Path) -> str:
    """The schema for the modeline, relative to the spec's folder; written there when none is found above."""
    from pcs_runner.spec.schema import schema_text

    start = folder.resolve()
    for above in (start, *start.parents):
        for candidate in (above / SCHEMA_FILE, above / "schemas" / SCHEMA_FILE):
            if candidate.is_file():
                return Path(os.path.relpath(candidate, start)).as_posix()
        if (above / ".git").exists():
            break
    write_new(folder / SCHEMA_FILE, schema_text())
    session.say(f"wrote {printable(str(folder / SCHEMA_FILE))}")
    return SCHEMA_FILE
