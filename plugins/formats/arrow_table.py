"""How does an answer become a table with types, for data frames and databases: Parquet, and a stream of Arrow?

The columns and rows of the CSV (`plugins.formats.csv_text`): one row for every position, in C order. Values keep their
type and every bit; a missing one is null. Times are timestamps of UTC to the microsecond where the calendar is that of
everyday life, else ISO 8601 text, because 30 February is no timestamp. What a column means stands in its metadata
(``units``, ``standard_name``, ``long_name``, ``calendar``), what the table is in that of the schema.

pyarrow is not needed to run the server: without it these formats are not offered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.errors import NoDataError
from plugins.formats.cf_values import storable
from plugins.formats.csv_text import axis_columns, coordinates
from plugins.formats.referencing import calendar_uri
from plugins.formats.sink import Sink
from plugins.formats.value_text import block, data_type, texts

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

PARQUET_MEDIA_TYPE: Final = "application/vnd.apache.parquet"
PARQUET_MEDIA_ALIASES: Final = ("application/x-parquet",)
ARROW_MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
AVAILABLE: Final = find_spec("pyarrow") is not None
"""Whether pyarrow is installed."""
ROWS: Final = 262_144
"""Rows of a row group of Parquet, and of a batch of Arrow."""

type Identity = tuple[AxisKind, str]


def encode_parquet(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one Parquet file, compressed with Zstandard.

    Parameters
    ----------
    coverages : sequence of Coverage
        Their rows follow each other; the columns are those of all of them.

    Yields
    ------
    bytes
        One part for each row group of at most 262,144 rows, then the footer.

    Raises
    ------
    NoDataError
        If there is no coverage.
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = _Table(coverages)
    sink = Sink()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for batch in table.batches():
            writer.write_batch(batch, row_group_size=ROWS)
            yield sink.drain()
    yield sink.drain()


def encode_arrow(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one stream of Arrow record batches (IPC streaming format), not compressed.

    Parameters, parts and errors as of `encode_parquet`.
    """
    import pyarrow as pa

    table = _Table(coverages)
    sink = Sink()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.batches():
            writer.write_batch(batch)
            yield sink.drain()
    yield sink.drain()


class _Table:
    """The coverages of one answer as one long table."""

    def __init__(self, coverages: Sequence[Coverage]) -> None:
        if not coverages:
            raise NoDataError("the query selects no value")
        self.coverages = coverages
        self.columns = axis_columns(coverages)
        self.schema = _schema(coverages, self.columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one coverage after the other, at most `ROWS` at a time."""
        import pyarrow as pa

        for coverage in self.coverages:
            shape = coverage.shape
            axes = {(axis.kind, axis.name): (number, axis) for number, axis in coordinates(coverage)}
            kinds = {identity: self.schema.field(name).type for identity, name in self.columns.items()}
            tables = {identity: (axes[identity][0], _axis(axes[identity][1], kinds[identity])) for identity in axes}
            size = int(np.prod(shape))
            for start in range(0, size, ROWS):
                stop = min(start + ROWS, size)
                places = np.unravel_index(np.arange(start, stop), shape) if shape else ()
                arrays = []
                for identity in self.columns:
                    if identity in tables:
                        number, values = tables[identity]
                        arrays.append(values.take(pa.array(places[number])))
                    else:
                        arrays.append(pa.nulls(stop - start, kinds[identity]))
                for field in list(self.schema)[len(self.columns) :]:
                    known = field.name in coverage.ranges
                    arrays.append(
                        _values(block(coverage.ranges[field.name], start, stop), field.type)
                        if known
                        else pa.nulls(stop - start, field.type)
                    )
                yield pa.record_batch(arrays, schema=self.schema)


def _schema(coverages: Sequence[Coverage], columns: Mapping[Identity, str]) -> pa.Schema:
    import pyarrow as pa

    every: dict[Identity, list[Axis]] = {}
    for coverage in coverages:
        for _, axis in coordinates(coverage):
            every.setdefault((axis.kind, axis.name), []).append(axis)
    fields = [_axis_field(name, every[identity]) for identity, name in columns.items()]
    ranges: dict[str, list[Values]] = {}
    described = {}
    for coverage in coverages:
        for name, parameter in coverage.parameters.items():
            ranges.setdefault(name, []).append(coverage.ranges[name])
            described[name] = parameter
    for name, several in ranges.items():
        parameter = described[name]
        said = {
            "standard_name": parameter.standard_name,
            "long_name": parameter.long_name or parameter.label,
            "units": parameter.units,
            "cell_methods": parameter.cell_methods,
        }
        fields.append(pa.field(name, _values_type(several), metadata=_present(said)))
    return pa.schema(fields, metadata=_about(coverages[0]))


def _axis_field(name: str, axes: Sequence[Axis]) -> pa.Field:
    """Return the field of an axis, of a type that holds its values in every coverage."""
    import pyarrow as pa

    axis = axes[0]
    said = {"standard_name": axis.standard_name, "long_name": axis.long_name, "positive": axis.positive}
    if axis.kind is AxisKind.T:
        if all(calendar_uri(each) == "Gregorian" for each in axes):
            return pa.field(name, pa.timestamp("us", "UTC"), nullable=True, metadata=_present(said))
        return pa.field(name, pa.string(), metadata=_present({**said, "calendar": axis.calendar}))
    said["units"] = axis.units
    if any(each.values.dtype.kind not in "iuf" for each in axes):
        return pa.field(name, pa.string(), metadata=_present(said))
    dtype = np.result_type(*(each.values.dtype for each in axes))
    return pa.field(name, pa.from_numpy_dtype(dtype), metadata=_present(said))


def _axis(axis: Axis, kind: pa.DataType) -> pa.Array:
    """Return the values of an axis, once."""
    import pyarrow as pa

    if axis.kind is AxisKind.T:
        if pa.types.is_timestamp(kind):
            return pa.array(np.asarray(axis.values, np.int64)).cast(kind)
        return pa.array(cf_calendar.to_iso(axis.values, axis.calendar), kind)
    if pa.types.is_string(kind):
        return pa.array([str(value) for value in axis.values.tolist()], kind)
    return pa.array(np.ascontiguousarray(axis.values, kind.to_pandas_dtype()), kind)


def _values_type(several: Sequence[Values]) -> pa.DataType:
    import pyarrow as pa

    if any(data_type(values) == "string" for values in several):
        return pa.string()
    if all(values.dtype.kind == "b" for values in several):
        return pa.bool_()
    return pa.from_numpy_dtype(np.result_type(*(storable(np.empty(0, values.dtype)).dtype for values in several)))


def _values(values: Values, kind: pa.DataType) -> pa.Array:
    """Return one block of values, null where one is missing: masked, or NaN."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array(texts(values), kind)
    plain: NDArray[Any] = np.ma.getdata(values)
    plain = np.ascontiguousarray(plain, bool if pa.types.is_boolean(kind) else kind.to_pandas_dtype())
    missing = np.ma.getmaskarray(values)
    if plain.dtype.kind == "f":
        missing = missing | np.isnan(plain)
    return pa.array(plain, kind, mask=missing if missing.any() else None)


def _about(coverage: Coverage) -> dict[str, str]:
    cube = coverage.cube
    return _present(
        {
            "title": cube.title,
            "collection": cube.id,
            "license": cube.definition.licence_url or cube.definition.licence,
            "attribution": cube.definition.attribution,
            "crs": coverage.reference[0],
            "isopleth_snapshot": cube.snapshot,
            "isopleth_interpolation": str(coverage.interpolation),
        }
    )


def _present(said: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in said.items() if text}
