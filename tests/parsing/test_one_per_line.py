"""One per line: JSON text laid out in place; no byte comes or goes, wherever the text is cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from replaylab.parsing.one_per_line import OnePerLine, is_laid_out_otherwise
from tests.strategies import recordings

VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=5), st.none(), st.sampled_from(["}", "{", '"', "\\", "[,]", "\n"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(min_size=1, max_size=3), VALUES, min_size=1, max_size=4), max_size=5)


def laid_out(data: bytes, cuts: list[int]) -> bytes:
    """Lay out text that comes in pieces."""
    layout = OnePerLine()
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [layout.feed(data[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return b"".join(pieces) + layout.finish()


@given(OBJECTS, st.sampled_from([None, 1, "\t"]), st.booleans(), st.lists(st.integers(0, 10_000), max_size=4))
def test_objects_stand_one_a_line(
    objects: list[dict[str, object]],
    indent: int | str | None,
    array: bool,  # noqa: FBT001
    cuts: list[int],
) -> None:
    """Every object of an array, or of several indented ones, is a line of its own that says the same."""
    text = json.dumps(objects, indent=indent) if array else "\n".join(json.dumps(one, indent=indent) for one in objects)
    made = laid_out(text.encode(), cuts)
    assert len(made) == len(text.encode())
    lines = [line.strip(b"[], \t\r") for line in made.split(b"\n")]
    assert [json.loads(line) for line in lines if line] == objects


@given(st.one_of(st.binary(max_size=80), recordings()), st.lists(st.integers(0, 10_000), max_size=4))
def test_no_byte_comes_or_goes(data: bytes, cuts: list[int]) -> None:
    """Whatever the bytes, each is the same, or one blank or separator for another; cuts change nothing."""
    made = laid_out(data, cuts)
    assert made == laid_out(data, [])
    assert len(made) == len(data)
    changed = [(before, after) for before, after in zip(data, made, strict=True) if before != after]
    assert all(before in b",[ \t\r\n" and after in b" \n" for before, after in changed)


def test_only_arrays_and_indented_objects_are_laid_out() -> None:
    """Lines, damaged ones too, are left as they are."""
    assert is_laid_out_otherwise(b'[\n{"a": 1}')
    assert is_laid_out_otherwise(b'\xef\xbb\xbf [[{"a": 1}')
    for text in (b'{"a": 1}\n', b"[1, 2]\n", b'{\n{"a": 1}', b"", b"[]"):
        assert not is_laid_out_otherwise(text)
