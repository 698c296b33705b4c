"""The options of reading, as every command that reads files takes them."""

from __future__ import annotations

import inspect

import pytest
import typer

from birnn.cli.main import main
from birnn.cli.options import with_read_options
from birnn.cli.tree import app
from birnn.data.options import ReadOptions
from birnn.errors import ConfigError, UsageError
from birnn.tasks import TASKS


def asked(**given):
    """What a command is handed for these arguments of the command line."""
    found = []

    @with_read_options
    def command(*, reading: ReadOptions) -> int:
        found.append(reading)
        return 0

    parameters = inspect.signature(command).parameters.values()
    command(**({each.name: each.default for each in parameters} | given))
    return found[0]


def test_what_is_not_given_is_not_set():
    assert asked().model_fields_set == set()
    assert asked(header=False).model_fields_set == {"header"}


def test_columns_and_splits_are_read():
    assert asked(columns="token=2,tag=-1").columns == {"token": 2, "tag": -1}
    assert [asked(as_tokens=True).split, asked(as_text=True).split] == ["tokens", "text"]
    pair = asked(source_split="characters", target_split="-").model_dump(exclude_unset=True)
    assert pair == {"source_split": "characters", "target_split": "-"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"columns": "token:2"}, "--columns is 'token:2'"),
        ({"columns": "word=2"}, "columns.word"),
        ({"columns": "token=1,tag=1"}, "columns: token and tag are one column"),
        ({"as_tokens": True, "as_text": True}, "choose one"),
        ({"delimiter": "::"}, "delimiter"),
        ({"target_split": "space"}, "did you mean spaces"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises((UsageError, ConfigError), match=says):
        asked(**given)


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "explain", "compare", "demo"])
def test_every_command_that_reads_files_takes_them(name):
    command = typer.main.get_command(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--format", "--columns", "--text-column", "--header", "--tokens"} <= options
    assert {"--source-split", "--target-split"} <= options


def test_a_model_reads_as_it_was_trained_unless_told_otherwise():
    kept = ReadOptions.of({"field": "xpos", "header": True, "format": "csv"}).kept()
    given = ReadOptions.of({"header": False, "split": "text"})
    merged = given.over(kept)
    assert merged.model_dump() == ReadOptions(field="xpos", header=False, split="text").model_dump()


def test_the_help_names_every_task(capsys):
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert [task for task in TASKS if task not in said] == []
