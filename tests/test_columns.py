"""Columns come through Arrow and back as they were, and nothing on the way loads pandas."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.columns import as_numpy, column, decimals, distinct, present, texts

PRICE = pa.decimal128(38, 24)
whole = st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1))
prices = st.decimals(-(10**13), 10**13, allow_nan=False, allow_infinity=False, places=24)


@given(whole, st.integers(0, 20))
def test_numbers_are_those_of_arrow(values: list[int | None], start: int) -> None:
    """Whole numbers come out as Arrow holds them, nulls as asked for, also from the middle of an array."""
    array = pa.array(values, pa.int64()).slice(min(start, len(values)))
    expected = [7 if value is None else value for value in array.to_pylist()]
    assert as_numpy(array, null=7).tolist() == expected
    assert as_numpy(pa.chunked_array([array, array]), null=7).tolist() == expected * 2


@given(st.lists(st.none() | st.booleans()), st.integers(0, 20))
def test_flags_are_those_of_arrow(values: list[bool | None], start: int) -> None:
    """Flags and presence come out as Arrow holds them, also from the middle of a byte."""
    array = pa.array(values, pa.bool_()).slice(min(start, len(values)))
    assert as_numpy(array).tolist() == [bool(value) for value in array.to_pylist()]
    assert present(array).tolist() == [value is not None for value in array.to_pylist()]


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_numpy_comes_back(values: list[int]) -> None:
    """What `column` makes is what numpy held, null where masked."""
    array = np.array(values, np.int32)
    mask = array % 2 == 0
    expected = [None if value % 2 == 0 else value for value in values]
    assert column(array).to_pylist() == values
    assert column(array, mask).to_pylist() == expected
    assert column(mask).to_pylist() == mask.tolist()


@given(st.lists(st.none() | st.text()), st.lists(st.none() | st.binary()))
def test_texts_are_those_of_arrow(strings: list[str | None], content: list[bytes | None]) -> None:
    """Texts and bytes become the same arrays as Arrow makes of them."""
    strings = [one for one in strings if one is None or one.isascii() or one.encode("utf-8", "ignore").decode() == one]
    assert texts(strings).equals(pa.array(strings, pa.string()))
    assert texts(content, pa.binary()).equals(pa.array(content, pa.binary()))
    texts(strings).validate(full=True)


@given(st.lists(st.none() | prices))
def test_decimals_are_those_of_arrow(values: list[Decimal | None]) -> None:
    """Decimals become the same array as Arrow makes of them, to the last digit."""
    assert decimals(values, PRICE).equals(pa.array(values, PRICE))


@pytest.mark.parametrize("text", ["1e-25", "1e14", "-1e14", "0.1234567890123456789012345"])
def test_decimal_that_does_not_fit_is_refused(text: str) -> None:
    """A Decimal that would have to be rounded or cut is an error."""
    with pytest.raises(ValueError, match="does not fit"):
        decimals([Decimal(text)], PRICE)


def test_conversion_loads_no_pandas(tmp_path: Path) -> None:
    """A conversion, remarks and damage included, runs without loading pandas."""
    rl.simulate(tmp_path / "in", games=4, seed=3, damage=["comments", "two_writers", "torn_end"])
    code = "import sys, replaylab as rl; rl.convert(*sys.argv[1:3], progress=False); print('pandas' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "False"


@given(st.lists(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)), st.sampled_from(["i8", "i4", "u1"]))
def test_distinct_is_what_numpy_says(values: list[int], kind: str) -> None:
    """The distinct values are those of `np.unique`, in its order and type."""
    given_values = np.array(values, np.int64).astype(kind)
    found, expected = distinct(given_values), np.unique(given_values)
    assert found.tolist() == expected.tolist()
    assert found.dtype == expected.dtype
