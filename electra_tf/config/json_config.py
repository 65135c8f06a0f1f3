"""A config as JSON and back."""

import dataclasses
import difflib
import json
import os
from typing import ClassVar, Self

from electra_tf import file_systems
from electra_tf.config import directories, experiment
from electra_tf.config.fields import Fields, unknown
from electra_tf.errors import UserError
from electra_tf.files import expand
from electra_tf.json_files import read_json

RANDOM = "random:"  # before the directory in init_from: only its sizes and vocabulary
_PATHS = ("dir", "vocab_file", "train_file", "eval_file", "test_file")  # fields of `data`


@dataclasses.dataclass
class JsonConfig(Fields):
    """A config of sections and plain fields, as JSON and back.

    Attributes:
        example: name of one of electra_tf's own.
    """

    example: ClassVar[str]

    def expand_paths(self) -> None:
        """Makes a home directory of `~` in all fields that are paths."""
        fields = vars(self)
        data, source = fields["data"], fields["init_from"]
        for name in _PATHS:
            if isinstance(getattr(data, name, None), str | os.PathLike):
                setattr(data, name, expand(getattr(data, name)))
        if isinstance(source, str | os.PathLike):
            source = os.fspath(source)
            prefix = RANDOM if source.startswith(RANDOM) else ""
            fields["init_from"] = prefix + expand(source.removeprefix(prefix))

    def to_json(self) -> str:
        """The whole config as indented JSON, one key per section or top-level field."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def flat(self) -> dict:
        """Every field by its full name, such as config.train.seed."""
        fields = {}
        for section, value in dataclasses.asdict(self).items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            fields |= {f"config.{section}.{name}".rstrip("."): item for name, item in inner}
        return fields

    def require_field(self, name: str) -> None:
        """Raises UserError unless `flat` has a field of this name; tells the closest one."""
        known = list(self.flat())
        if name in known:
            return
        section, _, field = name.removeprefix("config.").rpartition(".")
        near = [
            *(full for full in known if full.endswith(f".{field}")),
            *difflib.get_close_matches(name, known, 1, 0.85),
        ]
        parts = (f"{name}.", f"config.{section}.", "config.")
        own = next(found for part in parts if (found := [f for f in known if f.startswith(part)]))
        if len(own) == len(known):
            own = list(dict.fromkeys(".".join(full.split(".")[:2]) for full in known))
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(own)}"
        raise UserError(
            "A --config flag must name a section and a field of electra_tf/config/sections.py "
            "or, in fine-tuning, electra_tf/config/finetuning.py. "
            f"Received: {name}, unknown; {hint}"
        )

    @classmethod
    def from_file(cls, name: str) -> Self:
        """The config of an experiment's file, as `--config` takes it.

        Args:
            name: path of a Python file with `get_config()`, perhaps with `:ARGUMENT`; or one of
                electra_tf's own, such as configs/electra_small.py or configs/glue.py:rte.

        Raises:
            UserError: no such file, or one of another kind of config.

        Example:
            >>> electra_tf.Config.from_file("configs/electra_base.py").model.hidden_size
            768
            >>> electra_tf.FinetuneConfig.from_file("configs/glue.py:rte").task.name
            'rte'
        """
        config = experiment.execute(name)
        if not isinstance(config, cls):
            raise UserError(
                f"A config must be a {cls.__name__} here, such as {cls.example}. Received: "
                f"{name}, whose get_config() returns a {type(config).__name__}"
            )
        return config

    @classmethod
    def from_json(cls, text: str):
        """Reads what `to_json` wrote.

        Raises:
            UserError: no JSON object, or an unknown section or field.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"A config must be valid JSON. Received: {error}") from None
        return cls.from_fields(fields)

    @classmethod
    def from_fields(cls, fields: dict, directory: str = ""):
        """As `from_json`, of the object that the JSON holds; of the file in `directory`."""
        source = os.path.join(directory, "config.json")
        config = cls()
        if not isinstance(fields, dict):
            raise UserError(f"A config must be a JSON object. Received: {fields!r:.60}")
        sections = [field.name for field in dataclasses.fields(cls)]
        for section, values in fields.items():
            if section not in sections:
                raise UserError(
                    f"{source} must have sections that electra_tf knows; models of other formats "
                    f"come in by `electra_tf convert`. Received: an unknown section, {section!r}"
                )
            target = getattr(config, section)
            if not isinstance(target, Fields):
                setattr(config, section, values)
                continue
            if not isinstance(values, dict):
                raise UserError(
                    f"A section of {source} must be an object. Received: {section} with "
                    f"{values!r:.60}"
                )
            known = [field.name for field in dataclasses.fields(target)]
            for name, value in values.items():
                if name not in known:
                    raise UserError(unknown(f"A field of {section} in {source}", name, known))
                setattr(target, name, value)
        return config


def read_fields(directory: str) -> dict | None:
    """The content of `directory`/config.json; None without the file.

    Raises:
        UserError: it is not valid, or that of another program's model.
    """
    path = os.path.join(directory, "config.json")
    if not file_systems.exists(path):
        return None
    fields = read_json(path)
    if directories.is_foreign(directory, fields):
        raise UserError(
            f"A run or model directory of electra_tf is needed here. "
            f"Received: {directories.describe(directory)}"
        )
    return fields


def is_finetuning(fields: dict | None) -> bool:
    """Whether a config.json is a fine-tuning's, not a pre-training's."""
    return fields is not None and "task" in fields
