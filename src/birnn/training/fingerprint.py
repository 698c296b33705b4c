"""What decides the result of a run: a resume checks that it is the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from birnn.data import Example
from birnn.training.sets import Sets
from birnn.training.start import WarmStart

OTHER = {
    "training data": "was another",
    "dev data": "was another",
    "pretrained vectors": "were others",
    "model to start from": "was another",
}


def describe(
    *,
    task: str,
    seed: int,
    recipe: Mapping[str, Any],
    sets: Sets,
    vectors: tuple[str, Mapping[str, np.ndarray[Any, Any]]] | None = None,
    start: WarmStart | None = None,
) -> dict[str, Any]:
    """What decides the result of a run: its settings, and digests of its data.

    Args:
        task: What is learnt.
        seed: Of the run.
        recipe: Settings by section and key, as JSON holds them.
        sets: The examples; a dev set that is held out follows from the others.
        vectors: Name of the file of pretrained vectors, and the tensors that start from them.
        start: The model that training starts from.
    """
    data = {"training data": {"source": sets.name_of("train"), "digest": _digest(sets.train)}}
    if not sets.held_out:
        data["dev data"] = {"source": sets.name_of("dev"), "digest": _digest(sets.dev)}
    if vectors is not None:
        file, tensors = vectors
        digest = hashlib.sha256()
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        data["pretrained vectors"] = {"source": file, "digest": digest.hexdigest()}
    if start is not None:
        data["model to start from"] = {"source": start.name, "digest": start.digest()}
    freeze = [] if start is None else list(start.freeze)
    settings = {
        f"{section}.{key}": value
        for section, values in recipe.items()
        for key, value in values.items()
    }
    return {"settings": {"task": task, "seed": seed, "freeze": freeze, **settings}, "data": data}


def _digest(examples: Iterable[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        for part in (example.inputs, example.target, *example.references):
            if isinstance(part, np.ndarray):
                digest.update(f"{part.dtype} {part.shape}".encode())
                digest.update(np.ascontiguousarray(part).tobytes())
            else:
                digest.update(f"{part!r}\n".encode())
    return digest.hexdigest()


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two descriptions of runs differ in, in words.

    Example:
        >>> runs = [
        ...     describe(
        ...         task="tagger",
        ...         seed=seed,
        ...         recipe={},
        ...         sets=Sets([Example(("a",), (tag,))], [], names={"train": "a.tsv"}),
        ...     )
        ...     for seed, tag in ((1, "x"), (2, "y"))
        ... ]
        >>> differences(*runs)
        ['seed was 1, now 2', 'the training data was another (a.tsv has changed)']
    """
    then, settings = earlier["settings"], now["settings"]
    if "task" in then and then["task"] == settings["task"] and then.keys() != settings.keys():
        others = ", ".join(sorted(then.keys() ^ settings.keys()))
        return [f"another version of birnn began it, with other settings ({others})"]
    changed = [
        f"{name} was {then.get(name)!r}, now {settings.get(name)!r}"
        for name in {**then, **settings}
        if then.get(name) != settings.get(name)
    ]
    before, data = earlier["data"], now["data"]
    names = list({**before, **data})
    if before["training data"]["digest"] != data["training data"]["digest"]:
        # Which vectors are taken hangs on the words of training: nothing is known of their file.
        names = [name for name in names if name != "pretrained vectors"]
    for name in names:
        old, new = before.get(name), data.get(name)
        if old is None or new is None:
            was, now_is = (part["source"] if part is not None else "none" for part in (old, new))
            changed.append(f"{name}: {was} then, {now_is} now")
        elif old["digest"] != new["digest"]:
            same = old["source"] == new["source"]
            how = f"{new['source']} has changed" if same else f"it was {old['source']}"
            changed.append(f"the {name} {OTHER[name]} ({how})")
    return changed
