"""Other libraries that the layers are measured against; `birnn bench` knows torch alone.

All read the bidirectional LSTM of `birnn.studies.bench`; what they need is in requirements.txt.
"""

from __future__ import annotations

from birnn.studies.bench.peers import PEERS as OWN
from birnn.studies.bench.peers import Peer
from peers import compiled, graphs

PEERS = OWN | {
    peer.name: peer
    for peer in (
        Peer(
            "onnxruntime",
            "ONNX Runtime",
            graphs.onnxruntime,
            ("onnxruntime", "onnx"),
            trains=False,
        ),
        Peer("openvino", "OpenVINO", graphs.openvino, ("openvino",), trains=False),
        Peer(
            "keras", "Keras", compiled.keras, ("keras", "tensorflow-cpu"), ("keras", "tensorflow")
        ),
        Peer("flax", "Flax", compiled.flax, ("flax", "jax")),
    )
}
