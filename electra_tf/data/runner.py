"""How Apache Beam is run: its options, and local processes by default."""

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence

import electra_tf
from electra_tf import extras
from electra_tf.errors import UserError

with extras.needed("data"):
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner.fn_runner import (
        ExtendedProvisionInfo,
        FnApiRunner,
    )
    from apache_beam.runners.portability.portable_runner import JobServiceHandle
    from apache_beam.runners.runner import PipelineRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

# One thread per worker, because there is a worker per core, and no worker on the accelerators.
_WORKER_ENVIRONMENT = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def pipeline_options(beam_args: Sequence[str], num_workers: int) -> PipelineOptions:
    """Beam's options: what the user asks for, else local processes.

    Raises:
      UserError: an option, or a value of one, that Beam does not know.
    """
    unknown = _unknown_args(beam_args)
    if unknown:
        raise UserError(
            f"Flags must be known here or to Apache Beam. Received: {' '.join(unknown)}"
        )
    options = PipelineOptions(["--default_sdk_harness_log_level=ERROR", *beam_args])
    if not any(arg.startswith("--direct_num_workers") for arg in beam_args):
        options.view_as(DirectOptions).direct_num_workers = num_workers
    return options


def local_runner(options: PipelineOptions, log_file: str) -> PipelineRunner | None:
    """The local runner; None for the one that the options name.

    Left to itself Beam's DirectRunner first tries to download another runner. Made by hand, this
    one has to be told which options the worker processes get.

    Args:
      options: of the pipeline. More than one worker are as many processes.
      log_file: gets what worker processes write to stderr, which is much even if all goes well.
    """
    if options.view_as(StandardOptions).runner is not None:
        return None
    environment = None
    if options.view_as(DirectOptions).direct_num_workers != 1:
        command = [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]
        environment = SubprocessSDKEnvironment.from_command_string(
            f"exec {shlex.join(command)} 2>>{shlex.quote(log_file)}"
        )
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return FnApiRunner(
        environment,
        provision_info=ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        ),
    )


def _unknown_args(args: Sequence[str]) -> list[str]:
    """Those arguments that no Apache Beam option takes."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)  # pyright: ignore[reportArgumentType] its type is Beam's own
    try:
        return parser.parse_known_args(list(args))[1]
    except argparse.ArgumentError as error:
        raise UserError(
            f"An option for Apache Beam must have a value that it takes. Received: {error}"
        ) from error


@contextlib.contextmanager
def worker_environment(options: PipelineOptions) -> Iterator[None]:
    """Sets the environment that worker processes inherit; leaves this process as it was."""
    if options.view_as(DirectOptions).direct_num_workers == 1:  # works in this process
        yield
        return
    root = os.path.dirname(os.path.dirname(os.path.abspath(electra_tf.__file__)))
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    wanted = {**_WORKER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
