"""Where commands print: a lost reader or a full disk ends neither the command nor its exit code."""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

from hapair.cli.screen.terminal import harmless


class NobodyReadsError(Exception):
    """What goes on for ever has nobody to print for."""


class Output(io.TextIOBase):
    """Writes harmless text to a stream until that fails; then it is silent and remembers why.

    A command that prints is not interrupted by this: what it does and how that ends is more than
    what can be read of it. What prints for ever uses ``print_on``.
    """

    def __init__(self, stream: TextIO | None, *, obeyed: bool = False) -> None:
        """Take a stream; None, as Python calls one that is closed, is a reader who went away.

        With ``obeyed`` the text is sent as it is: its writer makes the terminal's commands, and
        has made the rest harmless.
        """
        self._stream = stream
        self._obeyed = obeyed
        self.trouble: OSError | None = BrokenPipeError() if stream is None else None

    @property
    def reader_left(self) -> bool:
        return isinstance(self.trouble, BrokenPipeError)

    def obeyed(self) -> TextIO:
        """Return the same stream for a writer that draws on the terminal by itself."""
        return cast("TextIO", Output(self._stream, obeyed=True))

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._stream is None or self.trouble is not None:
            return len(text)
        try:
            self._stream.write(text if self._obeyed else harmless(text))
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is None or self.trouble is not None:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.trouble = error
        # Python would try again, and complain, at its exit.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def print_on(text: str) -> None:
    """Print at once; raise NobodyReadsError when that is in vain."""
    print(text, flush=True)
    if isinstance(sys.stdout, Output) and sys.stdout.trouble is not None:
        raise NobodyReadsError
