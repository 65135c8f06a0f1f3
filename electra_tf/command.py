"""How every command line starts and ends: quiet start, one-line errors, exit codes."""

import atexit
import contextlib
import logging as standard_logging
import os
import re
import sys
from collections.abc import Collection
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from electra_tf import files, interrupts, keras_backend, stderr
from electra_tf.config import JsonConfig
from electra_tf.config.fields import kind_name
from electra_tf.errors import UserError, is_for_user, one_line

flags.disclaim_key_flags()  # --config is a flag of the command that asks for it
_default_config: str | None = None


class _ExperimentParser(flags.ArgumentParser):
    """Makes a config of the file that --config names."""

    def __init__(self, kind: type[JsonConfig]):
        self._kind = kind
        self.fields: dict[str, Any] = {}

    def parse(self, argument: str) -> JsonConfig:
        config = self._kind.from_file(argument)
        self.fields = config.flat()
        # As ml_collections finds them; a field that there is not would be a traceback of its own.
        for given in flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False):
            field = _OVERRIDE.match(given)
            if field:
                config.require_field(field[1])
        return config


def define_config(
    text: str, kind: type[JsonConfig], default: str | None = None
) -> flags.FlagHolder:
    """Defines --config, an experiment's file; see `experiment.find` for where that may be.

    Args:
        text: for --help.
        kind: what the file's get_config must return.
        default: the file where none is given.
    """
    global _default_config
    _default_config = default
    try:
        holder = config_flags.DEFINE_config_file("config", None, text)
    except flags.Error as error:  # a --flagfile
        sys.exit(f"error: {one_line(error)}")
    flags.FLAGS["config"].parser = _ExperimentParser(kind)
    flags.FLAGS["config"].default_as_str = default and repr(default)  # in --help
    return holder


class _PathParser(flags.ArgumentParser):
    """A path, with the home directory in place of `~`."""

    def parse(self, argument: str) -> str:
        return files.expand(argument)

    def flag_type(self) -> str:
        return "path"


def define_path(
    name: str, default: str | None, text: str, required: bool = False
) -> flags.FlagHolder:
    """Defines a flag for a file or a directory; a shell leaves the `~` of --flag=~/x as it is."""
    return flags.DEFINE(_PathParser(), name, default, text, required=required)


_OVERRIDE = re.compile(r"--?(?:no)?(config\.[^=]*)")
# What absl says of a value that is not of the field's type.
_FIELD_VALUE = re.compile(r"flag --(config\.[\w.]+)=(.*?): ", re.DOTALL)
# What absl says of a required flag that is not there.
_MISSING = re.compile(r"flag --(\w+)=None: Flag --\w+ must have a value other than None\.")


def run(
    main,
    tensorflow: bool = True,
    known_only: bool = False,
    backends: Collection[str] = ("tensorflow",),
) -> None:
    """Runs an absl main. What the user can mend becomes one line on stderr and exit code 1.

    The environment variable ELECTRA_TF_TRACEBACK=1 keeps its traceback. A command stopped by a
    signal says so in one line and exits with 128 + its number, as shells do.

    Args:
        main: function of the arguments that are not flags.
        tensorflow: whether main needs TensorFlow, which is then imported without its banners.
        known_only: leave flags that nobody has defined in the arguments, for main to pass on.
        backends: those of Keras that main knows.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    interrupts.leave_at_once()
    keras_backend.ignore_settings()
    app.run(
        lambda argv: _leave(_guarded(_start, main, tensorflow, backends, argv)),
        flags_parser=lambda argv: _parse(argv, known_only),
    )


def no_arguments(argv) -> None:
    """Raises UserError if anything but flags was given."""
    if argv[1:]:
        raise UserError(f"Only flags are accepted. Received: {' '.join(argv[1:])}")


def sets_field(name: str) -> bool:
    """Whether the command line sets a field of --config, such as config.train.num_steps."""
    return name in flags.FLAGS and bool(flags.FLAGS[name].present)  # defined where it is given


def _parse(argv, known_only):
    """Parses the flags; what is wrong with them is a user error, too."""

    def parse():
        if "config" in flags.FLAGS:
            # In place: fields are looked for in sys.argv, too.
            argv[:] = _with_config(argv)
        try:
            return flags.FLAGS(argv, known_only=known_only)
        except SystemExit:
            sys.exit(0)  # --help, which absl ends with 1
        except (flags.Error, IndexError, TypeError) as error:
            if isinstance(error.__context__, UserError):
                raise error.__context__ from None  # absl puts other words around it
            value = _FIELD_VALUE.match(str(error))
            if value:
                kind = kind_name(type(flags.FLAGS["config"].parser.fields[value[1]]))
                raise UserError(f"{value[1]} must be {kind}. Received: {value[2]:.80}") from error
            missing = ", ".join(f"--{name}" for name in _MISSING.findall(one_line(error)))
            raise UserError(
                f"{missing} must be given. Received: nothing" if missing else str(error)
            ) from error

    arguments = []
    code = _guarded(lambda: arguments.extend(parse()))
    if code:
        sys.exit(code)
    return arguments


def _with_config(argv: list[str]) -> list[str]:
    """The arguments with --config before all others, if only by its default."""
    name, *arguments = argv
    if any(argument.partition("=")[0] in ("-config", "--config") for argument in arguments):
        return argv
    if _default_config:
        # Not as the flag's default: with that a wrong field is a traceback.
        return [name, f"--config={_default_config}", *arguments]
    fields = [argument for argument in arguments if _OVERRIDE.match(argument)]
    if fields:
        raise UserError(f"--config must be given where a field of it is set. Received: {fields[0]}")
    return argv


def _start(main, tensorflow, backends, argv):
    keras_backend.require(backends)
    if tensorflow:
        stderr.import_tensorflow()
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    logging.get_absl_handler().setFormatter(
        standard_logging.Formatter("%(levelname)s: %(message)s")
    )
    interrupts.raise_in_main()
    main(argv)
    sys.stdout.flush()  # here, where it may fail: the disk is full, the reader gone


def _leave(code):
    """Ends the process at once: to take a traced model apart would need seconds."""
    if not code:
        interrupts.ended()  # else `_guarded` has said so
    with stderr.muted() if code else contextlib.nullcontext():  # the error is told
        atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _guarded(function, *arguments) -> int:
    try:
        function(*arguments)
    except SystemExit:
        raise
    except BaseException as error:
        interrupts.ended()
        signum = interrupts.received()
        if signum:
            print(interrupts.describe(signum), file=sys.stderr)
            return 128 + signum
        signum = getattr(error, "signum", None)  # train.signals.Interrupted, without its import
        if signum is not None:
            return 128 + signum
        if not is_for_user(error) or os.environ.get("ELECTRA_TF_TRACEBACK"):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0
