"""The language of the control socket."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.rpc.messages import (
    Answer,
    ExitCode,
    Malformed,
    Progress,
    Request,
    Result,
    RpcError,
    dump_answer,
    dump_request,
    parse_answer,
    parse_request,
)

plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
objects = st.dictionaries(st.text(max_size=5), plain, max_size=3)
progress = st.builds(
    Progress, st.text(), st.none() | st.integers(0, 99), st.none() | st.integers(0, 99)
) | st.builds(Progress, status=objects)


@given(st.builds(Request, st.text(), objects))
def test_requests_pass(request: Request) -> None:
    line = dump_request(request)
    assert line.count(b"\n") == 1
    assert parse_request(line) == request


@given(progress | st.builds(Result, objects))
def test_answers_pass(answer: Answer) -> None:
    assert parse_answer(dump_answer(answer)) == answer


@given(
    st.text(),
    st.text(),
    st.sampled_from([code for code in ExitCode if code]),
    st.lists(objects, max_size=2).map(tuple),
)
def test_refusals_pass(
    error: str, mend: str, exit_code: ExitCode, problems: tuple[dict[str, object], ...]
) -> None:
    refusal = RpcError(error, mend, exit_code=exit_code, problems=problems)
    read = parse_answer(dump_answer(refusal))
    assert isinstance(read, RpcError)
    assert (read.error, read.mend) == (error, mend)
    assert (read.exit_code, read.problems) == (exit_code, problems)


@given(st.binary(max_size=100))
def test_random_bytes_are_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(line)
    with pytest.raises(Malformed):
        parse_answer(line)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"ok": true}',
        b'{"ok": true, "result": []}',
        b'{"ok": false}',
        b'{"ok": 1, "result": {}}',
        b'{"progress": 5}',
    ],
)
def test_half_an_answer_is_none(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_answer(line)


def test_an_unknown_exit_code_is_a_refusal() -> None:
    read = parse_answer(b'{"ok": false, "error": "no", "mend": 5, "exit_code": 99, "problems": 1}')
    assert isinstance(read, RpcError)
    assert (read.exit_code, read.mend, read.problems) == (ExitCode.REFUSED, "", ())
    assert str(read) == "no"
    assert str(RpcError("no", "do")) == "no. Mend: do"


@pytest.mark.parametrize(
    "answer",
    [
        Progress("half", 1, 2),
        Result({"a": 1}, "ping"),
        RpcError("no", "so", exit_code=ExitCode.USAGE),
    ],
)
def test_what_another_version_says_besides_is_passed_over(answer: Answer) -> None:
    line = json.loads(dump_answer(answer))
    newer = parse_answer(json.dumps({"newer": [1], **line}).encode())
    assert dump_answer(newer) == dump_answer(answer)
    asked = {"verb": "ping", "args": {"newer": 1}, "newer": None}
    assert parse_request(json.dumps(asked).encode()) == Request("ping", {"newer": 1})


def test_an_exit_code_of_a_newer_version_is_a_refusal() -> None:
    answer = parse_answer(b'{"ok": false, "error": "no", "exit_code": 99}')
    assert isinstance(answer, RpcError)
    assert answer.exit_code is ExitCode.REFUSED
