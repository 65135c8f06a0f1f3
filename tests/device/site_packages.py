"""Unpacks the wheels that this Python can use: `site_packages.py WHEELS FOLDER`.

A wheel with native code for another Python (in a dry run) is left out if its package is installed
anyway. Installed packages of the same name stand behind the unpacked ones.
"""

import glob
import importlib.util
import os
import sys
import zipfile


def main(wheels, folder):
    for path in sorted(glob.glob(os.path.join(wheels, "*.whl"))):
        name, version, *_, python, abi, _ = os.path.basename(path).removesuffix(".whl").split("-")
        own = f"cp{sys.version_info.major}{sys.version_info.minor}"
        if abi != "none" and own not in python.split("."):
            if importlib.util.find_spec(name) is None:
                sys.exit(
                    f"error: {os.path.basename(path)} is not for this Python, {own}, and no "
                    f"{name} is installed"
                )
            print(
                f"NOT EXERCISED: {os.path.basename(path)} is not for this Python, {own}; the "
                f"installed {name} is used"
            )
            continue
        with zipfile.ZipFile(path) as file:
            file.extractall(folder)
        print(f"{name} {version} from its wheel")
    sys.path.insert(0, folder)
    for package in (
        "absl",
        "yaml",
        "numpy",
        "h5py",
        "rich",
        "ml_dtypes",
        "packaging",
        "typing_extensions",
        "jax",
        "keras",
        "optree",
        "namex",
        "ml_collections",
    ):
        if importlib.util.find_spec(package) is None:
            sys.exit(f"error: the Python package {package} is missing: add it to the wheels")


main(*sys.argv[1:])
