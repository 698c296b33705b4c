"""Files of annotation tools: what is read, what is counted and told, what is refused."""

from __future__ import annotations

import json

import pytest

from birnn.data import ReadOptions, read
from birnn.errors import FormatError

TEXT = "Ada Lovelace met Babbage in London."
TAGS = ("B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O")
SPANS = [(0, 12, "PER"), (17, 24, "PER"), (28, 34, "LOC")]
FACE = "\N{GRINNING FACE}"


def lines(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def doccano(text=TEXT, spans=SPANS, key="label", **more):
    return {"text": text, key: [list(span) for span in spans], **more}


def new_doccano(text=TEXT, spans=SPANS):
    entities = [
        {"id": n, "label": label, "start_offset": start, "end_offset": end}
        for n, (start, end, label) in enumerate(spans)
    ]
    return {"id": 7, "text": text, "entities": entities, "relations": [], "Comments": []}


def prodigy(text=TEXT, spans=SPANS, **more):
    found = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    return {"text": text, "spans": found, "_task_hash": 1, "answer": "accept"} | more


def regions(spans, text=None):
    return [
        {
            "type": "labels",
            "value": {"start": start, "end": end, "labels": [label]}
            | ({} if text is None else {"text": text[start:end]}),
        }
        for start, end, label in spans
    ]


def studio(*annotations, text=TEXT, **more):
    done = [each if isinstance(each, dict) else {"result": each} for each in annotations]
    return {"id": 3, "data": {"text": text}, "annotations": done, **more}


def minimal(text=TEXT, spans=SPANS, **more):
    label = [{"start": start, "end": end, "labels": [label]} for start, end, label in spans]
    return {"id": 3, "text": text, "label": label, "annotator": 1} | more


def brat(text=TEXT, spans=SPANS, extra=""):
    rows = [
        f"T{number}\t{label} {start} {end}\t{text[start:end]}\n"
        for number, (start, end, label) in enumerate(spans, 1)
    ]
    return "".join(rows) + extra


@pytest.fixture
def told():
    return []


def tagged(path, told, **options):
    return [
        (e.inputs, e.target) for e in read(path, "tags", ReadOptions(**options), tell=told.append)
    ]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jsonl", lines(doccano()), "doccano"),
        ("a.jsonl", lines(doccano(key="labels")), "doccano"),
        ("a.jsonl", lines(doccano(key="entities")), "doccano"),
        ("a.jsonl", lines(new_doccano()), "doccano"),
        ("a.jsonl", lines(prodigy()), "prodigy"),
        ("a.json", json.dumps([studio(regions(SPANS))], indent=1), "label-studio"),
        ("a.json", json.dumps([minimal()]), "label-studio"),
    ],
)
def test_spans_become_tags(write, told, name, content, kind):
    path = write(name, content)
    [(tokens, tags)] = tagged(path, told)
    assert tokens == ("Ada", "Lovelace", "met", "Babbage", "in", "London", ".")
    assert tags == TAGS
    assert told == (
        [f"{path}:1: read as {kind}; --format says otherwise"] if ".jsonl" in name else []
    )
    [example] = read(path, "tags", ReadOptions(format=kind))
    assert example.text == TEXT
    assert [TEXT[start:end] for start, end in example.offsets] == list(tokens)
    [bare] = read(path, "tags", ReadOptions(format=kind), labelled=False)
    assert (bare.inputs, bare.target) == (tokens, None)


def test_a_folder_of_brat_and_one_document(write, told):
    more = "R1\tknows Arg1:T1 Arg2:T2\nE1\tT1\n#1\tAnnotatorNotes T1\thm\n"
    more += "T4\tPER 0 3;17 24\tAda Babbage\n"
    write("a.txt", TEXT)
    path = write("a.ann", brat(extra=more))
    write("b.txt", "")
    write("b.ann", "")
    write("c.txt", "no annotation")
    expected = ("Ada", "Lovelace", "met", "Babbage", "in", "London", ".")
    assert tagged(path, told) == [(expected, TAGS)]
    assert [line.split(": ", 1)[1] for line in told] == [
        "relations, which are not read: 1, the first here",
        "events, which are not read: 1, the first here",
        "notes, which are not read: 1, the first here",
        "spans of several parts, left out: 1, the first here",
    ]
    told.clear()
    found = list(read(path.parent, "tags", tell=told.append))
    assert [(e.id, len(e)) for e in found] == [("a", 7), ("b", 0)]
    assert "texts without an .ann file, left out: 1" in told[0]
    assert len(list(read(path.parent, "tags", labelled=False))) == 3


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_brat_with_other_line_ends_and_marks_than_when_it_was_annotated(write, mark):
    # as annotated, and as saved since: the texts beside the offsets say which
    for annotated in ("Ann\r\nBob met Cy", "Ann\nBob met Cy", "\ufeffAnn\nBob met Cy"):
        start = annotated.index("Bob")
        path = write("a.ann", brat(annotated, [(start, start + 3, "PER")]))
        for ends in ("\n", "\r\n"):
            write("a.txt", mark + "Ann\nBob met Cy".replace("\n", ends))
            if annotated.startswith("\ufeff") and not mark:
                continue  # nothing shows that a mark was there
            [example] = read(path, "tags")
            if "\r" in annotated and ends == "\n":
                continue
            assert example.target == ("O", "B-PER", "O", "O"), (annotated, ends)


