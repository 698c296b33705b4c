"""How to train: every setting, with one set of defaults for each task.

A recipe is read from TOML, a section for each part, and overridden key by key
(``encoder.hidden_size=128``). ``birnn settings`` lists the keys.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import (
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    create_model,
    model_serializer,
)

from birnn.bundle.spec import Encoder
from birnn.errors import ConfigError, nearest
from birnn.inputs import InputSettings, KindName
from birnn.models import Dropout
from birnn.schema import Frozen
from birnn.tasks import TASKS
from birnn.training.settings import TrainingSettings

LONGEST = 200  # characters of a value in a message
RENAMED = {"training.batch_rows": "training.batch_tokens"}  # since 0.1.0
TOO_LONG = "an integer of more digits than Python reads"


class Recipe(Frozen):
    """All settings of a training run.

    Example:
        >>> recipe = Recipe.load("tagger", overrides=["encoder.cell=gru", "training.epochs=3"])
        >>> recipe.encoder.cell, recipe.training.epochs
        ('gru', 3)
        >>> Recipe.load("tagger", overrides=["encoder.hiden_size=3"])
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: encoder.hiden_size is no setting: did you mean hidden_size?
    """

    inputs: InputSettings = InputSettings()
    encoder: Encoder = Encoder()
    head: Frozen = Frozen()  # the settings of the task's head
    dropout: Dropout = Dropout()
    training: TrainingSettings = TrainingSettings()

    task: ClassVar[str] = ""  # whose settings of the head these are

    _chosen: frozenset[str] | None = PrivateAttr(default=None)

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A recipe lists all settings, also those that a spec is written without.
        return {
            section: {
                name: values.get(name, field.default)
                for name, field in type(getattr(self, section)).model_fields.items()
            }
            for section, values in write(self).items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # The class of a task's recipe is made when it is asked for: pickle would not find it.
        return _restored, (self.task, self.model_dump(), self.chosen)

    @property
    def chosen(self) -> frozenset[str]:
        """Full names of the settings that somebody set; the others are defaults."""
        if self._chosen is not None:
            return self._chosen
        return frozenset(
            f"{section}.{name}"
            for section in self.model_fields_set
            for name in getattr(self, section).model_fields_set
        )

    def for_kind(
        self, task: str, kind: KindName, reading: Mapping[str, Any] | None = None
    ) -> Recipe:
        """This recipe with the defaults that suit the data; what was chosen stays.

        Args:
            task: What is learnt.
            kind: The kind of its input.
            reading: How files were read, see `birnn.training.sets.Sets.reading`.

        Example:
            >>> recipe = Recipe.load("tagger", overrides=["dropout.output=0.1"])
            >>> symbols = recipe.for_kind("tagger", "symbols")
            >>> symbols.dropout.output, symbols.encoder.num_layers
            (0.1, 2)
        """
        settings = dict(TASKS[task].settings_of_reading(reading or {}))
        for key in self.chosen:
            section, _, name = key.partition(".")
            settings[key] = getattr(getattr(self, section), name)
        recipe = default(task, kind).with_settings(settings)
        recipe._chosen = self.chosen
        return recipe

    @classmethod
    def load(
        cls,
        task: str,
        *,
        config: Path | str | None = None,
        overrides: Sequence[str] = (),
    ) -> Recipe:
        """The defaults of a task, changed by a TOML file, changed by ``section.key=value``.

        Raises:
            ConfigError: A file that does not read, a key that does not exist (the nearest is
                named), or a value that does not fit. All faults are named at once.
        """
        recipe = default(task)
        if config is not None:
            recipe = recipe._changed(_read_toml(Path(config)), where=f"{config}: ")
        given: dict[str, Any] = {}
        for override in overrides:
            key, value = _parse_override(override)
            if key in given:
                raise ConfigError(f"{key} is set twice on the command line. Set it once.")
            given[key] = value
        return recipe.with_settings(given)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """This recipe with some settings changed, each by its full name.

        Raises:
            ConfigError: A key that does not exist, or a value that does not fit.

        Example:
            >>> Recipe().with_settings({"encoder.hidden_size": 64}).encoder.hidden_size
            64
        """
        changes: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            section, _, name = key.partition(".")
            changes.setdefault(section, {})[name] = value
        # All at once: settings that only fit together may come in any order.
        return self._changed(changes, where="")

    def _changed(self, changes: Mapping[str, Any], *, where: str) -> Recipe:
        settings = self.model_dump()
        if self.task and isinstance(changes.get("head"), Mapping):
            TASKS[self.task].check_settings(changes["head"])
        _merge(settings, changes, where=where)
        chosen = self.chosen | {
            f"{section}.{name}" for section, values in changes.items() for name in values
        }
        if settings["encoder"]["directions"] is not None:
            for name in Encoder.implied:
                if f"encoder.{name}" not in chosen:
                    del settings["encoder"][name]
        try:
            recipe = self.model_validate(settings)
        except ValidationError as error:
            faults = "; ".join(_fault(item) for item in error.errors())
            raise ConfigError(f"{where}{faults}") from None
        recipe._chosen = chosen
        return recipe


@functools.cache
def _recipe_class(task: str) -> type[Recipe]:
    """The recipe with the settings of a task's head.

    Raises:
        ConfigError: No such task.
    """
    if task not in TASKS:
        raise ConfigError(f"task is {task!r}: {nearest(task, TASKS)}")
    settings = TASKS[task].settings
    made = create_model("Recipe", __base__=Recipe, head=(settings, settings()))
    made.task = task
    return made


def _restored(task: str, settings: Mapping[str, Any], chosen: frozenset[str]) -> Recipe:
    """The recipe that was pickled."""
    recipe = (_recipe_class(task) if task else Recipe).model_validate(settings)
    recipe._chosen = chosen
    return recipe


def default(task: str, kind: KindName = "words") -> Recipe:
    """The recipe of a task and a kind of input before any setting is changed.

    A word is one of thousands and seen a few times, a symbol one of few and seen thousands of
    times, so the defaults of a task differ by the kind of its input.

    Raises:
        ConfigError: No such task.
    """
    plain = _recipe_class(task)()
    settings = plain.model_dump()
    for key in (None, kind):
        _merge(settings, TASKS[task].defaults.get(key, {}), where="")
    recipe = plain.model_validate(settings)
    recipe._chosen = frozenset()
    return recipe


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: its tables or arrays are nested too deep") from None
    except ValueError:
        raise ConfigError(f"{path}: {TOO_LONG}") from None


def _parse_override(override: str) -> tuple[str, Any]:
    """Key and value of ``section.key=value``; the value is TOML, or else a plain string."""
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise ConfigError(f"--set wants section.key=value, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except RecursionError:
        raise ConfigError(f"--set {key.strip()}: its value is nested too deep") from None
    except ValueError:
        raise ConfigError(f"--set {key.strip()}: {TOO_LONG}") from None
    return f"{section}.{name}", value


def _merge(settings: dict[str, Any], changes: Mapping[str, Any], *, where: str) -> None:
    """Lay changes over the settings; only keys that exist can be changed."""
    faults = []
    for section, values in changes.items():
        if section not in settings:
            faults.append(f"{where}{section} is no section: {nearest(section, settings)}")
        elif not isinstance(values, Mapping):
            faults.append(f"{where}{section} is a section, got {values!r}")
        else:
            known = settings[section]
            unknown = [name for name in values if name not in known]
            faults += [f"{where}{_no_setting(section, name, known)}" for name in unknown]
            known.update({name: value for name, value in values.items() if name in known})
    if faults:
        raise ConfigError("; ".join(faults))


def _no_setting(section: str, name: str, known: Mapping[str, Any]) -> str:
    key = f"{section}.{name}"
    if key in RENAMED:
        return f"{key} is now called {RENAMED[key]}"
    owners = [task for task, head in TASKS.items() if name in head.settings.model_fields]
    if section == "head" and owners:
        every = ", ".join(f"a {owner}" for owner in owners)
        return f"{key} is a setting of {every}; this task has none: leave it out"
    return f"{key} is no setting: {nearest(name, known)}"


def _fault(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    try:
        got = repr(item["input"])
    except ValueError:  # of an integer of so many digits that Python does not print it
        got = f"an integer of {item['input'].bit_length():,} bits"
    what = item["msg"].removeprefix("Value error, ")
    return f"{key}: {what}, got {got if len(got) <= LONGEST else got[:LONGEST] + '...'}"


def settings_table(task: str, kind: KindName = "words") -> list[tuple[str, Any, str]]:
    """Name, default (as JSON has it) and meaning of every setting of a task on a kind of input.

    Example:
        >>> [row[:2] for row in settings_table("tagger")[:3]]
        [('inputs.kind', 'auto'), ('inputs.min_count', 2), ('inputs.max_words', None)]
    """
    recipe = default(task, kind)
    return [
        (
            f"{section}.{name}",
            value,
            getattr(recipe, section).__class__.model_fields[name].description or "",
        )
        for section, values in recipe.model_dump(mode="json").items()
        for name, value in values.items()
    ]
