"""The command `pcs-run`: its commands are loaded when they are used, and a first word that is none of them is a spec to run."""

from __future__ import annotations

import importlib
import keyword
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = (
    "run",
    "validate",
    "plan",
    "draw",
    "status",
    "resume",
    "cancel",
    "retry",
    "verify",
    "report",
    "diff",
    "export",
    "import",
    "devices",
    "login",
    "logout",
    "serve",
    "schema",
    "init",
)
"""Every command, in the order of the help; each is `command` in the module of its name (`import_` for `import`)."""

DEFAULT = "run"


class CommandGroup(click.Group):
    """A group that imports a command when it is asked for, and puts `run` in front of anything else."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pcs_runner.cli.{_module(cmd_name)}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`pcs-run SPEC` and `pcs-run -t qpu SPEC` are `pcs-run run ...`."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in own and args[0] not in COMMANDS:
            if not ctx.resilient_parsing:
                _refuse_misspelt_command(ctx, args)
            args = _command_first(args)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options, or else files: the first word may be a spec."""
        from click.shell_completion import CompletionItem

        return super().shell_complete(ctx, incomplete) or [CompletionItem(incomplete, type="file")]


def _module(command: str) -> str:
    return f"{command}_" if keyword.iskeyword(command) else command


def _command_first(args: list[str]) -> list[str]:
    """`-q run SPEC` as `run -q SPEC`; without a command `run` is meant."""
    word = next((word for word in args if not word.startswith("-")), "")
    if word not in COMMANDS:
        return [DEFAULT, *args]
    place = args.index(word)
    return [word, *args[:place], *args[place + 1 :]]


def _refuse_misspelt_command(ctx: click.Context, args: list[str]) -> None:
    """A first word that is no file but nearly a command was meant as the command."""
    word = args[0]
    if word.startswith("-") or Path(word).suffix or Path(word).exists():
        return
    import difflib

    nearest = difflib.get_close_matches(word, COMMANDS, n=1)
    if nearest:
        raise click.UsageError(f"no command and no file {word!r}; did you mean {nearest[0]!r}?", ctx)


@click.command(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done; 1 finished with failures or extras; 2 refused, nothing was sent; "
        "3 service or disk, resumable; 4 a bug; 130 interrupted, resumable."
    ),
)
@click.version_option(__version__, "--version", prog_name="pcs-run", message="%(prog)s %(version)s")
def cli() -> None:
    """Neutral-atom experiments as YAML files: validated, planned, run once, resumed.

    `pcs-run SPEC` is `pcs-run run SPEC`.
    """
