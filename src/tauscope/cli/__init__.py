"""The command line: parse, call, print."""

from __future__ import annotations

import importlib
import os
import signal
import sys

from tauscope._streams import Lasting, lasting_streams
from tauscope.cli.console import PlainConsole
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


UNPRINTED = 4
"""Exit code where all was done but standard output could not be written: its disk is full, its terminal gone."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    It is 0, 2 for bad input, 3 where a part failed, 4 if what was done could not be printed, 128 + signal if stopped. A
    command goes on to its end where nobody reads what it prints (``| head``).
    """
    # All commands draw into files; a backend that cannot start would end even those that draw nothing.
    os.environ["MPLBACKEND"] = "agg"
    with lasting_streams() as streams:
        try:
            code = _run(sys.argv[1:] if arguments is None else arguments)
        except SystemExit:  # help and versions end so
            if _is_printed(streams):
                raise
            return UNPRINTED
        return code if _is_printed(streams) else code or UNPRINTED


def _is_printed(streams: list[Lasting]) -> bool:
    """Return whether standard output took all, and say so if it did not."""
    for stream in streams:
        stream.flush()
        if stream.lost is not None and stream is sys.stdout:
            print_error(
                f"standard output cannot be written: {stream.lost.strerror}; all else was done, expected a terminal, pipe or "
                "file with room"
            )
            return False
    return True


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code, unless printing failed."""
    try:
        _require_text(arguments)
        options = _parser(arguments).parse_all(arguments)
        return int(options.module.run(options, PlainConsole()))
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
    for argument in arguments:
        try:
            # Where the system's own encoding is ASCII, all other bytes of a command line come as surrogates.
            argument.encode("utf-8", "surrogateescape").decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{argument!r} is not text: expected names in UTF-8") from error


def _parser(arguments: list[str]) -> Parser:
    """Return the parser, with the flags of the command that is asked for: what the others need takes long to import."""
    from tauscope._version import __version__

    parser = Parser(prog="tauscope", description="How does a recurrent network hold a memory?")
    parser.add_argument("--version", action="version", version=f"tauscope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if name == asked:
            module = importlib.import_module(f"tauscope.cli.{name}")
            command.set_defaults(module=module, parser=command)
            command.arguments = arguments
            module.add(command)
    return parser
