"""Tags text with an exported tagger of words: ONNX Runtime and NumPy alone, without birnn.

python tag_with_onnxruntime.py tagger.onnx < sentences.txt    (a sentence a line, split at spaces)
"""

import json
import re
import sys
import unicodedata

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
kept = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
inputs, rules, known = kept["birnn.spec"]["inputs"], kept["birnn.rules"], kept["birnn.vocabularies"]
numbers = {name: {item: n for n, item in enumerate(items)} for name, items in known.items()}


def canonical(text):
    return unicodedata.normalize("NFC", re.sub(rules["removed"], "", text))


def looked_up(form, lowercase=True, digits=True):
    form = canonical(form.lower()) if lowercase else form
    return re.sub(r"\d", "0", form) if digits else form


def features(form, prefixes, suffixes, **_):
    plain = looked_up(form)
    kinds = ((c, c.isupper(), c.islower(), c.isdigit()) for c in form)
    marks = ("X" if X else "x" if x else "d" if d else c for c, X, x, d in kinds)
    found = [f"p{n}={plain[:n]}" if len(plain) >= n else "" for n in prefixes]
    found += [f"s{n}={plain[-n:]}" if len(plain) >= n else "" for n in suffixes]
    return [*found, "shape=" + re.sub(r"(?s)(.)\1{2,}", r"\1\1", "".join(marks))]


def padded(name, rows):
    width, get = max(map(len, rows), default=0), numbers[name].get
    table = [[get(i, 0) for i in r] + [0] * (width - len(r)) for r in rows]
    return np.array(table, np.int64).reshape(len(rows), width)


lines = [canonical(line).split() for line in sys.stdin]
forms = list(dict.fromkeys(form for line in lines for form in line))
numbers["forms"] = {form: n for n, form in enumerate(forms)}
words = [[looked_up(form, rules["lowercase"], rules["digits"])] for form in forms]
feeds = {"forms": padded("forms", lines), "words": padded("words", words).reshape(-1)}
feeds["lengths"] = np.array(list(map(len, lines)), np.int64)
if inputs["characters"]:
    half = rules["longest_spelling"] // 2
    letters = [form if len(form) <= 2 * half else form[:half] + form[-half:] for form in forms]
    feeds["characters"] = padded("characters", letters)
    feeds["character_lengths"] = np.array(list(map(len, letters)), np.int64)
if inputs["surface"]:
    rows = [features(form, **inputs["surface"]) for form in [*forms, ""]]
    feeds["features"] = padded("traits", rows)[:-1]  # as wide without a form
for line, tags in zip(lines, session.run(["tags"], feeds)[0]):
    print(*(f"{form}\t{known['labels'][n]}" for form, n in zip(line, tags)), "", sep="\n")
