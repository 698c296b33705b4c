"""Layers for ragged batches, in torch."""

from birnn.nn.attention import AdditiveAttention
from birnn.nn.birnn import BiRNN, BiRNNOutput, State
from birnn.nn.crf import CRF
from birnn.nn.dropout import SequenceNoise, VariationalDropout, WordDropout
from birnn.nn.pooling import pool

__all__ = [
    "CRF",
    "AdditiveAttention",
    "BiRNN",
    "BiRNNOutput",
    "SequenceNoise",
    "State",
    "VariationalDropout",
    "WordDropout",
    "pool",
]
