"""Tasks, a file each: tagger, classifier, regressor."""

from typing import Annotated

from pydantic import Field

from birnn.tasks.classifier import Label
from birnn.tasks.head import Decoder, FittedHead, Head, Scorer, softmax
from birnn.tasks.pooling import Pooled, PoolingName
from birnn.tasks.regressor import Values
from birnn.tasks.tagger import Tags

AnyHead = Annotated[Tags | Label | Values, Field(discriminator="kind")]
"""The description of the head of any task."""

TASKS: dict[str, type[Head]] = {head.task: head for head in (Tags, Label, Values)}
"""The tasks by the names that the command line has for them."""

__all__ = [
    "TASKS",
    "AnyHead",
    "Decoder",
    "FittedHead",
    "Head",
    "Label",
    "Pooled",
    "PoolingName",
    "Scorer",
    "Tags",
    "Values",
    "softmax",
]
