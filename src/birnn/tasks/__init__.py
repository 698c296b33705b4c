"""Tasks, a file each: tagger, classifier, regressor."""

from typing import Annotated

from pydantic import Field

from birnn.data.examples import TargetKind
from birnn.tasks.classifier import Label
from birnn.tasks.pooling import Pooled, PoolingName
from birnn.tasks.regressor import Values
from birnn.tasks.tagger import Tags

Head = Annotated[Tags | Label | Values, Field(discriminator="kind")]
"""The description of any head."""

TARGETS: dict[str, TargetKind] = {"tagger": "tags", "classifier": "label", "regressor": "values"}
"""The kind of target that each task reads."""

__all__ = ["TARGETS", "Head", "Label", "Pooled", "PoolingName", "Tags", "Values"]
