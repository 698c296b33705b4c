"""Layers for ragged batches, in torch."""

from birnn.errors import require

require("torch", extra="train")

from birnn.nn.accelerate import Swapped, accelerate, decelerate
from birnn.nn.attention import Attention
from birnn.nn.birnn import BiRNN
from birnn.nn.bridge import Bridge
from birnn.nn.causal import Forecaster, LanguageModel
from birnn.nn.crf import CRF
from birnn.nn.decoder import AttentionDecoder
from birnn.nn.dropout import SequenceNoise, VariationalDropout, WordDropout
from birnn.nn.manual import ManualBiRNN
from birnn.nn.outputs import BiRNNOutput, DecoderState, DecoderStep, LayerOutput, State
from birnn.nn.pooling import AdditiveAttention, LinearAttention, pool
from birnn.nn.recurrent import GRU, LSTM, RNN
from birnn.nn.torch_layers import from_torch, to_torch

__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "Attention",
    "AttentionDecoder",
    "BiRNN",
    "BiRNNOutput",
    "Bridge",
    "DecoderState",
    "DecoderStep",
    "Forecaster",
    "LanguageModel",
    "LayerOutput",
    "LinearAttention",
    "ManualBiRNN",
    "SequenceNoise",
    "State",
    "Swapped",
    "VariationalDropout",
    "WordDropout",
    "accelerate",
    "decelerate",
    "from_torch",
    "pool",
    "to_torch",
]
