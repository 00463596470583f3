"""Standard streams that take any text, whatever their encoding, and outlive whoever reads them."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shlex
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TextIO

_ERRORS = "tauscope"
# What stands for our own signs where an encoding lacks them.
_SIGNS = {
    "✓": "+", "✗": "x", "×": "x", "≈": "~", "±": "+-", "≤": "<=", "≥": ">=", "–": "-", "—": "-", "…": "...", "→": "->",
    "←": "<-", "·": "*", "²": "^2", "│": "|", "─": "-", "━": "-", "╸": "-", "╺": "-", "λ": "lambda", "Λ": "Lambda",
}  # fmt: skip


def spelled(text: str, encoding: str) -> str:
    r"""Return text in the characters that an encoding has: signs and Greek letters in words, others as escapes.

    Parameters
    ----------
    text : str
        Any; names of files that are no UTF-8 hold surrogates.
    encoding : str
        Of a stream.

    Examples
    --------
    >>> spelled("τ = 2 ± 1 in résumé", "ascii"), spelled("résumé", "latin-1")
    ('tau = 2 +- 1 in r\\xe9sum\\xe9', 'résumé')
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # Bytes of a name that Python could not decode may well be UTF-8.
        with contextlib.suppress(UnicodeError):
            text = text.encode("utf-8", "surrogateescape").decode()
        return "".join(_spell(character, encoding) for character in text)
    return text


def _spell(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        if character in _SIGNS:
            return _SIGNS[character]
        kind, _, letter = unicodedata.name(character, "").rpartition(" LETTER ")
        if kind.startswith("GREEK") and letter.isalpha():
            return letter.capitalize() if "CAPITAL" in kind else letter.lower()
        if "\udc80" <= character <= "\udcff":
            return f"\\x{ord(character) - 0xDC00:02x}"
        return character.encode("ascii", "backslashreplace").decode()
    return character


def command_line(words: Sequence[object], encoding: str | None = None) -> str:
    r"""Return words as a shell takes them, in characters that standard output has.

    Examples
    --------
    >>> command_line(["train", "--resume", "runs/a [old]"], "utf-8")
    "train --resume 'runs/a [old]'"
    >>> print(command_line(["é"], "ascii"))
    $'\xc3\xa9'
    """
    return " ".join(_quoted(str(word), encoding or getattr(sys.stdout, "encoding", None) or "utf-8") for word in words)


def _quoted(word: str, encoding: str) -> str:
    with contextlib.suppress(UnicodeEncodeError):
        word.encode(encoding)
        if word.isprintable():
            return shlex.quote(word)
    # Shells read bytes so, whatever the encoding of the terminal.
    plain = set(range(32, 127)) - {ord("'"), ord("\\")}
    codes = word.encode("utf-8", "surrogateescape")
    return "$'" + "".join(chr(code) if code in plain else f"\\x{code:02x}" for code in codes) + "'"


class Lasting(io.TextIOWrapper):
    """A stream that goes on taking text when it cannot be written any more, and drops it.

    Attributes
    ----------
    lost : OSError or None
        Why it cannot be written. A reader that has enough (``| head``) takes nothing away from anybody, so that it is
        none.
    """

    lost: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write text, or drop it."""
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.lost = error
        # What waits in buffers, and what other libraries and processes print, has to go somewhere.
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def lasting_streams() -> Iterator[list[Lasting]]:
    """Print what encodings lack by other characters, and go on where nothing can be printed (closed, full, no reader).

    Yields
    ------
    list of Lasting
        Those of standard output and standard error, as far as they are streams of the system.

    Examples
    --------
    >>> with lasting_streams():
    ...     print("τ")
    τ
    """
    codecs.register_error(_ERRORS, _replace)
    _open_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(before[0], 1), _lasting(before[1], 2)
    ours = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Lasting)]
    try:
        yield ours
    finally:
        sys.stdout, sys.stderr = before
        for stream in ours:
            stream.flush()
            # Whoever opened what lies below closes it.
            stream.detach()


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return spelled(error.object[error.start : error.end], error.encoding), error.end


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return Lasting(io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False)), encoding="utf-8", errors=_ERRORS)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    try:
        # Opened anew: the descriptor may have become another file since, a pipe for instance.
        below: BinaryIO = io.BufferedWriter(io.FileIO(stream.fileno(), "wb", closefd=False))
    except OSError:  # kept in memory
        below = stream.buffer
    return Lasting(below, stream.encoding, _ERRORS, line_buffering=stream.line_buffering)


def _open_closed() -> None:
    """Open closed standard streams to nowhere, so that the next file to be opened does not take their places."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
