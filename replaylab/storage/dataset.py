"""The rows of segments as a pyarrow dataset whose errors name the segment; loads pandas, so it is imported late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from replaylab.errors import SegmentDamaged, StoreUnreachable
from replaylab.segments.digest import ENDING
from replaylab.segments.segment import Segment
from replaylab.table import SCHEMA

Result = TypeVar("Result")


class StoreDataset(ds.UnionDataset):  # type: ignore[misc]
    """A pyarrow dataset of the stored rows; a damaged page raises `SegmentDamaged`, which names the segment.

    Only a scanner that is made of it and used by itself raises pyarrow's own error.
    """

    def __init__(self, children: Sequence[ds.Dataset], segments: Sequence[Segment]) -> None:
        super().__init__(SCHEMA, list(children))
        self.segments = tuple(segments)

    def filter(self, expression: ds.Expression) -> StoreDataset:
        """Return the dataset with a filter on its rows."""
        found: StoreDataset = super().filter(expression)
        found.segments = self.segments
        return found

    def _named(self, read: Callable[[], Result]) -> Result:
        try:
            return read()
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise_named(self.segments, error)

    def to_table(self, *columns: Any, **options: Any) -> pa.Table:
        """Return the rows as a table, as `pyarrow.dataset.Dataset.to_table` does."""
        return self._named(lambda: super(StoreDataset, self).to_table(*columns, **options))

    def head(self, num_rows: int, *columns: Any, **options: Any) -> pa.Table:
        """Return the first rows."""
        return self._named(lambda: super(StoreDataset, self).head(num_rows, *columns, **options))

    def take(self, indices: pa.Array, *columns: Any, **options: Any) -> pa.Table:
        """Return rows by their places."""
        return self._named(lambda: super(StoreDataset, self).take(indices, *columns, **options))

    def count_rows(self, *conditions: Any, **options: Any) -> int:
        """Return how many rows there are."""
        return int(self._named(lambda: super(StoreDataset, self).count_rows(*conditions, **options)))

    def to_batches(self, *columns: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        """Yield the rows as record batches."""
        batches = self._named(lambda: super(StoreDataset, self).to_batches(*columns, **options))
        while (batch := self._named(lambda: next(batches, None))) is not None:
            yield batch


def raise_named(segments: Sequence[Segment], error: Exception) -> NoReturn:
    """Raise `SegmentDamaged` for the first segment that cannot be read, else for what `error` says."""
    for found in errors_in(segments).values():
        raise found from error
    raise SegmentDamaged(f"rows cannot be read: {error}; `replaylab verify` looks at each segment") from error


def errors_in(segments: Sequence[Segment], columns: Sequence[str] | None = None) -> dict[str, SegmentDamaged]:
    """Read segments one by one and return the error of each that is damaged, by its name."""
    found = {}
    for segment in segments:
        try:
            segment.read(columns)
        except SegmentDamaged as error:
            found[segment.name] = error
        except StoreUnreachable:
            raise
    return found


def damage_in(segments: Sequence[Segment], columns: Sequence[str] | None = None) -> dict[str, str]:
    """Return, by the name of each segment that is damaged, what is wrong with it."""
    return {name: str(error) for name, error in errors_in(segments, columns).items()}


def dataset_of(segments: Sequence[Segment]) -> StoreDataset:
    """Return the rows of segments as a dataset; those of a journal, which is no Parquet, from memory."""
    files = [segment for segment in segments if segment.name.endswith(ENDING)]
    held = [segment.read() for segment in segments if not segment.name.endswith(ENDING)]
    plain = [segment for segment in files if segment.decryption is None]
    parts = [_dataset([segment]) for segment in files if segment.decryption is not None]
    if plain:
        parts.append(_dataset(plain))
    if held or not files:
        parts.append(ds.dataset(pa.concat_tables([SCHEMA.empty_table(), *held]).cast(SCHEMA)))
    return StoreDataset(parts, segments)


def _dataset(segments: Sequence[Segment]) -> ds.Dataset:
    """Return the dataset of files that are opened alike: in plain, or one with its key."""
    options = ds.ParquetFragmentScanOptions(
        page_checksum_verification=True, decryption_properties=segments[0].decryption
    )
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    places = [segment.place for segment in segments]
    return ds.dataset(places, schema=SCHEMA, format=form, filesystem=segments[0].filesystem)
