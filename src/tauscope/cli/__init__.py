"""The command line: parse, call, print."""

from __future__ import annotations

import importlib
import signal
import sys

from rich.console import Console

from tauscope.cli.flags import Parser, print_error
from tauscope.errors import DivergedError, InputError

COMMANDS = {
    "train": "teach a network a memory task under a curriculum; stop it anywhere and go on exactly",
    "sweep": "train many networks, here or on SLURM; started again, it does what is left",
    "evaluate": "measure the accuracy of a trained network for every N",
    "analyze": "measure how trained networks hold their memory",
    "report": "put all that is known of a run on one page",
    "compare": "put two or more runs side by side on one page",
    "reproduce": "train and measure a paper's networks, and judge its claims",
    "status": "list the runs under a folder, and those that a sweep there asks for",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 3 where a part failed, 128 + signal if stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Tables must not be cut at the 80 columns that a pipe is taken for.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    try:
        _require_text(arguments)
        options = _parser(arguments).parse_all(arguments)
        return int(options.module.run(options, console))
    except KeyboardInterrupt:
        print_error("stopped by SIGINT; nothing under way was written")
        return 128 + signal.SIGINT
    except (InputError, DivergedError) as error:
        print_error(error)
        return 3 if isinstance(error, DivergedError) else 2
    except OSError as error:  # what the system refuses: a name that is too long, a folder that may not be read
        print_error(
            f"{error.filename or 'the system'}: {error.strerror or error}; expected what can be read and written"
        )
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        print_error(f"not enough memory: {error or 'for what is asked'}; expected a smaller network or batch")
        return 2


def _is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Return whether Python, torch's allocator of a device or that of the CPU could not get memory."""
    from torch import OutOfMemoryError

    # On the CPU torch raises a plain RuntimeError that begins with the place in the allocator's source.
    on_cpu = str(error).startswith("[enforce fail at alloc_cpu.cpp") and "DefaultCPUAllocator: " in str(error)
    return isinstance(error, MemoryError | OutOfMemoryError) or on_cpu


def _require_text(arguments: list[str]) -> None:
    """Refuse what cannot be printed again, nor written into a page or a table."""
    for one in arguments:
        try:
            one.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{one!r} is not text: expected names in UTF-8") from error


def _parser(arguments: list[str]) -> Parser:
    """Return the parser, with the flags of the command that is asked for: what the others need takes long to import."""
    from tauscope._version import __version__

    parser = Parser(prog="tauscope", description="How does a recurrent network hold a memory?")
    parser.add_argument("--version", action="version", version=f"tauscope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    asked = next((one for one in arguments if not one.startswith("-")), None)
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if name == asked:
            module = importlib.import_module(f"tauscope.cli.{name}")
            command.set_defaults(module=module, parser=command)
            command.arguments = arguments
            module.add(command)
    return parser