def test_what_does_not_align_is_told_and_by_the_option_snapped_dropped_or_refused(write, told):
    spans = [(1, 12, "PER"), (0, 3, "X"), (16, 25, "PER"), (27, 27, "Y"), (17, 24, "PER")]
    path = write("a.jsonl", lines(doccano(spans=spans)))
    [(_, tags)] = tagged(path, told, format="doccano")
    assert tags == ("B-PER", "I-PER", "O", "B-PER", "O", "O", "O")
    assert [line.removeprefix(f"{path}:1: ") for line in told] == [
        "spans that begin or end within a token, widened to whole tokens: 1, the first here",
        "spans that begin or end with white space, read without it: 1, the first here",
        "spans that cover no token, left out: 1, the first here",
        "spans that overlap others, the longer one kept: 1, the first here",
        "spans that stand there twice, read once: 1, the first here",
    ]
    [(_, tags)] = tagged(path, told, format="doccano", misaligned="drop")
    assert tags == ("B-X", "O", "O", "B-PER", "O", "O", "O")
    with pytest.raises(FormatError, match=r"a.jsonl:1: the span 1 to 12 'da Lovelace' \(PER\) is"):
        tagged(path, told, format="doccano", misaligned="refuse")


@pytest.mark.parametrize("span", [(28, 99, "LOC"), (-3, 3, "LOC"), (9, 3, "LOC")])
def test_spans_that_leave_the_text_or_end_before_they_begin_are_refused(write, told, span):
    path = write("a.jsonl", lines(doccano(), doccano(spans=[span, SPANS[0]])))
    with pytest.raises(FormatError, match=r"a.jsonl:2: the span .*--misaligned drop"):
        tagged(path, told, format="doccano")
    [_, (_, tags)] = tagged(path, told, format="doccano", misaligned="drop")
    assert tags == ("B-PER", "I-PER", "O", "O", "O", "O", "O")


@pytest.mark.parametrize("unit", ["characters", "utf16", "bytes"])
@pytest.mark.parametrize("form", ["doccano", "prodigy", "label-studio", "text of label-studio"])
def test_what_offsets_count(write, told, unit, form):
    text = f"{FACE}{FACE} é Ada\tmet Bob"
    codes = {"characters": "utf-32-le", "utf16": "utf-16-le", "bytes": "utf-8"}
    size = {"characters": 4, "utf16": 2, "bytes": 1}[unit]

    def place(at):
        return len(text[:at].encode(codes[unit])) // size

    spans = []
    for name in ("Ada", "Bob"):
        start = text.index(name)
        spans.append((place(start), place(start + 3), "PER"))
    content = {
        "doccano": lines(doccano(text, spans)),
        "prodigy": lines(prodigy(text, spans)),
        "label-studio": json.dumps([studio(regions(spans), text=text)]),
        "text of label-studio": json.dumps([minimal(text, spans)]),
    }[form]
    if form == "text of label-studio":
        record = json.loads(content)
        for region, name in zip(record[0]["label"], ("Ada", "Bob"), strict=True):
            region["text"] = name
        content = json.dumps(record)
    path = write("a.json", content)
    options = {"format": form.split()[-1], "split": "text"}
    if unit == "bytes" and form != "text of label-studio":
        options["offsets"] = "bytes"  # nothing else would show it
    [(tokens, tags)] = tagged(path, told, **options)
    assert tags[tokens.index("Ada")] == tags[tokens.index("Bob")] == "B-PER"
    assert len([tag for tag in tags if tag != "O"]) == 2
    assert bool(told) == (unit != "characters" and "offsets" not in options)
    if told:
        assert "--offsets says otherwise" in told[0]


def test_answers_of_prodigy(write, told):
    given = [prodigy(answer=answer) for answer in ("accept", "reject", "ignore", "reject")]
    path = write("a.jsonl", lines(*given))
    assert len(tagged(path, told)) == 1
    assert [line.split(": ", 1)[1] for line in told[1:]] == [
        "examples whose answer is reject, left out: 2, the first here",
        "examples whose answer is ignore, left out: 1, the first here",
    ]
    assert len(list(read(path, "tags", labelled=False))) == 4
    with pytest.raises(FormatError, match=r"a.jsonl:1: answer is 'no'"):
        tagged(write("a.jsonl", lines(prodigy(answer="no"))), told)


