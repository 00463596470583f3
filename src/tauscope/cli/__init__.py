"""The command line: parse, call, print."""

from __future__ import annotations

import signal
import sys

from rich.console import Console

from tauscope.cli import analyze, compare, evaluate, report, reproduce, status, train
from tauscope.cli.flags import Parser, print_error
from tauscope.errors import DivergedError, InputError

COMMANDS = {
    "train": (train, "teach a network a memory task under a curriculum; stop it anywhere and go on exactly"),
    "evaluate": (evaluate, "measure the accuracy of a trained network for every N"),
    "analyze": (analyze, "measure how trained networks hold their memory"),
    "report": (report, "put all that is known of a run on one page"),
    "compare": (compare, "put two or more runs side by side on one page"),
    "reproduce": (reproduce, "train and measure a paper's networks, and judge its claims"),
    "status": (status, "list the runs under a folder"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 3 for failed training, 128 + signal if stopped."""
    from tauscope import __version__

    parser = Parser(prog="tauscope", description="How does a recurrent network hold a memory?")
    parser.add_argument("--version", action="version", version=f"tauscope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    for name, (module, description) in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(module=module, parser=command)
        module.add(command)
    # Tables must not be cut at the 80 columns that a pipe is taken for.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    try:
        options = parser.parse_all(sys.argv[1:] if arguments is None else arguments)
        return int(options.module.run(options, console))
    except KeyboardInterrupt:
        print_error("stopped by SIGINT; nothing under way was written")
        return 128 + signal.SIGINT
    except (InputError, DivergedError) as error:
        print_error(error)
        return 3 if isinstance(error, DivergedError) else 2
