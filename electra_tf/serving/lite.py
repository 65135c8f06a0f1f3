"""A model's network for TFLite (LiteRT), for phones and the like.

Both files know only TFLite's own ops, so the plain runtime is enough. The interpreter's signature
runner resizes the inputs to what it is asked.
"""

import os

import tensorflow as tf

from electra_tf import extras, stderr
from electra_tf.serving import network_files

with extras.needed("tflite"):
    from ai_edge_litert.interpreter import Interpreter


def export_lite(workdir: str | os.PathLike, output: str, *, overwrite: bool = False) -> dict:
    """Writes a network as `output`/electra_float32.tflite and electra_int8.tflite.

    In the int8 file large matrices are int8 with a scale per row or column; activations are
    quantized while it runs (dynamic range), so no examples are needed. Arguments, returns and
    errors as of `network_files.export`.
    """
    return network_files.export(Lite(), workdir, output, overwrite=overwrite)


class Lite(network_files.Format):
    """TFLite's files."""

    runtime = "TFLite"
    float32, int8 = "electra_float32.tflite", "electra_int8.tflite"
    packages = ("tensorflow", "ai-edge-litert")

    def write(self, network, folder):
        for name, optimizations in ((self.float32, []), (self.int8, [tf.lite.Optimize.DEFAULT])):
            content = _convert(network, optimizations)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)

    def open(self, path):
        runner = Interpreter(model_path=path).get_signature_runner()

        def ask(batch):
            with stderr.muted():  # the first call tells that XNNPACK is used
                return runner(**batch)

        return ask


def _convert(network: network_files.Network, optimizations: list) -> bytes:
    function = network.answer.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = optimizations
    with stderr.muted():
        return converter.convert()
