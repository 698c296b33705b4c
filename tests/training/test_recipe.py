"""Recipes: what sets what, and what is refused with a hint."""

from __future__ import annotations

import pickle

import pytest

from birnn.errors import ConfigError
from birnn.tasks import TASKS
from birnn.training.recipe import Recipe, default, settings_table


def changes(recipe, task="tagger"):
    """Full names and values of the settings that are not the task's defaults."""
    plain = default(task)
    return {
        f"{section}.{name}": getattr(getattr(recipe, section), name)
        for section in type(recipe).model_fields
        for name in type(getattr(recipe, section)).model_fields
        if getattr(getattr(recipe, section), name) != getattr(getattr(plain, section), name)
    }


def test_nothing_set_is_the_default():
    for task in TASKS:
        assert Recipe.load(task) == default(task)
        assert not Recipe.load(task).chosen


def test_toml_then_overrides(tmp_path):
    config = tmp_path / "small.toml"
    config.write_text('[encoder]\ncell = "gru"\nhidden_size = 17\n[training]\nepochs = 3\n')
    recipe = Recipe.load(
        "tagger",
        config=config,
        overrides=["encoder.hidden_size=19", "head.decoder = crf", "inputs.prefixes=[2, 5]"],
    )
    expected = {
        "encoder.cell": "gru",
        "encoder.hidden_size": 19,
        "training.epochs": 3,
        "head.decoder": "crf",
        "inputs.prefixes": (2, 5),
    }
    assert changes(recipe) == expected
    assert recipe.chosen == expected.keys()


def test_values_are_toml_or_plain_text(tmp_path):
    recipe = Recipe.load(
        "classifier",
        overrides=[
            "training.class_weights={spam = 2.0}",
            f"inputs.vectors={tmp_path}/v=1.txt",
            "encoder.residual=true",
        ],
    )
    assert recipe.training.class_weights == {"spam": 2.0}
    assert recipe.inputs.vectors == tmp_path / "v=1.txt"
    assert recipe.encoder.residual is True


@pytest.mark.parametrize("task", [*TASKS, None])
def test_a_recipe_goes_to_other_processes(task):
    recipe = Recipe() if task is None else Recipe.load(task, overrides=["encoder.hidden_size=7"])
    there = pickle.loads(pickle.dumps(recipe))
    assert there.model_dump() == recipe.model_dump()
    assert type(there) is type(recipe)
    assert there.chosen == recipe.chosen


def test_settings_by_full_name_are_the_overrides():
    one = Recipe.load("tagger", overrides=["encoder.hidden_size=64", "training.clip=1.5"])
    other = Recipe.load("tagger").with_settings({"encoder.hidden_size": 64, "training.clip": 1.5})
    assert one == other


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.batch_rows=3", r"training\.batch_rows is now called training\.batch_tokens"),
        ("encoder.hiden_size=3", r"encoder\.hiden_size is no setting: did you mean hidden_size"),
        ("encodr.hidden_size=3", r"encodr is no section: did you mean encoder"),
        ("hidden_size=3", r"wants section\.key=value, got 'hidden_size=3'"),
        ("encoder.hidden_size", r"wants section\.key=value"),
        ("encoder.=3", r"wants section\.key=value"),
        ("encoder.hidden_size=0", r"encoder\.hidden_size: .*greater than .*, got 0"),
        ("encoder.cell=lstn", r"encoder\.cell: .*got 'lstn'"),
        ("dropout.inputs=1.0", r"dropout\.inputs: .*less than 1, got 1\.0"),
        ("training.learning_rate=fast", r"training\.learning_rate: .*got 'fast'"),
    ],
)
def test_a_setting_that_cannot_be_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.load("tagger", overrides=[override])


def test_all_faults_of_a_file_are_named_at_once(tmp_path):
    config = tmp_path / "wrong.toml"
    config.write_text("[encoder]\nhiden_size = 3\n[trainig]\nepochs = 1\n[head]\ndecodr = 'crf'\n")
    with pytest.raises(ConfigError) as caught:
        Recipe.load("tagger", config=config)
    for hint in ("hidden_size", "training", "decoder", "wrong.toml"):
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"[encoder\n", "not TOML"),
        (b"x = '\xff'\n", "not UTF-8"),
        (b"encoder = 3\n", "encoder is a section, got 3"),
    ],
)
def test_a_file_that_does_not_read_is_named(tmp_path, content, message):
    config = tmp_path / "some.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        Recipe.load("tagger", config=config)
    assert str(config) in str(caught.value)


