"""The command line: where it begins, and how errors are told. `tree` lists the commands."""

from __future__ import annotations

# Imports that take time stand in the functions, so that Ctrl-C is answered from the first on.
import errno
import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from birnn.errors import BirnnError, UsageError, print_notice, torch_lacks_memory

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED, TERMINATED = "interrupted", "terminated"


def run() -> None:
    """Run the command line; a user's mistake is one line on standard error and an exit status."""
    try:
        _prepare_process()
        status = main(sys.argv[1:])
    except KeyboardInterrupt:  # before `main` looks out for it, or after
        status = _fail(INTERRUPTED, 130)
    except _Terminated:
        status = _fail(TERMINATED, 143)
    sys.exit(status)


def _prepare_process() -> None:
    """Signals and standard streams as the commands expect them."""
    # Not Ctrl-C where whoever started us has it ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Tokens and labels are Unicode whatever the terminal's language is.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def main(arguments: list[str]) -> int:
    """Run with these arguments and return the exit status: 0 done, 1 failed, 2 wrong usage."""
    try:
        status = _run(arguments)
        # Here, where it can still be told, not when Python ends.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, 130)
    except _Terminated:
        _drop_output()
        return _fail(TERMINATED, 143)
    except BirnnError as error:
        return _fail(str(error), error.exit_status)
    except BrokenPipeError:
        # Whoever read our output has seen enough: the status of SIGPIPE, whatever the command.
        _drop_output()
        return 141
    except MemoryError as error:
        return _fail(_without_memory(str(error)), 1)
    except OSError as error:
        _drop_output()
        if error.errno == errno.EBADF and not error.filename:
            return _fail("standard output is closed.", 1)
        where = f"{error.filename}: " if error.filename else "cannot read or write: "
        return _fail(f"{where}{error.strerror or error}", 1)
    except RuntimeError as error:
        if not torch_lacks_memory(error):
            raise
        return _fail(_without_memory(""), 1)
    return status


class _Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Ctrl-C and SIGTERM: an exception, so that what is half written is put in order.

    In the middle of an import, an end: there an exception may be taken for a fault of the module,
    or met by compiled code that does not expect it, and nothing has begun.
    """
    interrupted = number == signal.SIGINT
    at = frame
    while at is not None:
        if at.f_code.co_filename == "<frozen importlib._bootstrap>":
            with suppress(OSError):
                os.write(2, f"birnn: {INTERRUPTED if interrupted else TERMINATED}\n".encode())
            os._exit(128 + number)
        at = at.f_back
    raise KeyboardInterrupt if interrupted else _Terminated


def _open_closed_streams() -> None:
    """Put something in the place of standard streams that the caller closed.

    Else the first file opened would take the number of one of them, and Python prints what is
    meant for a closed standard error on standard output. What stands in for standard input and
    output refuses to be read and written; what is written to standard error is lost.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = sys.stdout or io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
    sys.stderr = sys.stderr or io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)))


def _run(arguments: list[str]) -> int:
    """Parse and run, past typer's own ways of telling errors and of ending the process."""
    import typer

    from birnn.cli.tree import app

    # Newer typers carry their own click: the class is found where theirs is.
    usage_fault: type[Exception] = typer.BadParameter.__bases__[0]
    command = typer.main.get_command(app)
    try:
        _refuse_repeated(command, arguments, usage_fault)
        with command.make_context("birnn", list(arguments or ["--help"])) as context:
            status = command.invoke(context)
    except typer.Exit as done:
        status = done.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except usage_fault as error:
        return _fail(_advised(error), 2)
    if not arguments:
        return 2
    return status if isinstance(status, int) else 0


def _refuse_repeated(group: Any, arguments: list[str], usage_fault: type[Exception]) -> None:
    """Refuse an option that takes one value and is given two: the first would be lost unsaid.

    Raises:
        UsageError: There is one.
    """
    name = next((word for word in arguments if not word.startswith("-")), "")
    command = group.commands.get(name)
    if command is None:
        return
    words = arguments[arguments.index(name) + 1 :]
    try:
        with command.context_class(command, info_name=name) as context:
            _, _, given = command.make_parser(context).parse_args(list(words))
    except usage_fault:
        return  # what is wrong is told where the command runs
    single = [one for one in given if one.param_type_name == "option" and not one.multiple]
    for one in single:
        if (not one.is_flag or one.secondary_opts) and single.count(one) > 1:
            raise UsageError(
                f"{max(one.opts, key=len)} is given {single.count(one)} times and takes one value. "
                f"Give it once. See: birnn {name} --help"
            )


def _advised(error: Any) -> str:
    """What is wrong with the call, and where to look."""
    path = error.ctx.command_path if error.ctx is not None else "birnn"
    text = error.format_message().replace("Value error, ", "").rstrip()
    return f"{text if text.endswith(('.', '?', ')')) else text + '.'} See: {path} --help"


def _without_memory(words: str) -> str:
    """What there was no memory for, where it is said, and what helps.

    Example:
        >>> _without_memory("no memory for a chain of 9 labels. Cut the sequences shorter.")
        'no memory for a chain of 9 labels. Cut the sequences shorter.'
        >>> _without_memory("")
        'not enough memory. Use smaller batches or a smaller model.'
    """
    if words.startswith("no memory for"):
        return words
    # Of the compiled module's allocator there is nothing but its own name.
    what = "" if not words or "bad_alloc" in words else f": {words.rstrip('.')}"
    return f"not enough memory{what}. Use smaller batches or a smaller model."


def _drop_output() -> None:
    """Send what is left in standard output nowhere, so that Python does not complain at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print_notice("birnn: " + " ".join(message.split()))
    return status
