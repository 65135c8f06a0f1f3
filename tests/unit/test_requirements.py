"""The pinned environments: what they share has one version in one place."""

import pathlib
import re

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "requirements"


def names(file: str) -> list[str]:
    """Normalised names of the pins of a requirements file, and of those it includes."""
    found = []
    for line in (FOLDER / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += names(line.removeprefix("-r ").strip())
        elif line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"{file} must pin every package. Received: {line}"
            found.append(re.sub(r"[-_.]+", "-", name).lower())
    return found


@pytest.mark.parametrize("file", ["dev.txt", "tfx.txt"])
def test_no_package_is_pinned_twice(file):
    pins = names(file)
    assert len(pins) > 100
    assert len(pins) == len(set(pins)), sorted(pin for pin in pins if pins.count(pin) > 1)
