"""The other side of serving_speed.py: transformers on PyTorch, and ONNX Runtime.

Usage, in their environment: serving_speed_peers.py MODEL_DIRECTORY THREADS ONNX_FILE

Reads one JSON request per line from standard input, {"side": …, "texts": …, "clock": …}, and
answers each with one line: seconds from texts to NumPy logits, of ONNX Runtime from ids to logits.
The clock is a function of Python's time. With "save", a file name, the ids and logits are written
there, too.
"""

import json
import os
import sys
import time
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402  only after the variable above is set
import onnxruntime  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

ATTENTION = ("sdpa", "eager")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LONGEST = 128


class Logits(torch.nn.Module):
    """What is exported: inputs by position, one output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(**dict(zip(INPUTS, inputs))).logits


def export(model, path):
    example = torch.ones(2, 5, dtype=torch.long)
    axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, "logits")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, and of the exporter's age
        torch.onnx.export(
            Logits(model).eval(),
            (example, example, torch.zeros_like(example)),
            path,
            dynamo=False,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes=axes,
        )


def main(directory, threads, onnx_file):
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    assert tokenizer.is_fast
    models = {
        name: transformers.ElectraForPreTraining.from_pretrained(
            directory, attn_implementation=name
        ).eval()
        for name in ATTENTION
    }
    export(models["eager"], onnx_file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    # Threads that spin between calls would take the processors from whoever is measured next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(onnx_file, options, ["CPUExecutionProvider"])

    def tokenize(texts, kind):
        return tokenizer(
            texts, padding=True, truncation=True, max_length=LONGEST, return_tensors=kind
        )

    def run(side, texts, clock):
        if side == "onnx":
            batch = {name: value.astype(np.int64) for name, value in tokenize(texts, "np").items()}
            start = clock()
            return session.run(None, batch)[0], start
        start = clock()
        with torch.inference_mode():
            return models[side](**tokenize(texts, "pt")).logits.numpy(), start

    print(
        json.dumps(
            {
                "versions": {
                    module.__name__: module.__version__
                    for module in (torch, transformers, onnxruntime)
                }
            }
        ),
        flush=True,
    )
    for line in sys.stdin:
        request = json.loads(line)
        clock = getattr(time, request["clock"])
        logits, start = run(request["side"], request["texts"], clock)
        answer = {"seconds": clock() - start}
        if "save" in request:
            batch = tokenize(request["texts"], "np")
            np.savez(
                request["save"], logits=logits, ids=batch["input_ids"], mask=batch["attention_mask"]
            )
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
