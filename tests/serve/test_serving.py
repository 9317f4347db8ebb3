"""`chainrule serve`: rows in and predictions out by HTTP, and clear refusals."""

import asyncio
import html
import http.client
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import nn, serve, tabular
from chainrule.cli import main
from chainrule.serve import pages

pytest.importorskip("starlette")

FRAME = pd.DataFrame(
    {
        "age": [20, 41, 35, 63, 52, 27, 30, 48] * 5,
        "town <b>": ["Bern", "Basel", "Bern", "Zug", "Zug", "Basel", "Bern", "Zug"] * 5,
        "since": pd.date_range("2020-01-01", periods=40, freq="17D"),
    }
)


@contextmanager
def server(*arguments):
    """(host, port) of a process that serves."""
    command = [sys.executable, "-m", "chainrule", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            line = process.stdout.readline()
            assert "Ctrl-C ends it" in line, process.stderr.read()
            yield re.search(r"http://([\d.]+):(\d+)", line).groups(), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def table():
    y = np.where(FRAME["age"] > 40, "old", "young")
    return tabular.fit(FRAME, y, "classification", epochs=3)


@pytest.fixture(scope="module")
def table_server(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "ages.safetensors"
    table.save(path)
    with server(path, "--max-megabytes", 1) as (address, _):
        yield address


@pytest.fixture(scope="module")
def network():
    cr.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture(scope="module")
def network_server(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "network.safetensors"
    data = {"shape": [3], "columns": ["a", "b", "c"], "target": "kind"}
    cr.save(network, path, metadata={"classes": ["x", "y"], "data": data})
    with server(path) as (address, _):
        yield address


def ask(address, body, path="/predict"):
    """(status, answer) of a request."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    method = "GET" if body is None else "POST"
    text = body if body is None or isinstance(body, (bytes, str, Iterator)) else json.dumps(body)
    try:
        connection.request(method, path, text)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def rows_of(frame):
    return json.loads(frame.to_json(orient="records", date_format="iso"))


def test_rows_of_a_table(table, table_server):
    status, text = ask(table_server, {"rows": rows_of(FRAME)})
    answer = json.loads(text)
    assert status == 200
    assert answer["classes"] == ["old", "young"]
    assert np.allclose(answer["probabilities"], table.predict_proba(FRAME), atol=1e-6)
    assert answer["predictions"] == table.predict(FRAME).tolist()
    as_lists = [list(row.values()) for row in rows_of(FRAME)]
    assert json.loads(ask(table_server, {"rows": as_lists})[1]) == answer


def test_missing_and_unknown_values(table, table_server):
    row = {"age": None, "town <b>": "Genf", "since": "2020-02-01", "other": [1]}
    status, text = ask(table_server, {"rows": [row]})
    frame = pd.DataFrame({"age": [np.nan], "town <b>": ["Genf"], "since": ["2020-02-01"]})
    assert status == 200
    assert np.allclose(json.loads(text)["probabilities"], table.predict_proba(frame), atol=1e-6)


def test_the_request_in_the_docs_is_quoted_for_a_shell(tmp_path):
    frame = pd.DataFrame({"owner's age": np.arange(40) % 7, "town": ["Val d'Or", "Bern"] * 20})
    model = tabular.fit(frame, np.arange(40) % 5, "regression", epochs=2)
    model.save(tmp_path / "m.safetensors")
    with server(tmp_path / "m.safetensors") as (address, _):
        docs = html.unescape(ask(address, None, "/docs")[1])
        command = shlex.split(re.search(r"<pre>(curl.*)</pre>", docs, re.DOTALL)[1])
        assert json.loads(command[-1]) == {"rows": [{"owner's age": 0.0, "town": "Bern"}]}
        assert ask(address, command[-1])[0] == 200


def test_times_and_durations_are_typed_as_they_are_written(tmp_path):
    """In the page's fields, and as the interface describes them."""
    minutes = np.arange(40) * 37
    frame = pd.DataFrame(
        {
            "woke": [f"{m // 60:02}:{m % 60:02}" for m in minutes % 1440],
            "slept": pd.to_timedelta(minutes, unit="min"),
            "age": minutes % 7 + 0.5,
        }
    )
    model = tabular.fit(frame, minutes % 5, "regression", epochs=2)
    model.save(tmp_path / "m.safetensors")
    with server(tmp_path / "m.safetensors") as (address, _):
        page = ask(address, None, "/")[1]
        assert '<input name="woke" placeholder="18:30">' in page
        assert '<input name="slept" placeholder="26:30:00">' in page
        assert '<input type="number" step="any" name="age">' in page
        docs = ask(address, None, "/docs")[1]
        assert "<td>woke</td><td>time</td><td>as 18:30, or hours</td>" in docs
        assert "<td>slept</td><td>duration</td><td>as 26:30:00, or days</td>" in docs
        described = ask(address, None, "/openapi.json")[1]
        body = json.loads(described)["paths"]["/predict"]["post"]["requestBody"]
        schema = body["content"]["application/json"]["schema"]
        (example,) = schema["examples"][0]["rows"]
        assert example["woke"] == "18:30"
        kinds = schema["properties"]["rows"]["items"]["anyOf"][0]["properties"]
        assert "string" in kinds["woke"]["type"] and "string" in kinds["slept"]["type"]
        in_numbers = {**example, "woke": 18.5, "slept": 26.5 / 24}
        status, text = ask(address, {"rows": [example, in_numbers]})
        assert status == 200
        first, second = json.loads(text)["predictions"]
        assert first == pytest.approx(second, rel=1e-6)


def test_rows_of_a_network(network, network_server):
    x = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    logits = network(x).numpy()
    for rows in (
        x.tolist(),
        [dict(zip("cab", (r[2], r[0], r[1]), strict=True)) for r in x.tolist()],
    ):
        status, text = ask(network_server, {"rows": rows})
        answer = json.loads(text)
        assert status == 200
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert np.allclose(answer["probabilities"], shares, atol=1e-6)
        assert answer["predictions"] == ["xy"[i] for i in logits.argmax(axis=1)]


def test_a_network_is_given_all_digits():
    """As of times in seconds, of which float32 tells apart those of two minutes."""
    x = 1.6e9 + np.arange(0, 3600, 6.0)[:, None]
    model = nn.Sequential(nn.Standardize(1).fit(x), nn.Linear(1, 1))
    served = serve.ServedArray(cr.Predictor(model), (1,))
    weight, bias = (p.numpy().astype(float) for p in model[1].parameters())
    expected = (x - x.mean()) / x.std() * weight + bias
    np.testing.assert_allclose(served.outputs(served.rows(x.tolist())), expected, atol=1e-6)


def test_columns_that_are_not_used_may_hold_anything():
    table = {"id": np.arange(40), "age": np.arange(40) % 7, "town": ["Bern", "Zug"] * 20}
    model = tabular.fit(table, np.arange(40) % 5, "regression", epochs=2, drop=["town"])
    served = serve.ServedTable(model)
    (expected,) = model.predict({"age": [3]})
    for row in ({"age": 3}, {"age": 3, "town": ["a", "b"], "id": {}}, [[], 3, {}]):
        assert served.outputs(served.rows([row])) == pytest.approx(expected, rel=1e-6)
    docs = html.unescape(pages.docs(served, "m", 1, "http://here/"))
    assert "a list of 3 values, also of what is not used: 'id', 'age', 'town'. Other names" in docs


def test_a_row_of_one_number():
    served = serve.ServedArray(cr.Predictor(nn.ReLU()), ())
    assert served.outputs(served.rows([5, -1])).tolist() == [5, 0]
    assert "<p>A row is a number.</p>" in pages.docs(served, "m", 1, "http://here/")
    post = pages.openapi(served, "m")["paths"]["/predict"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["rows"]["items"] == {"type": "number"}
    with pytest.raises(ValueError, match="row 1 is a number, got shape"):
        served.rows([1, [2]])


def test_no_number_of_a_network_is_missing(network_server, table_server):
    status, text = ask(network_server, {"rows": [{"a": 1, "b": None, "c": 2}]})
    assert status == 422 and "row 0" in text and "none may be missing" in text
    for address, takes_missing in ((network_server, False), (table_server, True)):
        page = ask(address, None, "/")[1]
        assert ("What is left empty is missing" in page) is takes_missing
        assert (" required>" in page) is not takes_missing
        assert ("null is a missing value" in ask(address, None, "/docs")[1]) is takes_missing
        assert ("null" in ask(address, None, "/openapi.json")[1]) is takes_missing


def test_names_are_of_each_number_of_a_row():
    predictor = cr.Predictor(nn.Flatten())
    for shape, names in (((3,), ["a", "b"]), ((2, 2), ["a", "b"]), ((), ["a"])):
        with pytest.raises(ValueError, match=r"names are of each number of a row"):
            serve.ServedArray(predictor, shape, names)


def test_a_prediction_that_is_not_finite(tmp_path):
    """JSON has no number for it: the row is named."""
    path = tmp_path / "sum.safetensors"
    model = nn.Linear(2, 1)
    model.weight.assign(np.ones((1, 2), "f"))
    data = {"shape": [2], "columns": ["a", "b"], "target": "sum"}
    cr.save(model, path, metadata={"data": data})
    with server(path) as (address, _):
        status, text = ask(address, {"rows": [[1, 2], [3e38, 3e38]]})
        assert status == 422 and "the prediction of row 1 is not finite" in text
        assert ask(address, {"rows": [[1, 2]]})[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ([1], "rows"),
        ({"row": []}, "rows"),
        ({"rows": []}, "at least one row"),
        ({"rows": [{"age": 1}]}, "row 0 lacks 'town <b>', 'since'"),
        ({"rows": [[1, 2]]}, "list of 3 values"),
        ({"rows": [{"age": [1], "town <b>": "Zug", "since": None}]}, "'age'"),
        ({"rows": [{"age": "very", "town <b>": "Zug", "since": None}]}, "age.*very"),
        ({"rows": [{"age": 1, "town <b>": "Zug", "since": "soon"}]}, "since.*soon"),
        ({"rows": [7]}, "row 0"),
    ],
)
def test_rows_that_do_not_fit_a_table(table_server, body, message):
    status, text = ask(table_server, body)
    assert status == 422
    assert re.search(message, json.loads(text)["detail"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 2], "shape"),
        ([1, 2, None], "numbers"),
        ([1, 2, "a"], "numbers"),
        ([1, 2, [3]], "numbers"),
        ([1, 2, 1e300], "too large"),
        ([1, 2, 10**400], "row 0"),
        ({"a": 1, "b": 2}, "lacks 'c'"),
        (None, "row 0"),
    ],
)
def test_rows_that_do_not_fit_a_network(network_server, row, message):
    status, text = ask(network_server, {"rows": [row]})
    assert status == 422
    assert message in json.loads(text)["detail"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have(network_server, value):
    status, text = ask(network_server, f'{{"rows": [[1, 2, {value}]]}}')
    assert status == 422
    assert "JSON" in json.loads(text)["detail"]


def test_large_requests_are_not_read(table_server):
    connection = http.client.HTTPConnection(*table_server, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("content-length", str(100 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    status, text = ask(table_server, "[" + "1," * (1 << 20) + "1]")
    assert status == 413
    assert "1,048,576 bytes" in json.loads(text)["detail"]
    chunks = (b"[1]" * 100_000 for _ in range(5))
    status, text = ask(table_server, chunks)
    assert status == 413
    assert ask(table_server, None, "/health") == (200, '{"status":"ok"}')


def test_many_at_once_each_get_their_own(network, network_server):
    x = np.random.default_rng(1).normal(size=(400, 3)).astype("float32")
    logits = network(x).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def one(number):
        row = [1, "no number", 3] if number % 10 == 0 else x[number].tolist()
        return ask(network_server, {"rows": [row]})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(len(x))))
    for number, (status, text) in enumerate(answers):
        assert status == (422 if number % 10 == 0 else 200)
        if status == 200:
            assert np.allclose(json.loads(text)["probabilities"], expected[number], atol=1e-6)


def test_one_request_does_not_change_the_answers_of_others(table, table_server):
    good = rows_of(FRAME)[0]
    (expected,) = json.loads(ask(table_server, {"rows": [good]})[1])["probabilities"]
    odd = [{**good, "age": 10**400}, {**good, "town <b>": 3}, {**good, "age": "x"}]

    def one(number):
        return ask(table_server, {"rows": [odd[number // 2 % 3] if number % 2 else good]})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(120)))
    for status, text in answers[::2]:
        assert status == 200
        assert np.allclose(json.loads(text)["probabilities"], [expected], atol=1e-6)
    assert {status for status, _ in answers[1::2]} == {200, 422}


def test_rows_without_end_take_little_memory(table_server):
    body = '{"rows": [' + "0," * 400_000 + "0]}"
    assert ask(table_server, body)[0] == 422


def test_pages(table_server, network_server):
    status, page = ask(table_server, None, "/")
    assert status == 200
    assert "town &lt;b&gt;" in page
    assert "<b>" not in page
    assert '<option value="Basel">Basel</option>' in page
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    docs = ask(table_server, None, "/docs")[1]
    assert "town &lt;b&gt;" in docs
    assert "http://{}:{}/predict".format(*table_server) in docs
    described = json.loads(ask(table_server, None, "/openapi.json")[1])
    asked = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = asked["schema"]["examples"][0]
    assert ask(table_server, example)[0] == 200
    assert ask(network_server, None, "/nothing")[0] == 404
    assert ask(network_server, None)[0] == 405


def test_parts_of_an_answer_do_not_wait_for_acknowledgements(monkeypatch):
    server = pytest.importorskip("chainrule.serve.server")
    found = []

    def accept(_, sockets):
        with socket.create_connection(sockets[0].getsockname()):
            connection, _ = sockets[0].accept()
            connection.setblocking(False)
            found.append(asyncio.run(without_delay(connection)))

    async def without_delay(connection):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, connection)
        end = transport.get_extra_info("socket")
        is_set = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        return bool(is_set)

    monkeypatch.setattr("uvicorn.Server.run", accept)
    server.run(None, "127.0.0.1", 0, lambda url: None)
    assert found == [True]


@pytest.mark.parametrize("host", ["192.0.2.1", "256.1.1.1", "a" * 300, ""])
def test_a_host_that_is_not_this_machine_is_named(host):
    """The first is reserved for documentation (RFC 5737), so that no machine has it."""
    server = pytest.importorskip("chainrule.serve.server")
    with pytest.raises(OSError, match="Give an address of this machine as --host") as caught:
        server.run(None, host, 0, lambda url: None)
    assert host[:70] in str(caught.value)


def test_ctrl_c_ends_it(network, tmp_path):
    cr.save(network, tmp_path / "m.safetensors", {"classes": None, "data": {
        "shape": [3], "columns": None, "target": None}})  # fmt: skip
    with server(tmp_path / "m.safetensors") as (address, process):
        assert json.loads(ask(address, {"rows": [[1, 2, 3]]})[1])["predictions"][0]
        busy = subprocess.run(
            [sys.executable, "-m", "chainrule", "serve", tmp_path / "m.safetensors",
             "--port", address[1]], capture_output=True, text=True,
        )  # fmt: skip
        assert busy.returncode == 1
        assert "another --port" in busy.stderr
        assert len(busy.stderr.splitlines()) == 1
        with socket.create_connection(address) as client:  # which goes away
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        assert ask(address, None, "/health")[0] == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert errors == "Interrupted.\n"


def test_a_client_that_never_ends_its_request_is_not_waited_for(network, tmp_path):
    cr.save(network, tmp_path / "m.safetensors", {"classes": None, "data": {
        "shape": [3], "columns": None, "target": None}})  # fmt: skip
    with (
        server(tmp_path / "m.safetensors") as (address, process),
        socket.create_connection(address) as client,
    ):
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        assert ask(address, None, "/health")[0] == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in errors and errors.endswith("Interrupted.\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_network_has_an_output_for_each_class(outputs):
    predictor = cr.Predictor(nn.Linear(2, outputs))
    with pytest.raises(
        ValueError, match=rf"shape \({outputs},\) for 2 classes.*one logit for each"
    ):
        serve.ServedArray(predictor, (2,), classes=["no", "yes"])
    assert serve.ServedArray(predictor, (2,)).classes is None


def test_classes_are_labels_that_json_has():
    predictor = cr.Predictor(nn.Linear(2, 2))
    for classes in (np.arange(2), np.array([False, True]), [np.float32(1), "b"]):
        served = serve.ServedArray(predictor, (2,), classes=classes)
        answer = json.loads(json.dumps(served.answer(np.array([[0.25, 0.75]]))))
        assert answer["classes"] == list(classes)
        assert answer["predictions"] == [classes[1]]
    for classes in (["a", float("-inf")], [np.float32("nan"), 1], [object(), 1]):
        with pytest.raises(ValueError, match="labels that JSON can hold"):
            serve.ServedArray(predictor, (2,), classes=classes)


def test_large_integers_as_classes_are_text_which_browsers_do_not_round():
    x = np.linspace(-1, 1, 60).reshape(-1, 1)
    labels = [3, 2**60 + 1]
    given = {"preset": "fast", "hidden": [4], "epochs": 2}
    model = tabular.fit(x, np.repeat(labels, 30), "classification", **given)
    network = cr.Predictor(nn.Linear(1, 2))
    for served in serve.ServedTable(model), serve.ServedArray(network, (1,), classes=labels):
        answer = served.answer(np.array([[0.25, 0.75]]))
        assert answer["classes"] == ["3", str(2**60 + 1)]
        assert answer["predictions"] == [str(2**60 + 1)]
    assert set(model.predict(x).tolist()) <= set(labels)


@pytest.mark.parametrize("kind", ["foreign", "missing", "plain", "words", "wide", "huge"])
def test_files_that_are_not_served(kind, tmp_path, network):
    path = tmp_path / "model.safetensors"
    if kind == "foreign":
        path.write_bytes(b"no model")
    elif kind == "plain":
        cr.save(network, path)
    elif kind == "words":
        cr.save(network, path, {"tokenizer": {}})
    elif kind in ("wide", "huge"):
        shape = [4] if kind == "wide" else [30_000_000]
        data = {"shape": shape, "columns": None, "target": None}
        cr.save(network, path, {"classes": None, "data": data})
    found = CliRunner().invoke(main, ["serve", str(path)])
    assert found.exit_code == 1
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("Error: ")
