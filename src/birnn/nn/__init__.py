"""Layers for ragged batches, in torch."""

from birnn.nn.accelerate import Swapped, accelerate, decelerate
from birnn.nn.birnn import BiRNN, BiRNNOutput, LayerOutput, State
from birnn.nn.causal import Forecaster, LanguageModel
from birnn.nn.crf import CRF
from birnn.nn.dropout import SequenceNoise, VariationalDropout, WordDropout
from birnn.nn.pooling import AdditiveAttention, pool
from birnn.nn.recurrent import GRU, LSTM, RNN

__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "BiRNN",
    "BiRNNOutput",
    "Forecaster",
    "LanguageModel",
    "LayerOutput",
    "SequenceNoise",
    "State",
    "Swapped",
    "VariationalDropout",
    "WordDropout",
    "accelerate",
    "decelerate",
    "pool",
]
