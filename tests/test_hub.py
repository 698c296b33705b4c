"""Models on the Hub: the real ``huggingface_hub`` against a stand-in for the Hub on loopback."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard, constants

import birnn
from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols, Tags, load, save
from birnn.bundle.addresses import BUNDLE_FILES, Address
from birnn.errors import BundleError, MissingExtra, OutputError, UsageError, no_notice
from birnn.hub import download, push
from hub_server import IN_UPLOADS, Hub, Repository, own_cache, standing_in

NAME = "ada/tagger"
ADDRESS = f"hf://{NAME}"

pytestmark = pytest.mark.filterwarnings(IN_UPLOADS)


def small(task: str = "tagger", seed: int = 0) -> Bundle:
    head = Tags(size=2) if task == "tagger" else Label(size=2)
    spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=head)
    random = np.random.default_rng(seed)
    tensors = {n: random.standard_normal(s).astype(np.float32) for n, s in spec.tensors().items()}
    return Bundle(
        spec=spec,
        vocabularies={"symbols": ("<unk>", "a", "b"), "labels": ("X", "Y")},
        tensors=tensors,
        metadata={"name": f"of {seed}", "dev": "sets/dev: 1.tsv"},
        metrics={"dev": {"accuracy": 0.5, "f1": 0.25, "tokens": 8, "seconds": 0.1}},
    )


def written(files: dict[str, bytes], folder: Path) -> Bundle:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return load(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path) -> Iterator[Hub]:
    with standing_in(cache) as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(small(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def there(hub: Hub, folder: Path) -> str:
    """A model on the Hub; its commit."""
    repository = hub.repositories[NAME] = Repository()
    return repository.commit({path.name: path.read_bytes() for path in folder.iterdir()})


def refusal(call: Callable[[], object], kind: type[Exception] = BundleError) -> str:
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def left(cache: Path) -> list[str]:
    """Files of the cache that a model would be read from, half-written ones included."""
    return sorted(p.name for p in cache.rglob("snapshots/*/*") if not p.name.startswith("."))


# ------------------------------------------------------------------ there and back


def test_what_is_pushed_is_loaded(hub: Hub, folder: Path, cache: Path) -> None:
    pushed = birnn.push(folder, NAME, message="First")
    assert set(hub.files(NAME)) == {p.name for p in folder.iterdir()} | {".gitattributes"}
    for name in {p.name for p in folder.iterdir()} - {"README.md"}:
        assert hub.files(NAME)[name] == (folder / name).read_bytes()
    assert hub.repositories[NAME].messages == ["", "First"]
    assert str(pushed.address) == f"{ADDRESS}@{hub.repositories[NAME].branches['main']}"
    assert pushed.url == f"{hub.endpoint}/{NAME}"

    loaded, own = birnn.load(str(pushed.address)), birnn.load(folder)
    assert loaded.metrics == own.metrics
    texts = ["abba", "", "b"]
    assert loaded.predict(texts) == own.predict(texts)
    for name, tensor in own.bundle.tensors.items():
        np.testing.assert_array_equal(loaded.bundle.tensors[name], tensor)


def test_only_the_files_of_the_bundle_are_fetched(hub: Hub, there: str, cache: Path) -> None:
    files = hub.files(NAME) | {"huge.bin": b"x", "logs/run.txt": b"x", ".gitattributes": b""}
    hub.repositories[NAME].commit(files)
    load(ADDRESS, tell=no_notice)
    assert set(left(cache)) == set(files) & set(BUNDLE_FILES)
    assert not [line for line in hub.asked if "huge" in line or "logs" in line]


def test_a_commit_stays_when_the_branch_moves(
    hub: Hub, there: str, tmp_path: Path, cache: Path
) -> None:
    save(small(seed=1), tmp_path / "later")
    later = push(tmp_path / "later", NAME)
    told: list[str] = []
    assert load(ADDRESS, tell=told.append).metadata["name"] == "of 1"
    notice = "has no revision, so its newest commit is taken. To stay with it:"
    assert told == [f"{ADDRESS} {notice} {later.address}"]
    told.clear()
    assert load(f"{ADDRESS}@{there}", tell=told.append).metadata["name"] == "of 0"
    assert load(f"{ADDRESS}@main", tell=told.append).metadata["name"] == "of 1"
    assert told == []


def test_the_cache_is_used_without_the_hub(
    hub: Hub, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"{ADDRESS}@{there}"
    first = download(at)
    hub.asked.clear()
    assert download(at) == first
    assert hub.asked == []  # a commit never changes
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()  # a new one knows that it is offline
    assert load(at).metadata["name"] == "of 0"
    message = refusal(lambda: load("hf://ada/other"))
    assert message.startswith("hf://ada/other: is not in the cache of the Hub, and HF_HUB_OFFLINE")
    message = refusal(lambda: push(at, "ada/other"))
    assert "HF_HUB_OFFLINE is set" in message


def test_a_path_keeps_an_address(hub: Hub, there: str) -> None:
    assert load(Path(f"{ADDRESS}@{there}")).metadata["name"] == "of 0"


def test_all_that_takes_a_folder_takes_an_address(hub: Hub, there: str, tmp_path: Path) -> None:
    from birnn.bundle import as_bundle

    at = f"{ADDRESS}@{there}"
    assert as_bundle(at).metadata["name"] == "of 0"
    moved = push(at, "ada/copy")
    assert birnn.load(str(moved.address)).metadata["name"] == "of 0"


# ------------------------------------------------------------------ pushing


def test_a_branch_is_made_and_main_is_left(hub: Hub, there: str, tmp_path: Path) -> None:
    save(small(seed=2), tmp_path / "trial")
    for way in ({"to": f"{NAME}@trial"}, {"to": NAME, "revision": "trial"}):
        push(tmp_path / "trial", **way)
    assert load(f"{ADDRESS}@trial").metadata["name"] == "of 2"
    assert load(f"{ADDRESS}@main").metadata["name"] == "of 0"
    message = refusal(lambda: push(tmp_path / "trial", f"{NAME}@a", revision="b"), UsageError)
    assert "names a revision" in message


def test_files_of_the_model_before_are_removed(hub: Hub, there: str, folder: Path) -> None:
    repository = hub.repositories[NAME]
    repository.commit(hub.files(NAME) | {"background.safetensors": b"old", "notes.txt": b"mine"})
    push(folder, NAME)
    assert "background.safetensors" not in hub.files(NAME)
    assert hub.files(NAME)["notes.txt"] == b"mine"


def test_private_models(
    hub: Hub, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push(folder, NAME, private=True).private
    load(ADDRESS, tell=no_notice)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "of somebody else"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    message = refusal(lambda: load(ADDRESS, tell=no_notice))
    assert message.startswith(f"{ADDRESS}: is not on {hub.endpoint}, or private and not yours")


def test_a_public_repository_does_not_become_private(hub: Hub, there: str, folder: Path) -> None:
    commits = len(hub.repositories[NAME].commits)
    message = refusal(lambda: push(folder, NAME, private=True), OutputError)
    assert message.startswith(f"{ADDRESS}: is public already, nothing was sent.")
    assert len(hub.repositories[NAME].commits) == commits


def test_another_s_repository_is_left(hub: Hub, folder: Path) -> None:
    repository = hub.repositories[NAME] = Repository()
    repository.commit({"config.json": b"{}", "README.md": b"# BERT"})
    message = refusal(lambda: push(folder, NAME), OutputError)
    assert message.startswith(f"{ADDRESS}: holds something else (config.json), nothing was sent.")
    assert len(repository.commits) == 1


def test_no_bundle_is_pushed_but_a_whole_one(hub: Hub, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x")
    refusal(lambda: push(folder, NAME))
    assert hub.asked == []


def test_the_hub_reads_the_card(hub: Hub, folder: Path) -> None:
    push(folder, NAME)
    card = ModelCard(hub.files(NAME)["README.md"].decode())
    assert (card.data.library_name, card.data.pipeline_tag) == ("birnn", "token-classification")
    assert card.data.tags == ["birnn", "tagger", "lstm", "bidirectional"]
    results = {
        (r.task_type, r.dataset_name, r.dataset_split, r.metric_type): r.metric_value
        for r in card.data.eval_results
    }
    at = ("token-classification", "dev: 1.tsv", "dev")
    assert results == {(*at, "accuracy"): 0.5, (*at, "f1"): 0.25}
    assert card.data.model_name == "of 0"


def test_a_card_written_by_hand_stays(hub: Hub, folder: Path) -> None:
    (folder / "README.md").write_text("# Mine\n", "utf-8")
    push(folder, NAME)
    card = ModelCard(hub.files(NAME)["README.md"].decode())
    assert (card.text.strip(), card.data.library_name) == ("# Mine", "birnn")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n", "utf-8")
    push(folder, NAME)
    assert hub.files(NAME)["README.md"] == b"---\nlicense: mit\n---\n# Mine\n"


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    "address",
    ["hf://tagger", "hf://", "hf:ada/tagger", "hf://ada/tagger@", "hf://ada/tagger@a b",
     "hf://ada/tag ger", "hf://ada/b/c", "hf://../../etc", "hf://ada/tagger@../../x",
     "hf://ada/tagger@v1@v2", "hf://ada/\N{WHITE SMILING FACE}", "hf://ada/a\nb",
     f"hf://ada/{'a' * 300}"],
)  # fmt: skip
def test_a_bad_address_is_refused_before_the_network(address: str) -> None:
    message = refusal(lambda: load(address), UsageError)
    assert "hf://" in message
    assert len(message) < 500


def test_no_such_model_and_no_such_revision(hub: Hub, there: str, cache: Path) -> None:
    message = refusal(lambda: load("hf://ada/nothing"))
    assert message.startswith(f"hf://ada/nothing: is not on {hub.endpoint}")
    message = refusal(lambda: load(f"{ADDRESS}@v9"))
    assert message.startswith(f"{ADDRESS}@v9: has no revision v9.")
    message = refusal(lambda: load(f"{ADDRESS}@{'0' * 40}"))
    assert "has no revision" in message
    assert left(cache) == []


def test_access_is_refused(
    hub: Hub, there: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[NAME].gated = True
    message = refusal(lambda: load(ADDRESS))
    assert message.startswith(f"{ADDRESS}: its owner gives access on request only.")
    hub.repositories[NAME].gated = False
    hub.refuses = 403
    message = refusal(lambda: push(folder, "bob/tagger"))
    assert message.startswith(f"hf://bob/tagger: {hub.endpoint} refuses access (403).")
    hub.refuses = None
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    message = refusal(lambda: push(folder, NAME))
    assert "refuses access (401)" in message
    monkeypatch.delenv("HF_TOKEN")
    assert "refuses access (401)" in refusal(lambda: push(folder, NAME))


def test_a_repository_without_a_bundle(hub: Hub, there: str) -> None:
    hub.repositories[NAME].commit({"config.json": b"{}"})
    message = refusal(lambda: load(f"{ADDRESS}@main"))
    assert message.startswith(f"{ADDRESS}@main: is not a bundle: it has no birnn.json.")


def test_a_repository_that_lacks_a_file(hub: Hub, there: str) -> None:
    files = dict(hub.files(NAME))
    del files["vocab.json"]
    hub.repositories[NAME].commit(files)
    message = refusal(lambda: load(f"{ADDRESS}@main"))
    assert "vocab.json is missing. Its files are as the Hub has them" in message


def test_damaged_bytes_are_seen_and_not_kept(hub: Hub, there: str, cache: Path) -> None:
    at = f"{ADDRESS}@{there}"
    for name in ("model.safetensors", "vocab.json"):
        hub.spoil[name] = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    message = refusal(lambda: load(at))
    assert message.startswith(f"{at}: 2 faults: ")
    assert message.endswith(
        "vocab.json and model.safetensors came damaged and was removed from the cache: try again."
    )
    assert not {"model.safetensors", "vocab.json"} & set(left(cache))
    hub.spoil.clear()
    assert load(at).metadata["name"] == "of 0"


def test_a_bundle_that_is_damaged_on_the_hub_is_its_owner_s(hub: Hub, there: str) -> None:
    files = dict(hub.files(NAME))
    files["model.safetensors"] = files["model.safetensors"][:-1] + b"?"
    hub.repositories[NAME].commit(files)
    message = refusal(lambda: load(f"{ADDRESS}@main"))
    assert message.endswith("Its files are as the Hub has them: tell whoever put them there.")


def test_a_download_that_breaks_leaves_no_half_file(
    hub: Hub, there: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the tries
    hub.spoil["model.safetensors"] = lambda content: content[:7]
    message = refusal(lambda: load(f"{ADDRESS}@{there}"))
    assert message.startswith(f"{ADDRESS}@{there}: the transfer broke, {hub.endpoint}: ")
    assert "model.safetensors" not in left(cache)
    hub.spoil.clear()
    assert load(f"{ADDRESS}@{there}").metadata["name"] == "of 0"


def test_no_network(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with own_cache(cache):
        message = refusal(lambda: load(ADDRESS))
        assert f"{endpoint} cannot be reached: " in refusal(lambda: push(folder, NAME))
    assert message == (
        f"{ADDRESS}: {endpoint} cannot be reached, and the cache does not have it. Try again later."
    )


def test_a_hub_that_fails(hub: Hub, folder: Path) -> None:
    hub.status = 418
    message = refusal(lambda: push(folder, NAME))
    assert message.startswith(f"{ADDRESS}: {hub.endpoint} answers 418")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    message = refusal(lambda: load(ADDRESS), MissingExtra)
    assert message == "this needs huggingface_hub: pip install 'birnn[hub]'"


def test_links_of_a_folder_still_may_not_leave_it(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "vocab.json", tmp_path / "vocab.json")
    (folder / "vocab.json").symlink_to(tmp_path / "vocab.json")
    assert "leaves the folder: refused" in refusal(lambda: load(folder))


@pytest.mark.parametrize("text", ["ada/tagger", "hf://ada/tagger", "hf:/ada/tagger"])
def test_names_and_addresses_are_one(text: str) -> None:
    assert Address.of(text) == Address("ada/tagger")
