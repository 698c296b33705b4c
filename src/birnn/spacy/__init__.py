"""A model as a component of a spaCy pipeline: entities, tags or categories on the `Doc`.

The factory ``birnn`` is found by its entry point where birnn is installed, and after
``import birnn.spacy`` anywhere: ``nlp.add_pipe("birnn", config={"model": "ner/"})``.
"""

from birnn.errors import require

require("spacy", extra="spacy")

from birnn.spacy.component import BiRNNComponent, make_component

__all__ = ["BiRNNComponent", "make_component"]
