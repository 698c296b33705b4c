"""Writes targets with an exported model of pairs: ONNX Runtime and NumPy alone, without birnn.

python write_with_onnxruntime.py sounds.onnx < words.txt    (a source a line, as in training)
"""

import json
import sys
import unicodedata

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
kept = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
known, replaced = kept["birnn.vocabularies"], kept["birnn.rules"]["replaced"]
numbers = {symbol: n for n, symbol in enumerate(known["symbols"])}
way = kept["birnn.metadata"].get("reading", {}).get("source_split", "characters")
separator = kept["birnn.spec"]["head"]["separator"]


def symbols_of(line):
    text = unicodedata.normalize("NFC", line)
    if way == "characters":
        return list(text.strip())
    parts = text.split(None if way == "spaces" else way)
    return [part.strip() for part in parts if part.strip()]


sources = [symbols_of(line) for line in sys.stdin]
lengths = np.array(list(map(len, sources)), np.int64)
symbols = np.zeros((len(sources), lengths.max(initial=0)), np.int64)
for row, source in zip(symbols, sources):
    row[: len(source)] = [numbers.get(replaced.get(s, s), 0) for s in source]
targets, ended = session.run(["targets", "ended"], {"symbols": symbols, "lengths": lengths})
for row in targets:
    print(separator.join(known["targets"][n] for n in row if n))
if not ended.all():
    print(f"{(~ended).sum()} targets were cut at the most symbols", file=sys.stderr)
