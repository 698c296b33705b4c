"""The words of the embedded reviews: what is reviewed, what is found of it, and in what frames.

Every finding fits every frame, and every frame everything reviewed, so that sentences are
combinations of equal standing.
"""

from __future__ import annotations

# finding -> phrases for it; each list has as many
FINDINGS: dict[str, tuple[str, ...]] = {
    "positive": (
        "great",
        "amazing",
        "wonderful",
        "superb",
        "delightful",
        "brilliant",
        "excellent",
        "charming",
        "a joy",
        "a triumph",
        "worth every penny",
        "a real treat",
    ),
    "negative": (
        "bad",
        "awful",
        "terrible",
        "dreadful",
        "boring",
        "horrible",
        "disappointing",
        "clumsy",
        "a mess",
        "a letdown",
        "a waste of time",
        "a total failure",
    ),
    "neutral": (
        "average",
        "ordinary",
        "passable",
        "middling",
        "unremarkable",
        "okay",
        "acceptable",
        "standard",
        "a mixed bag",
        "a routine job",
        "run of the mill",
        "middle of the road",
    ),
}

# thing -> aspects of it; each list has as many, and no word stands in two
THINGS: dict[str, tuple[str, ...]] = {
    "film": ("plot", "acting", "ending", "soundtrack", "dialogue"),
    "meal": ("soup", "service", "dessert", "wine", "sauce"),
    "book": ("story", "style", "finale", "heroine", "opening"),
    "hotel": ("room", "breakfast", "view", "lobby", "pool"),
    "phone": ("screen", "camera", "battery", "keyboard", "speaker"),
    "concert": ("singer", "drummer", "stage", "encore", "lighting"),
}

# kind -> (frame, which verdict it carries). A verdict is that of the first or of the second
# finding, the opposite of the only one, or neutral where both are denied or both stand. The words
# marked with ^ decide, beside the finding that carries the verdict. Every frame names an aspect,
# so all hold equally many sentences.
FRAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "plain": (
        ("the {aspect} was {first} .", "first"),
        ("overall i found the {aspect} of this {thing} {first} .", "first"),
        ("this {thing} is {first} from start to finish , above all the {aspect} .", "first"),
        ("we all agreed that the {aspect} was {first} .", "first"),
    ),
    "negation": (
        ("the {aspect} was ^not {first} at all .", "opposite"),
        ("^nothing about the {aspect} was {first} .", "opposite"),
        ("i would ^never call the {aspect} {first} .", "opposite"),
        ("{first} ? ^that ^is ^the ^last ^thing i would say of the {aspect} .", "opposite"),
        ("the {aspect} was ^neither {first} ^nor {second} .", "neither"),
        ("i would ^not call the {aspect} {first} , ^nor would i call it {second} .", "neither"),
        ("{first} to ^some and {second} to ^others , that is the {aspect} .", "neither"),
        ("^half of the {aspect} was {first} , the other ^half {second} .", "neither"),
    ),
    "turn": (
        ("i thought the {thing} would be {first} ^but the {aspect} made it {second} .", "second"),
        (
            "the {thing} was {first} ^until the {aspect} turned it into something {second} .",
            "second",
        ),
        ("the {aspect} seemed {first} ^at ^first , ^in ^the ^end it was {second} .", "second"),
        ("^in ^the ^end the {aspect} was {first} , at first it seemed {second} .", "first"),
        ("the {aspect} started out {first} and ^ended ^up {second} .", "second"),
        ("the {aspect} ^ended ^up {first} , it had started out {second} .", "first"),
    ),
    "concession": (
        ("^although the {aspect} was {first} , the {thing} was {second} .", "second"),
        ("the {thing} was {first} , ^although the {aspect} was {second} .", "first"),
        ("^despite the {aspect} , which was {first} , i call this {thing} {second} .", "second"),
        ("i call this {thing} {first} , ^despite the {aspect} , which was {second} .", "first"),
        ("the {aspect} is {first} , ^even ^so the {thing} is {second} .", "second"),
    ),
    "correction": (
        ("the {aspect} was ^not {first} , it was {second} .", "second"),
        ("the {aspect} was {first} , it was ^not {second} .", "first"),
        ("^far ^from being {first} , the {aspect} was {second} .", "second"),
        ("the {aspect} was {first} , ^far ^from being {second} .", "first"),
        ("^nobody can call the {aspect} {first} , it is {second} .", "second"),
    ),
    "opinion": (
        ("the critics call the {aspect} {first} , ^i call it {second} .", "second"),
        ("^i call the {aspect} {first} , the critics call it {second} .", "first"),
        ("my friends found the {aspect} {first} , for ^me it was {second} .", "second"),
        ("for ^me the {aspect} was {first} , my friends found it {second} .", "first"),
        ("they say the {aspect} is {first} , the ^truth is that it is {second} .", "second"),
    ),
    "regret": (
        ("the {thing} ^would have been {first} ^if the {aspect} had not been {second} .", "second"),
        (
            "^if the {aspect} had not been {first} , the {thing} ^would have been {second} .",
            "first",
        ),
        ("^if ^only the {aspect} were as {first} as they say , but it is {second} .", "second"),
        ("^without the {aspect} it ^would have been {first} , now it is {second} .", "second"),
    ),
}