def test_a_task_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="did you mean tagger"):
        Recipe.load("tager")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["words", "symbols", "vectors"])
def test_defaults_of_a_kind_leave_what_was_chosen(task, kind):
    chosen = {"dropout.output": 0.123, "encoder.hidden_size": 7}
    recipe = Recipe.load(task).with_settings(chosen).for_kind(task, kind)
    assert recipe == default(task, kind).with_settings(chosen)


def test_the_table_lists_every_setting_with_the_default_it_has():
    for task in TASKS:
        rows = {name: value for name, value, _ in settings_table(task)}
        for name, value in rows.items():
            section, key = name.split(".")
            assert default(task).model_dump(mode="json")[section][key] == value
        count = sum(len(type(getattr(default(task), s)).model_fields) for s in Recipe.model_fields)
        assert len(rows) == count


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["words", "symbols", "vectors"])
def test_every_setting_is_listed_with_its_default_and_a_meaning(task, kind):
    recipe = default(task, kind).model_dump(mode="json")
    rows = settings_table(task, kind)
    assert {name for name, _, _ in rows} == {f"{s}.{n}" for s in recipe for n in recipe[s]}
    for name, shown, meaning in rows:
        section, _, key = name.partition(".")
        assert shown == recipe[section][key]
        assert meaning


@pytest.mark.parametrize("given", ["heavy", {"a": -1}, {"a": "x"}, {"a": True}, [1], 1.5, None])
def test_class_weights_that_are_none_are_refused_in_plain_words(given):
    with pytest.raises(ConfigError) as caught:
        Recipe().with_settings({"training.class_weights": given})
    said = str(caught.value)
    assert said.startswith(
        "training.class_weights: it must be none, balanced, or a table of finite"
    )
    assert said.count("training.class_weights") == 1


def test_directions_of_layers_say_how_many_there_are(tmp_path):
    each = ("both", "both", "forward")
    config = tmp_path / "mixed.toml"
    config.write_text('[encoder]\ndirections = ["both", "both", "forward"]\n')
    for recipe in (
        Recipe.load("tagger", config=config),
        Recipe.load("tagger", overrides=["encoder.directions=both,both,forward"]),
        Recipe.load("tagger", overrides=["encoder.num_layers=3", f"encoder.directions={[*each]}"]),
    ):
        # Of symbols the default is another number of layers.
        for kind in ("words", "symbols", "vectors"):
            encoder = recipe.for_kind("tagger", kind).encoder
            assert (encoder.directions, encoder.num_layers, encoder.bidirectional) == (
                each,
                3,
                True,
            )
    one = Recipe.load("tagger", config=config, overrides=["encoder.directions=forward"])
    assert (one.encoder.num_layers, one.encoder.bidirectional) == (1, False)


def test_settings_that_only_fit_together_come_in_any_order():
    together = ["encoder.merge_size=7", "encoder.merge=project"]
    one, other = (Recipe.load("tagger", overrides=order) for order in (together, together[::-1]))
    assert one == other
    assert one.encoder.merge_size == 7


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["encoder.directions=both,forward", "encoder.num_layers=3"],
            r"encoder\.directions: num_layers is 3, directions has 2 entries: give one for each",
        ),
        (
            ["encoder.directions=both,forward", "encoder.bidirectional=false"],
            r"encoder\.directions: bidirectional is false, but layer 0 has both directions",
        ),
        (["encoder.directions=both,back"], r"encoder\.directions\.1: .*'forward', got 'back'"),
        (["encoder.merge_size=7"], r"encoder\.merge_size: merge is concat, and only project"),
    ],
)
def test_layers_that_contradict_each_other_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.load("tagger", overrides=overrides)


def test_a_setting_of_another_task_is_named_as_such():
    with pytest.raises(ConfigError, match=r"setting of a classifier, a multilabel, a regr"):
        Recipe.load("tagger", overrides=["head.pooling=max"])
    with pytest.raises(ConfigError, match="is a setting of a tagger; this task has none"):
        Recipe.load("regressor", overrides=["head.scheme=none"])
    with pytest.raises(ConfigError, match="did you mean decoder"):
        Recipe.load("tagger", overrides=["head.decodr=crf"])


@pytest.mark.parametrize(("given", "sizes"), [("32", (32,)), ("[32, 16]", (32, 16)), ("[]", ())])
def test_one_number_of_hidden_units_is_one_layer(given, sizes):
    assert Recipe.load("classifier", overrides=[f"head.hidden={given}"]).head.hidden == sizes
