"""Packaging of electra_tf. The version number's one place is electra_tf/__init__.py."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent


def version() -> str:
    """The version, read and not imported: a build has no dependencies installed."""
    text = (ROOT / "electra_tf" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


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
    packages=setuptools.find_namespace_packages(
        include=["electra_tf", "electra_tf.*", "pipelines*", "export*", "configs*"]
    ),
    package_data={"export": ["**/*"],
                  "electra_tf": ["**/*.txt", "serving/checking/*.c",
                                 "serving/client/playground_page/*"]},
    python_requires=">=3.11",
    # TensorFlow, tensorflow-text and Keras move together, and the training step relies on what a
    # minor version of them does, so they are held to one; requirements.txt pins the exact set.
    install_requires=[
        "absl-py>=1.4,<3",
        "apache-beam>=2.77,<3",
        "flask>=3.1,<4",
        "grpcio>=1.70,<2",
        "importlib_resources>=6,<8",  # tensorflow-datasets needs it to write, without saying so
        "keras>=3.15,<3.16",
        "matplotlib>=3.10,<4",
        "ml_collections>=1.1,<2",
        "numpy>=2.0,<3",
        "psutil>=6,<8",
        "requests>=2.32,<3",
        "safetensors>=0.5,<1",
        "scikit-learn>=1.5,<2",
        "scipy>=1.14,<2",
        "tensorboard>=2.20,<2.22",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.9,<5",
        "tensorflow-serving-api>=2.19,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "tokenizers>=0.21,<1",
        "tqdm>=4.66,<5",
    ],
    extras_require={
        "dev": ["playwright>=1.50,<2", "pytest>=9,<10", "ruff>=0.17,<0.18", "seqeval>=1.2.2,<2"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "interop": ["transformers>=5,<6", "torch>=2.6,<3", "safetensors>=0.5,<1", "onnx>=1.17,<2",
                    "onnxruntime>=1.20,<2"],
        "jax": ["jax>=0.10,<0.11"],
        "tfx": ["tfx[kfp]==1.21.*"],
    },
)
