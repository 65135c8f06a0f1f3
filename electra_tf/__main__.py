"""Dispatches `electra_tf COMMAND --flag=value …`, also as `python -m electra_tf COMMAND`."""

import difflib
import io
import os
import pathlib
import runpy
import signal
import sys

from electra_tf import interrupts

COMMANDS = {
    "quickstart": ("pipelines.quickstart", "corpus to served model in minutes, on the CPU"),
    "learn_vocab": ("pipelines.learn_vocab", "text to a vocabulary"),
    "build_dataset": ("pipelines.build_dataset", "text to shards of pre-training examples"),
    "pretrain": ("commands.pretrain", "shards to a pre-trained model"),
    "evaluate": ("commands.evaluate", "held-out metrics of a pre-training run"),
    "report": ("commands.report", "a run as one HTML page: curves, metrics, examples, data"),
    "finetune": ("commands.finetune", "a pre-trained model to a model for one task"),
    "predict": (
        "commands.predict",
        "predictions of a fine-tuned model for a file; a pre-trained one ranks texts",
    ),
    "linear_probe": ("commands.linear_probe", "probes a model's frozen hidden states"),
    "minimal_pairs": ("commands.minimal_pairs", "whether a model prefers right sentences"),
    "lab": ("pipelines.lab", "runs a study: pre-trainings of equal compute, compared"),
    "convert": ("commands.convert", "models to and from Google's and Hugging Face's files"),
    "export": (
        "export.saved_model",
        "a model to a SavedModel for a server, or to TFLite or ONNX",
    ),
    "check": ("export.check", "whether a SavedModel is complete, correct and fast"),
    "client": ("export.client", "asks a model server about texts"),
    "playground": ("export.playground", "a web page in front of a model"),
    "show_replaced": ("export.show_replaced", "which words of a text look replaced"),
    "benchmark": (
        "commands.benchmark",
        "speed of the training step, and what a training will need",
    ),
    "tfx_pretrain": ("pipelines.tfx_pretrain", "the pre-training pipeline on TFX"),
    "tfx_finetune": ("pipelines.tfx_finetune", "the fine-tuning pipeline on TFX"),
}


def main() -> None:
    """Runs the command that the first argument names; the rest is its own."""
    interrupts.leave_at_once()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without … is no failure
    arguments = sys.argv[1:]
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help", "--helpfull"):
        try:
            print(usage(), flush=True)
        except BrokenPipeError:  # `| head` has read enough
            os._exit(128 + signal.SIGPIPE)
    elif name == "--version":
        from electra_tf import __version__

        print(__version__)
    elif name in COMMANDS:
        sys.argv = [f"electra_tf {name}", *arguments[1:]]
        runpy.run_module(_module(COMMANDS[name][0]), run_name="__main__", alter_sys=True)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        sys.exit(f"error: A command must be one of {', '.join(COMMANDS)}. Received: {name}{hint}")


def usage() -> str:
    """What `electra_tf --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: electra_tf COMMAND [--flag=value …]",
            "",
            *lines,
            "",
            "electra_tf COMMAND --help explains a command and its flags.",
        ]
    )


def _module(name: str) -> str:
    """Where a command's module is.

    An installed package has all of them in electra_tf.commands; in a checkout `pipelines` and
    `export` stand beside electra_tf.
    """
    package, folder = pathlib.Path(__file__).resolve().parent, name.partition(".")[0]
    if folder == "commands":
        return f"electra_tf.{name}"
    if (package / "commands" / folder).is_dir():
        return f"electra_tf.commands.{name}"
    sys.path.insert(0, str(package.parent))
    return name


if __name__ == "__main__":
    main()