def test_tokens_of_prodigy_are_taken_as_they_are(write, told):
    text = "well-known  Ada"
    cuts = [(0, 4), (4, 5), (5, 10), (11, 12), (12, 15)]
    tokens = [{"text": text[a:b], "start": a, "end": b, "id": n} for n, (a, b) in enumerate(cuts)]
    path = write("a.jsonl", lines(prodigy(text, [(12, 15, "PER")], tokens=tokens)))
    assert tagged(path, told) == [(("well", "-", "known", "Ada"), ("O", "O", "O", "B-PER"))]
    assert "tokens of white space, left out: 1" in told[1]
    tokens[0]["end"] = 5
    with pytest.raises(FormatError, match="does not stand in the text"):
        tagged(write("a.jsonl", lines(prodigy(text, [], tokens=tokens))), told)


def test_labels_of_texts(write):
    choice = [{"type": "choices", "value": {"choices": ["pos"]}}]
    for name, content, kind in [
        ("a.jsonl", lines({"text": "so good", "label": ["pos"]}), None),
        ("a.jsonl", lines({"text": "so good", "labels": ["pos"]}), "doccano"),
        ("a.jsonl", lines({"text": "so good", "label": "pos", "answer": "accept"}), "prodigy"),
        ("a.jsonl", lines({"text": "so good", "accept": ["pos"], "answer": "accept"}), "prodigy"),
        ("a.json", json.dumps([studio(choice, text="so good")]), None),
        ("a.json", json.dumps([{"id": 1, "text": "so good", "sentiment": "pos"}]), None),
        ("a.txt", "__label__pos so good\n", None),
        ("a.ft", "__label__pos so good\n", None),
        ("a.train", "__label__pos so good\n", None),
    ]:
        path = write(name, content)
        for target, wanted in (("label", "pos"), ("labels", ("pos",))):
            if target == "labels" and kind is None and name == "a.jsonl":
                continue
            [example] = read(path, target, ReadOptions(format=kind), tell=lambda _: None)
            assert (example.inputs, example.target) == (("so", "good"), wanted), (name, kind)


def test_several_labels(write):
    for name, content, kind in [
        ("a.jsonl", lines({"text": "so", "label": ["b", "a"]}), "doccano"),
        ("a.jsonl", lines({"text": "so", "accept": ["b", "a"], "answer": "accept"}), "prodigy"),
        ("a.txt", "__label__b __label__a so\n", "fasttext"),
    ]:
        path = write(name, content)
        [example] = read(path, "labels", ReadOptions(format=kind))
        assert example.target == ("b", "a")
        with pytest.raises(FormatError, match=r":1: 2 labels .* birnn train multilabel"):
            list(read(path, "label", ReadOptions(format=kind)))
    [none] = read(write("a.jsonl", lines({"text": "so", "label": []})), "labels")
    assert none.target == ()


