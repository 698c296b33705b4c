"""Endpoints in one process: the answers are those of the model, and what is wrong is said."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving_models import metric, model_of
from starlette.testclient import TestClient

from birnn.bundle import quantised, save
from birnn.errors import ConfigError, UsageError
from birnn.runtime import Predictor, decisions
from birnn.serving import Limits, app

TEXTS = [
    "Ada lives in London .",
    "",
    "  ",
    "London",
    "e\u0301 \U0001f600 \u0645\u0631\u062d\u0628\u0627 a\x00b",
]


def as_sent(given):
    return json.loads(json.dumps(given))


@pytest.mark.parametrize("name", ["ner", "review", "spell"])
def test_answers_are_the_models_whatever_is_asked_beside_them(client, models, name):
    expected = [models[name].annotate(text).record() for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        asked = [{"text": text, "model": name} for text in TEXTS * 3]
        found = list(pool.map(lambda body: client.post("/predict", json=body).json(), asked))
    assert found == [{"model": name, "answer": as_sent(one)} for one in expected * 3]
    many = client.post("/predict", json={"texts": TEXTS, "model": name}).json()
    assert many == {"model": name, "answers": as_sent(expected)}


def test_tokens_sequences_vectors_and_the_best(client, models):
    tokens = ["Ada", "lives"]
    [expected] = models["ner"].annotate([tokens])
    assert client.post("/predict", json={"tokens": tokens}).json()["answer"] == as_sent(
        expected.record()
    )
    body = {"sequences": [tokens, []]}
    answers = client.post("/predict", json=body).json()["answers"]
    assert [answer["tags"] for answer in answers] == models["ner"].predict([tokens, []])
    series = [[0.5, 1], [-2, 3.25]]
    for asked in ({"series": series}, {"sequences": [series]}):
        found = client.post("/predict", json={"model": "motion", **asked}).json()
        [label] = models["motion"].predict([series])
        assert (found.get("answer") or found["answers"][0])["label"] == label
    best = client.post("/predict", json={"text": "ada", "model": "review", "top": 2}).json()
    assert len(best["answer"]["labels"]) == 2
    assert client.post("/predict", json={"texts": []}).json() == {"model": "ner", "answers": []}


@pytest.mark.parametrize("name", ["ner", "review", "spell", "motion"])
def test_explanations_have_a_number_for_each_word(client, models, name):
    given = {"series": [[1, 2], [3, 4.5]]} if name == "motion" else {"text": " ada  bab"}
    found = client.post("/explain", json={"model": name, **given}).json()
    [sequence] = given.values()
    expected = decisions(models[name], sequence)
    assert [word["forward"] for word in found["words"]] == [
        step.record()["forward"] for step in expected.steps
    ]
    assert (found["whole"] is None) == (name == "ner")
    for word in found["words"]:
        if name == "motion":
            assert word["start"] is None
        else:
            assert given["text"][word["start"] : word["end"]] == word["text"]
    plain = {"model": name, **given}
    assert found["answer"] == client.post("/predict", json=plain).json()["answer"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ('{"text": "a"', 422, "invalid JSON"),
        ("", 422, "invalid JSON"),
        ("[1]", 422, "object"),
        ("{}", 422, 'give one of "text"'),
        ('{"text": "a", "texts": ["b"]}', 422, 'give one of "text"'),
        ('{"text": null}', 422, "text: input should be a valid string"),
        ('{"text": "\\ud800"}', 422, "invalid JSON"),
        ('{"texts": ["a", 3]}', 422, "texts.1: input should be a valid string"),
        ('{"tokens": ["a", ""]}', 422, "tokens.1: string should have at least 1"),
        ('{"series": [[NaN, 1]]}', 422, "series.0.0"),
        ('{"series": [[1e400, 1]]}', 422, "series.0.0"),
        ('{"series": [[1e19, 1]]}', 422, "series.0.0: input should be less"),
        ('{"series": [[1, 2]]}', 422, "is no token"),
        ('{"series": [[1], [2]], "model": "motion"}', 422, "series.0: list should have at least 2"),
        ('{"text": "a", "model": "motion"}', 422, "array"),
        ('{"text": "a", "model": "neer"}', 404, "did you mean ner?"),
        ('{"text": "a", "top": 0}', 422, "top: input should be greater"),
        ('{"text": "a", "top": "1"}', 422, "top: input should be a valid integer"),
        ('{"text": "a", "top": 3}', 422, "does not rank"),
        (f'{{"{"k" * 10_000}": 1}}', 422, "kkk...: no such field: known: model, "),
        ('{"txt": "a"}', 422, "txt: no such field: did you mean text?"),
        (f'{{"text": "a", "model": "{"m" * 10_000}"}}', 422, "model: string should have at most"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(client, body, status, told):
    headers = {"Content-Type": "application/json"}
    found = client.post("/predict", content=body, headers=headers)
    assert found.status_code == status
    assert told in found.json()["detail"]
    assert "\n" not in found.json()["detail"]
    assert len(found.content) < 1000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_only_plain_json_is_read(client, headers, status):
    found = client.post("/predict", content='{"text": "a"}', headers=headers)
    assert found.status_code == status


def test_other_paths_and_methods(client):
    assert client.get("/predict").status_code == 405
    assert client.get("/predict").headers["allow"] == "POST"
    assert client.head("/predict").status_code == 405
    for path in ("/", "/model", "/healthz", "/metrics", "/openapi.json", "/page/page.js"):
        found, whole = client.head(path), client.get(path)
        assert (found.status_code, found.content) == (200, b""), path
        if path != "/metrics":
            assert found.headers == whole.headers
    for path in ("/predict/", "/model/", "/page/page.js/"):
        assert client.get(path, follow_redirects=False).status_code == 404, path
    for path in ("/nothing", "/docs", "/redoc", "/page/", "/page/..%2fapp.py", "/page/../app.py"):
        assert client.get(path).status_code == 404, path
    assert metric(client, 'birnn_requests_total{path="other",status="404"}') >= 5


def test_limits_are_kept(models):
    limits = Limits(body_bytes=400, texts=2, characters=100, tokens=5, explained_tokens=3)
    with TestClient(app(models, limits)) as client:

        def status(body, path="/predict"):
            found = client.post(path, json=body)
            assert set(found.json()) == (
                {"detail"} if found.status_code >= 400 else set(found.json())
            )
            return found.status_code

        assert status({"texts": ["a"] * 3}) == 422
        assert status({"text": "a" * 101}) == 422
        assert status({"text": "a " * 5}) == 200
        assert status({"text": "a " * 6}) == 422
        assert status({"text": "(a, b)."}) == 422  # six tokens for the tokeniser
        assert status({"tokens": ["a"] * 6}) == 422
        assert status({"text": "a " * 3}, "/explain") == 200
        assert status({"text": "a " * 4}, "/explain") == 422
        assert status({"texts": ["a" * 99] * 2, "model": "review" * 40}) == 413

        def pieces():
            yield b'{"text": "'
            yield from [b"a" * 90] * 5

        headers = {"Content-Type": "application/json"}
        assert client.post("/predict", content=pieces(), headers=headers).status_code == 413
        assert metric(client, "birnn_held_bytes") == 0
    for wrong in ({"texts": 2000}, {"body_bytes": 1 << 30}, {"queue": 0}, {"wait_seconds": -1}):
        with pytest.raises(ConfigError):
            Limits.of(wrong)
    with pytest.raises(UsageError, match="no model"):
        app({})


class Slow:
    """A model that answers only when it is let."""

    def __init__(self, model):
        self._model, self.let, self.asked = model, threading.Event(), []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def annotate(self, sequences, *, top=None):
        self.asked.append(list(sequences))
        self.let.wait(10)
        return self._model.annotate(sequences, top=top)


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")


def test_a_full_queue_refuses_at_once_and_what_waits_is_answered_together(models):
    slow = Slow(models["ner"])
    with (
        TestClient(app({"ner": slow}, Limits(queue=3, texts=2))) as client,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(*texts):
            return pool.submit(client.post, "/predict", json={"texts": list(texts)})

        first = ask("Ada")
        until(lambda: slow.asked)
        others = [ask("in"), ask("London", ".")]
        until(lambda: metric(client, "birnn_queue_texts") == 3)
        refused = ask("lives").result()
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        slow.let.set()
        assert [one.result().status_code for one in (first, *others)] == [200] * 3
        assert [sorted(batch) for batch in slow.asked] == [["Ada"], [".", "London", "in"]]
        assert metric(client, "birnn_queue_texts") == 0
        assert metric(client, 'birnn_batch_texts_bucket{le="4.0"}') == 2
        assert metric(client, 'birnn_tokens_total{model="ner"}') == 4


def test_who_waits_too_long_is_told_and_others_are_answered(models):
    slow = Slow(models["ner"])
    with (
        TestClient(app({"ner": slow}, Limits(wait_seconds=0.2))) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(client.post, "/predict", json={"text": "Ada"})
        until(lambda: slow.asked)
        late = client.post("/predict", json={"text": "in"})
        assert late.status_code == 503
        assert "waited 0.2 s" in late.json()["detail"]
        slow.let.set()
        assert first.result().status_code == 200
        assert client.post("/predict", json={"text": "."}).status_code == 200
        assert slow.asked == [["Ada"], ["."]]


def test_a_fault_is_told_to_whoever_sent_it(models):
    slow = Slow(models["motion"])
    wider = model_of("wide", "label")
    served = {"motion": slow, "wider": wider}
    with TestClient(app(served)) as client, ThreadPoolExecutor(4) as pool:

        def ask(series):
            return pool.submit(client.post, "/predict", json={"series": series})

        first = ask([[0, 0]])
        until(lambda: slow.asked)
        good, bad = ask([[1, 2]]), ask([[1, 2, 3]])
        until(lambda: metric(client, "birnn_queue_texts") == 2)
        slow.let.set()
        assert [one.result().status_code for one in (first, good, bad)] == [200, 200, 422]


def test_a_fault_of_the_server_is_500_without_its_traceback(models):
    class Broken(Slow):
        def annotate(self, sequences, *, top=None):
            raise RuntimeError("secret")

    with TestClient(app({"ner": Broken(models["ner"])}), raise_server_exceptions=False) as client:
        found = client.post("/predict", json={"text": "a"})
        assert (found.status_code, found.json()) == (500, {"detail": "the server failed."})


def test_headers_hosts_and_the_page(models):
    with TestClient(app(models, hosts={"localhost"}), base_url="http://localhost:8000") as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http" not in page.text  # nothing from anywhere else
        refused = client.get("/model", headers={"Host": "evil.example"})
        assert refused.status_code == 400
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in client.get("/model").headers


def test_what_is_served_is_told(client, models):
    told = client.get("/model").json()
    assert told["default"] == "ner"
    assert {each["name"]: each["holds"] for each in told["models"]} == {
        "ner": "tokens",
        "review": "tokens",
        "spell": "tokens",
        "motion": "vectors",
    }
    assert told["limits"]["queue"] == Limits().queue
    assert client.get("/healthz").json() == {"status": "ok"}
    client.app.state.stopping = True
    assert client.get("/healthz").status_code == 503


def test_nothing_that_is_asked_loads_torch(models, tmp_path):
    save(models["ner"].bundle, tmp_path / "ner")
    program = """
import sys
import birnn.serving.server
from birnn.runtime import Predictor
from birnn.serving import app
from starlette.testclient import TestClient

with TestClient(app({"ner": Predictor.load(sys.argv[1])})) as client:
    for path in ("/predict", "/explain"):
        assert client.post(path, json={"text": "Ada lives"}).status_code == 200
    for path in ("/", "/model", "/healthz", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200
assert not {"torch", "matplotlib", "jinja2", "lightning"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "ner")], check=True)


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_quantised_model_answers_and_explains_in_its_precision(precision):
    small = Predictor(quantised(model_of("words", "tags").bundle, precision))
    with TestClient(app({"small": small})) as client:
        [described] = client.get("/model").json()["models"]
        assert described["precision"] == precision
        text = TEXTS[0]
        answer = client.post("/predict", json={"text": text}).json()["answer"]
        assert answer == as_sent(small.annotate(text).record())
        found = client.post("/explain", json={"text": text}).json()
        steps = decisions(small, text).steps
        assert [each["balance"] for each in found["words"]] == [
            step.record()["balance"] for step in steps
        ]
