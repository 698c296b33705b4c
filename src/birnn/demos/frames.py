"""Which sound is this frame of? Sounds colour their neighbours, so some are heard only in them.

A word is vowel, consonant, vowel, ..., vowel; each sound lasts some frames, and each frame is a
vector. A sound moves away from where the one before it has left off and towards where the next
begins (`birnn.demos.phones`), so frames at its edges lie between the two. Two pairs of
consonants are told apart by nothing else:

- `RELEASED`, b and d: the same silence. What differs is the place from which the vowel AFTER it
  sets out. A reader from the left has to name every frame of the silence before it can know.
- `APPROACHED`, m and n: the same murmur. What differs is where the vowel BEFORE it heads for. A
  reader from the right has the same trouble with these.

In speech both cues are at work on either side; here they are parted, so that each is measured
alone. `birnn.demos.frames_ideal` is the best reader that there can be, and `ceiling` what it
makes of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birnn.data.examples import Example
from birnn.demos import demo, frames_ideal
from birnn.demos.phones import (
    CONSONANTS,
    EDGE,
    ENDS,
    NOISE,
    PHONES,
    RELEASED,
    VOWELS,
    means,
)

# T frames, D channels, P sounds


def generate(count: int, seed: int, *, split: demo.SplitName = "train") -> list[demo.Sample]:
    """Words in frames, each frame tagged with its sound.

    The kind of a sample is its sounds in order, as in ``adinu``; its frames of b and d are the ones
    decided later.

    Args:
        count: Number of words.
        seed: Seed of the draw.
        split: ``train`` or ``test``: streams of random numbers that have nothing in common.

    Returns:
        Samples whose inputs are float32 of shape (T, 4): `birnn.demos.phones.CHANNELS`.

    Raises:
        ConfigError: A negative count, or no such split.

    Example:
        >>> sample = generate(1, seed=2)[0]
        >>> sample.kind, sample.example.inputs.shape
        ('udi', (12, 4))
        >>> print("".join(sample.example.target))
        uuuuudddiiii
        >>> print("".join("-?"[later] for later in sample.decided_later))
        -----???----
    """
    random = demo.rng(count, seed, split)
    return [_sample(random) for _ in range(count)]


def _sample(random: np.random.Generator) -> demo.Sample:
    sounds = [demo.one_of(random, tuple(VOWELS))]
    while random.random() >= ENDS:
        sounds += [demo.one_of(random, tuple(CONSONANTS)), demo.one_of(random, tuple(VOWELS))]
    tags: list[str] = []
    segments = []
    for before, sound, after in zip([EDGE, *sounds], sounds, [*sounds[1:], EDGE], strict=False):
        durations = PHONES[sound].durations
        duration = durations[random.integers(len(durations))]
        segments.append(means(before, sound, after, duration))
        tags += [sound] * duration
    mean_TD = np.concatenate(segments)
    values_TD = mean_TD + random.normal(size=mean_TD.shape) * NOISE
    later = tuple(tag in RELEASED for tag in tags)
    return demo.Sample(Example(values_TD.astype(np.float32), tuple(tags)), "".join(sounds), later)


def ceiling(
    samples: Sequence[demo.Sample] | None = None, *, both: bool = False
) -> dict[str, float]:
    """Share of frames that no reader can be expected to exceed, by group of frames.

    The best reader knows the chance of every sound at every frame, answers the likeliest, and is
    right with just that chance; its chances are averaged over the frames given. Reading from the
    left, b and d are as likely as each other at every frame, so it is right at half of theirs at
    most. The other frames are not all sure either: where one sound goes over into the next, noise
    hides which of them it is.

    Args:
        samples: Words to average over; 300 held-out ones by default.
        both: Whether the reader knows the frames after a frame too.

    Returns:
        Shares of the frames decided later (of b and d), decided so far, and of all.

    Example:
        >>> one, two = ceiling(), ceiling(both=True)
        >>> one["decided later"] <= 0.5, two["decided later"] > 0.99
        (True, True)
    """
    samples = generate(300, 0, split="test") if samples is None else samples
    released_P = np.array([name in RELEASED for name in PHONES])
    right = dict.fromkeys((demo.LATER, demo.SO_FAR), 0.0)
    frames = dict(right)
    for sample in samples:
        assert isinstance(sample.example.inputs, np.ndarray)
        chance_TP = frames_ideal.sounds_given(sample.example.inputs, both=both)
        best_T, is_later_T = chance_TP.max(axis=1), released_P[chance_TP.argmax(axis=1)]
        for group, mine_P, mine_T in (
            (demo.LATER, released_P, is_later_T),
            (demo.SO_FAR, ~released_P, ~is_later_T),
        ):
            right[group] += float(best_T[mine_T].sum())
            frames[group] += float(chance_TP[:, mine_P].sum())
    shares = {group: right[group] / frames[group] for group in right}
    return shares | {demo.ALL: sum(right.values()) / sum(frames.values())}


DEMO = demo.Demo(
    name="frames",
    title="Sounds in each other's colours",
    about="Words of vowels and consonants, cut into frames of four measurements. Neighbouring "
    "sounds run into each other. The silence of b is that of d, and only the way into the next "
    "vowel tells which it was; the murmur of m is that of n, and only the way out of the last "
    "vowel tells.",
    one_direction="At the frames of b and d a reader from the left has heard silence and nothing "
    "that tells the two apart: it is right half of the time. A reader from the right has the same "
    "trouble with m and n.",
    draw=demo.from_splits(generate),
    size=demo.Size(train=1500, test=500, epochs=16),
    settings=demo.BASE_SETTINGS
    | {
        "encoder.cell": "gru",
        "encoder.hidden_size": 24,
        "encoder.num_layers": 2,
        "training.learning_rate": 0.02,
    },
    unit="frames",
    grouping="tag",
    groups=demo.by_decision,
    limit=ceiling,
)