def test_annotators_of_label_studio(write, told):
    one, other = regions(SPANS[:1]), regions(SPANS[1:])
    tasks = [
        studio(one, other),
        studio(one, {"result": other, "ground_truth": True}),
        studio({"result": one, "was_cancelled": True}, other),
        studio({"result": one, "was_cancelled": True}),
        studio(),
        studio(predictions=[{"result": one}]),
        studio([*one, {"type": "relation", "from_id": "a", "to_id": "b"}]),
    ]
    path = write("a.json", json.dumps([task | {"id": n} for n, task in enumerate(tasks)]))
    first = tuple(tag if index < 2 else "O" for index, tag in enumerate(TAGS))
    second = tuple(tag if index >= 2 else "O" for index, tag in enumerate(TAGS))
    assert [tags for _, tags in tagged(path, told)] == [first, second, second, first]
    assert [line.split(": ", 1)[1] for line in told] == [
        "further annotations of a text, left out: 2, the first here",
        "texts that were not annotated or were skipped, left out: 2, the first here",
        "texts with predictions alone, left out: 1, the first here",
        "relations, which are not read: 1, the first here",
    ]
    told.clear()
    path = write("a.json", json.dumps([minimal(), minimal(annotator=2, spans=[])]))
    assert [tags for _, tags in tagged(path, told)] == [TAGS]
    assert "further annotations of a text, left out: 1" in told[0]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '[{"text": "a"},\n {"text": b"}]', r":2: not JSON: .* \(column 11\)"),
        ("a.json", '[{"text": "a"}\n\n {"text": "b"}]', ":3: not JSON: a comma or ] has to"),
        ("a.json", '[{"text": "a"},\n 3]', ":2: 3 in the list, objects are needed"),
        ("a.json", '[{"text": "a"}]\nx', ":2: text after the end of the list"),
        ("a.json", '{"text": "a"}', ":1: a list of objects is needed"),
        ("a.json", "[]", "no sequence in it"),
        ("a.json", '[{"text": "a", "text": "b"}]', ":1: the key 'text' stands twice"),
        ("a.json", '[{"text": "a \\ud83d"}]', ":1: .*half of a character"),
        ("a.json", '[{"id": 1}]', ":1: no text known among the data: id"),
        ("a.json", "[" * 9999, ":1: "),
        ("a.json", "[" + "9" * 9999 + "]", ":1: an integer of more digits"),
        ("a.json", b'[{"text":\n "\xff"}]', ":2: not UTF-8: byte 0xff at byte 3"),
        ("a.jsonl", lines(doccano()) + '{"text": 3, "label": []}', ":2: no text under text or dat"),
        ("a.jsonl", lines(doccano()) + '{"text": "a"}', ":2: no key entities or label"),
        ("a.jsonl", lines(doccano(spans=[(0, "3", "X")])), ":1: the end of a span is '3'"),
        ("a.jsonl", lines(doccano(spans=[(0, 3, " ")])), ":1: the label of a span is ' '"),
        ("a.jsonl", lines(doccano(), {"text": "a", "label": ["X"]}), ":2: label holds 'X'"),
        ("a.ann", "T1\tPER 0 3\tAda\nT2 PER 0 3\n", ":2: no annotation: T1<TAB>LABEL"),
        ("a.ann", "T1\tPER 0\tAda\n", ":1: '0' is no start and end"),
        ("a.ft", "__label__a b\nno label\n", ":2: no label. Give every sequence one"),
        ("a.spacy", b"nothing", "no DocBin of spaCy"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write, told, name, content, says):
    write("a.txt", TEXT)
    target = "label" if name == "a.ft" else "tags"
    with pytest.raises(FormatError, match=name.replace(".", r"\.") + ".*" + says):
        list(read(write(name, content), target, tell=told.append))


def test_ids_that_stand_twice_are_told(write, told):
    tagged(write("a.jsonl", lines(doccano(id=1), doccano(id=2), doccano(id=1))), told)
    assert "a.jsonl:3: ids that stand more than once, each time read: 1" in told[1]


def test_a_docbin_of_entities_attributes_and_categories(write, told):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as DocSpan

    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, ["Ada", "Lovelace", " ", "sings", "."], [True, True, False, False, False])
    doc.ents = [DocSpan(doc, 0, 2, "PER")]
    doc.cats = {"art": 1.0, "war": 0.1}
    for token, tag in zip(doc, ["NNP", "NNP", "_SP", "VBZ", "."], strict=True):
        token.tag_ = tag
    path = write("a.spacy", DocBin(docs=[doc, Doc(nlp.vocab, [])]).to_bytes())
    found = list(read(path, "tags", tell=told.append))
    assert [(e.inputs, e.target) for e in found] == [
        (("Ada", "Lovelace", "sings", "."), ("B-PER", "I-PER", "O", "O")),
        ((), ()),
    ]
    assert found[0].text == doc.text
    assert "tokens of white space, left out: 1" in told[0]
    tagged_ = list(read(path, "tags", ReadOptions(field="xpos")))
    assert tagged_[0].target == ("NNP", "NNP", "VBZ", ".")
    [labelled] = read(path, "label", ReadOptions(skip_unlabelled=True))
    assert labelled.target == "art"
    assert [e.target for e in read(path, "labels")] == [("art",), ()]
    with pytest.raises(FormatError, match="no token has POS, it has xpos: --field"):
        list(read(path, "tags", ReadOptions(field="upos")))
    with pytest.raises(FormatError, match="unfolds to more than 9 bytes"):
        list(read(path, "tags", ReadOptions(max_unpacked=9)))


def test_annotations_of_brat_without_their_text_are_told(tmp_path):
    told = []
    (tmp_path / "a.ann").write_text("T1\tPER 0 3\tAda\n")
    with pytest.raises(FormatError, match=r"no \.ann file in it stands beside a \.txt file"):
        list(read(tmp_path, "tags", tell=told.append))
    for name in ("b", "c"):
        (tmp_path / f"{name}.ann").write_text("T1\tPER 0 3\tAda\n")
    (tmp_path / "b.txt").write_text("Ada sings")
    [example] = read(tmp_path, "tags", tell=told.append)
    assert example.target == ("B-PER", "O")
    assert told == [
        f"{tmp_path / 'a.ann'}: annotations without their text (.txt), left out: 2, the first here"
    ]
