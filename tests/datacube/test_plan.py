"""Are the chunks of a plan counted exactly, and cut into blocks that hold every value once?"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.blocks import blocks, chunk_bytes, pieces
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import ReadPlan, plan, plan_query
from plugins.datacube.select import select
from plugins.datacube.selection import Points


def make_cube(chunks: tuple[int, int, int], hours: int = 48, step: float = 10.0) -> Datacube:
    axes = {
        "time": Axis(AxisKind.T, "time", np.arange(hours) * 3_600_000_000),
        "lat": Axis(AxisKind.Y, "lat", np.arange(90, -90.1, -step), units="degrees_north"),
        "lon": Axis(AxisKind.X, "lon", np.arange(0, 360, step), units="degrees_east", cyclic=True),
    }
    shape = tuple(axis.size for axis in axes.values())
    parameters = {
        "a": Parameter("a", tuple(axes), shape, "float32", chunks),
        "b": Parameter(
            "b", ("lon", "time", "lat"), (shape[2], shape[0], shape[1]), "float32", (7, 5, 3), None, "int16"
        ),
    }
    grid = Grid(GridKind.RECTILINEAR, CRS84, "", geographic=True)
    definition = DatasetDefinition("d", "d")
    extent = Extent(-180, -90, 180, 90)
    return Datacube(definition, "d", "", parameters, axes, grid, extent, "s", Integrity.UNVERIFIED)


def ask(cube: Datacube, kind: str, **raw: str) -> ReadPlan:
    return plan_query(cube, parse_query(kind, {key.replace("_", "-"): v for key, v in raw.items()}, cube))


def test_a_series_from_maps_costs_every_map() -> None:
    cost = ask(make_cube((1, 19, 36)), "position", coords="POINT(3 3)", parameter_name="a").cost
    assert (cost.chunks, cost.bytes_decoded, cost.values) == (48, 48 * 19 * 36 * 4, 48)
    assert cost.bytes_out >= 48 * 12


def test_a_series_from_columns_costs_one_chunk() -> None:
    cost = ask(make_cube((48, 4, 4)), "position", coords="POINT(3 3)", parameter_name="a").cost
    assert (cost.chunks, cost.bytes_decoded) == (1, 48 * 16 * 4)


def test_chunks_at_the_edge_are_counted_in_full() -> None:
    cost = ask(make_cube((100, 100, 100)), "cube", bbox="-180,-90,180,90", parameter_name="a").cost
    assert (cost.chunks, cost.bytes_decoded) == (1, 100**3 * 4)


BOXES = [("cube", "bbox", box) for box in ("-25,-20,35,40", "170,-90,-170,90", "-180,0,180,0", "0,0,0,0")]
POINTS = [("position", "coords", "MULTIPOINT((0 0),(1 1),(-170 80),(20 20),(21 21))")]
AREAS = [
    ("area", "coords", coords)
    for coords in (
        "POLYGON((-40 -40, 50 60, -60 30, -40 -40))",
        "MULTIPOLYGON(((170 0,180 0,180 40,170 0)),((-180 -50,-150 -50,-150 -20,-180 -50)))",
        "MULTIPOLYGON(((-100 -60,-80 -60,-80 -40,-100 -60)),((80 60,100 60,100 80,80 60)))",
    )
]


@pytest.mark.parametrize(("kind", "name", "text"), BOXES + POINTS + AREAS)
@pytest.mark.parametrize("chunks", [(48, 4, 4), (1, 19, 36), (7, 5, 9)])
@pytest.mark.parametrize("most", [1, 5_000, 10**9])
def test_blocks_hold_every_value_once_and_as_many_chunks_as_were_counted(
    kind: str, name: str, text: str, chunks: tuple[int, int, int], most: int
) -> None:
    cube = make_cube(chunks)
    planned = ask(cube, kind, **{name: text}, datetime="1970-01-01T05:00Z/1970-01-01T20:00Z")
    counted = 0
    for group in planned.selection.groups:
        for parameter in group.parameters:
            touched: list[tuple[int, ...]] = []
            elements: list[tuple[int, ...]] = []
            for block in blocks(group, parameter, most):
                held = list(block.chunks)
                assert len(held) * chunk_bytes(parameter) <= max(most, chunk_bytes(parameter))
                touched += held
                elements += wanted(block, parameter.dims, isinstance(group.horizontal, Points))
            assert len(touched) == len(set(touched))
            counted += len(touched)
            assert len(elements) == len(set(elements))
            # Independently: the chunks of the elements themselves.
            every = expected_elements(group, parameter)
            assert every <= set(elements)
            assert set(touched) == {
                tuple(i // c for i, c in zip(element, parameter.chunks, strict=True)) for element in every
            }
    assert planned.cost.chunks == counted


def wanted(block: object, dims: tuple[str, ...], points: bool) -> list[tuple[int, ...]]:
    """Stored positions of all values that a block delivers."""
    positions = []
    for piece in block.pieces:
        local = np.arange(piece.local.start, piece.local.stop) if isinstance(piece.local, slice) else piece.local
        positions.append((piece.start + local).tolist())
        assert piece.start + local[-1] < piece.stop or isinstance(piece.local, np.ndarray)
    if not points:
        return list(itertools.product(*positions))
    y, x = dims.index("lat"), dims.index("lon")
    pairs = set(zip(positions[y], positions[x], strict=True))
    return [element for element in set(itertools.product(*positions)) if (element[y], element[x]) in pairs]


def expected_elements(group: object, parameter: Parameter) -> set[tuple[int, ...]]:
    (time,) = (indexer.indices.tolist() for indexer in group.leading)
    if isinstance(group.horizontal, Points):
        y, x = (along.indices.tolist() for along in group.horizontal.cells)
        cells = list(zip(y, x, strict=True))
    else:
        y, x = group.horizontal.y.indices.tolist(), group.horizontal.x.indices.tolist()
        mask = group.horizontal.mask
        cells = [(r, c) for i, r in enumerate(y) for j, c in enumerate(x) if mask is None or mask[i, j]]
    order = [parameter.dims.index(dim) for dim in ("time", "lat", "lon")]
    elements = set()
    for t, (r, c) in itertools.product(time, cells):
        element = [0, 0, 0]
        for place, value in zip(order, (t, r, c), strict=True):
            element[place] = value
        elements.add(tuple(element))
    return elements


def test_an_area_does_not_read_what_lies_between_its_parts() -> None:
    cube = make_cube((48, 4, 4))
    box = ask(cube, "cube", bbox="-100,-60,100,80", parameter_name="a").cost
    area = ask(cube, "area", coords=AREAS[2][2], parameter_name="a").cost
    assert area.chunks <= 6 < box.chunks


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True), st.integers(1, 9), st.integers(1, 5))
def test_pieces_of_any_positions(positions: list[int], chunk: int, most: int) -> None:
    indices = np.array(positions)
    rebuilt = np.full(indices.size, -1)
    for piece in pieces(indices, chunk, most):
        assert piece.last_chunk - piece.first_chunk < most
        stored = np.arange(piece.start, piece.stop)
        assert stored[0] // chunk == piece.first_chunk
        assert stored[-1] // chunk == piece.last_chunk
        assert (rebuilt[piece.target] == -1).all()
        rebuilt[piece.target] = stored[piece.local]
    assert rebuilt.tolist() == positions


def test_consecutive_positions_are_slices() -> None:
    for piece in pieces(np.arange(3, 50), 10, 2):
        assert isinstance(piece.local, slice)
        assert isinstance(piece.target, slice)


def test_a_selection_of_another_cube() -> None:
    one, other = make_cube((1, 19, 36)), make_cube((1, 19, 36))
    selection = select(one, parse_query("position", {"coords": "POINT(0 0)"}, one))
    with pytest.raises(ValueError, match="another datacube"):
        plan(other, selection)
