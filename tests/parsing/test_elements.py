"""Elements: a document of any layout is a line for each element, byte for byte in place, however it comes in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.parsing.elements import Elements, elements_begin, is_lines, split

_TEXTS = st.text(st.sampled_from('ab"\\{}[],: é'), max_size=6)
_VALUES = st.recursive(
    st.none() | st.integers(0, 99) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, min_size=1, max_size=3)


def _laid_out(data: bytes, path: str, size: int) -> tuple[bytes, bool]:
    names, kind, _ = split(path) or ((), "", "")
    begin = elements_begin(data, names, kind)
    assert begin is not None
    layout = Elements(*begin, keyed=kind == "{}")
    first = max(begin[0], 1)
    pieces = [data[:first], *(data[at : at + size] for at in range(first, len(data), size))]
    out = b"".join([layout.feed(piece) for piece in pieces] + [layout.finish()])
    return out, layout.whole


@given(
    st.lists(_OBJECTS, max_size=4),
    st.dictionaries(_TEXTS, _VALUES, max_size=2),
    st.dictionaries(_TEXTS, _VALUES, max_size=2),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_every_element_is_a_line(
    elements: list[dict[str, Any]],
    before: dict[str, Any],
    behind: dict[str, Any],
    size: int,
    indent: int | None,
    keyed: bool,  # noqa: FBT001 drawn
) -> None:
    """Elements are the lines that are no comments; nothing is added or taken away; pieces change nothing."""
    games: Any = {f"k{n}": one for n, one in enumerate(elements)} if keyed else elements
    inner = {**{f"b{key}": one for key, one in before.items()}, "games": games}
    document = {"all": inner, **{f"z{key}": one for key, one in behind.items()}}
    data = json.dumps(document, indent=indent).encode()
    out, whole = _laid_out(data, "all.games{}" if keyed else "all.games[]", size)
    assert whole
    assert len(out) == len(data)
    assert (out, whole) == _laid_out(data, "all.games{}" if keyed else "all.games[]", len(data))
    changed = [(old, new) for old, new in zip(data, out, strict=True) if old != new]
    assert {new for _, new in changed} <= set(b"\n #")
    lines = [line.strip(b" ,") for line in out.split(b"\n")]
    texts = [line for line in lines if line and not line.startswith(b"#")]
    found = [json.loads(b"{" + text + b"}") if keyed else json.loads(text) for text in texts]
    assert found == ([{key: one} for key, one in games.items()] if keyed else elements)


@given(st.lists(_OBJECTS, min_size=1, max_size=4), st.data())
def test_a_document_that_is_cut_has_its_first_elements(elements: list[dict[str, Any]], data: st.DataObject) -> None:
    """Wherever a document ends, the elements before that are lines, and it is known not to be whole."""
    text = json.dumps({"games": elements}).encode()
    begin = len(b'{"games": [')
    cut = data.draw(st.integers(begin, len(text) - 1))
    out, whole = _laid_out(text[:cut], "games[]", 5)
    assert not whole
    ends, at = [], begin
    for one in elements:
        at = text.index(json.dumps(one).encode(), at) + len(json.dumps(one))
        ends.append(at)
    lines = [line.strip(b" ,") for line in out.split(b"\n")]
    found = [line for line in lines if line and not line.startswith(b"#")]
    whole_ones = [one for one, end in zip(elements, ends, strict=True) if end <= cut]
    assert [json.loads(line) for line in found[: len(whole_ones)]] == whole_ones
    assert len(found) <= len(whole_ones) + 1


@pytest.mark.parametrize(
    ("head", "path", "there"),
    [
        (b'{"games": [{', "games[]", True),
        (b'{"games": {"a": {', "games{}", True),
        (b'{"games": {"a": {', "games[]", False),
        (b'{"a": {"games": [{', "games[]", False),
        (b'{"a": [{"games": [{}]}]}', "games[]", False),
        (b'{"a": "\\"games\\": [", "b": 1}', "games[]", False),
        (b'{"id1": {"p": 1}}', "{}", True),
        (b"nothing", "games[]", False),
        (b'}{"games": [', "games[]", False),
    ],
)
def test_where_elements_begin(head: bytes, path: str, there: bool) -> None:  # noqa: FBT001 a parameter of the test
    """Elements begin where the path leads to, and nowhere else of that name."""
    names, kind, _ = split(path) or ((), "", "")
    assert (elements_begin(head, names, kind) is not None) is there


def test_lines_of_documents_stay_lines() -> None:
    """Text whose first line is a whole value is lines, whatever is in them."""
    assert is_lines(b'{"batch": [1]}\n{"batch": [2]}\n')
    assert not is_lines(b'{"batch": [1]}\n')
    assert not is_lines(b'{"batch":\n[1]}\n')
