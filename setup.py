"""Packaging of electra_tf. The version number's one place is electra_tf/__init__.py."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent
INSIDE = {
    "electra_tf.commands.export": "export",
    "electra_tf.commands.pipelines": "pipelines",
    "electra_tf.configs": "configs",
    "electra_tf.configs.studies": "configs/studies",
}
# What parts of the work need beyond training, by the names that electra_tf.extras tells of.
PARTS = {
    "data": ["apache-beam>=2.77,<3", "tokenizers>=0.21,<1"],
    "interop": ["safetensors>=0.5,<1", "tokenizers>=0.21,<1"],
    "onnx": ["onnx>=1.17,<2", "onnxruntime>=1.20,<2", "tf2onnx>=1.17,<2"],
    "plots": ["matplotlib>=3.10,<4"],
    "sentencepiece": ["sentencepiece>=0.2,<0.3"],
    "serving": [
        "flask>=3.1,<4",
        "grpcio>=1.70,<2",
        "requests>=2.32,<3",
        "tensorflow-serving-api>=2.19,<2.22",
    ],
    "tfds": [
        "importlib_resources>=6,<8",  # tensorflow-datasets needs it to write, without saying so
        "tensorflow-datasets>=4.9.9,<5",
    ],
    "tflite": ["ai-edge-litert>=2.1,<3"],
}
ALL = sorted({package for part in PARTS.values() for package in part})


def version() -> str:
    """The version, read and not imported: a build has no dependencies installed."""
    text = (ROOT / "electra_tf" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    assert found, "electra_tf/__init__.py must hold __version__"
    return found[1]


def long_description() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setuptools.setup(
    name="electra_tf",
    version=version(),
    description="ELECTRA pre-training, from text to a served model, on TensorFlow and Keras 3",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The electra_tf authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    # One top-level name in site-packages: these folders stand beside electra_tf in a checkout only.
    package_dir=INSIDE,
    packages=[
        *setuptools.find_namespace_packages(
            include=["electra_tf", "electra_tf.*"], exclude=["electra_tf.pretrained.*"]
        ),
        *INSIDE,
    ],
    package_data={
        "electra_tf": [
            "**/*.txt",
            "text/novels/*.md",
            "text/novels/*.xz",
            "serving/checking/*.c",
            "serving/client/playground_page/*",
        ],
        "electra_tf.pretrained": ["*/*.json", "*/*.md", "*/*.txt", "*/checkpoints/*"],
        "electra_tf.commands.export": ["launch/*", "tf_serving/*"],
    },
    entry_points={"console_scripts": ["electra_tf = electra_tf.__main__:main"]},
    python_requires=">=3.11",
    # TensorFlow, tensorflow-text and Keras move together, and the training step relies on what a
    # minor version of them does, so they are held to one; requirements/ pins the set.
    install_requires=[
        "absl-py>=1.4,<3",
        "keras>=3.15,<3.16",
        "ml_collections>=1.1,<2",
        "numpy>=2.0,<3",
        "scikit-learn>=1.5,<2",
        "scipy>=1.14,<2",
        "tensorboard>=2.20,<2.22",
        "tensorflow>=2.21,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "tqdm>=4.66,<5",
    ],
    extras_require={
        **PARTS,
        "all": ALL,
        "dev": [
            "basedpyright>=1.40,<2",
            "codespell>=2.4,<3",
            "hypothesis>=6.100,<7",
            "pdoc>=16,<17",
            "playwright>=1.50,<2",
            "pytest>=9,<10",
            "pytest-xdist>=3.8,<4",
            "ruff>=0.17,<0.18",
            "seqeval>=1.2.2,<2",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "jax": ["jax>=0.10,<0.11"],
        "tfx": ["tfx[kfp]==1.21.*", *ALL],
    },
)
