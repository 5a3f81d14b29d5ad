"""Do random queries over the API functions give exactly the values that the store was made of?

The store is synthetic and its oracle, ``expected()``, recomputes any cell from its coordinates. The answer is read by
the axes that it declares, and must hold exactly the cells that a brute-force search finds.
"""

from __future__ import annotations

from urllib.parse import urlencode

import numpy as np
import orjson
import pytest
import shapely
from covjson_pydantic.coverage import Coverage, CoverageCollection
from pyproj import Geod

from plugins.datacube.definition import DatasetDefinition

RESOLUTION = 10.0
LEVELS = (1000.0, 850.0, 500.0)
MEMBERS = 2
SURFACE, UPPER = ("t2m", "tp"), ("t", "u")
QUERIES = 72
SPHERE = Geod(a=6_371_008.8, b=6_371_008.8)


@pytest.fixture(scope="module", params=["map", "time-series"])
def store(request, era5_like, site_of):
    path, module = era5_like(
        "--years", "0.006", "--resolution", "10", "--levels", "1000,850,500", "--members", str(MEMBERS),
        "--variables", "t2m,tp", "--chunks", request.param,
    )  # fmt: skip
    return site_of([DatasetDefinition("era5", str(path))]), module.expected


class Draw:
    """Random queries, with the cells each must give."""

    def __init__(self, cube, seed):
        self.random = np.random.default_rng(seed)
        self.lats, self.lons = (cube.axes[name].values for name in ("latitude", "longitude"))
        self.times = (cube.axes["time"].values // 1_000_000).astype("datetime64[s]")

    def parameters(self):
        pool = SURFACE if self.random.random() < 0.5 else UPPER
        return tuple(self.random.choice(pool, size=self.random.integers(1, 3), replace=False).tolist())

    def datetime(self):
        """A text, and the times it means."""
        first, last = sorted(self.random.integers(0, len(self.times), 2).tolist())
        texts = [f"{time}Z" for time in self.times.tolist() for time in [np.datetime64(time, "s")]]
        choice = self.random.integers(0, 5)
        if choice == 0:
            return texts[first], {first}
        if choice == 1:
            return f"{texts[first]}/{texts[last]}", set(range(first, last + 1))
        if choice == 2:
            return f"{texts[last]}/..", set(range(last, len(texts)))
        if choice == 3:
            return f"../{texts[first]}", set(range(first + 1))
        return f"{texts[first]},{texts[last]}", {first, last}

    def z(self):
        choice = self.random.integers(0, 4)
        if choice == 0:
            return "850", {850.0}
        if choice == 1:
            return "1000/600", {1000.0, 850.0}
        if choice == 2:
            return "500,1000", {500.0, 1000.0}
        return None, set(LEVELS)

    def number(self):
        chosen = self.random.integers(0, MEMBERS + 1)
        return (None, set(range(MEMBERS))) if chosen == MEMBERS else (str(chosen), {int(chosen)})

    def position(self):
        x, y = self.random.uniform(-180, 360), self.random.uniform(-90, 90)
        away = np.abs((self.lons - x + 180) % 360 - 180)
        cell = (self.lats[np.abs(self.lats - y).argmin()], self.lons[away.argmin()] % 360)
        return {"coords": f"POINT({x!r} {y!r})"}, {(float(cell[0]), float(cell[1]))}

    def cube(self):
        west, width = self.random.uniform(-180, 180), self.random.uniform(RESOLUTION, 200)
        south, north = sorted(self.random.uniform(-90, 90, 2))
        north = min(90.0, max(north, south + RESOLUTION))
        south = min(south, north - RESOLUTION)
        east = west + width if west + width <= 180 else west + width - 360
        inside = {
            (float(y), float(x % 360)) for y in self.lats for x in self.lons
            if south <= y <= north and (x - west) % 360 <= width
        }  # fmt: skip
        return {"bbox": ",".join(map(repr, (west, float(south), east, float(north))))}, inside

    def area(self):
        west, south = self.random.uniform(-175, 100), self.random.uniform(-85, 40)
        corners = [(west + dx, south + dy) for dx, dy in ((0, 0), (70, 3), (50, 44), (-4, 30))]
        polygon = shapely.Polygon(corners)
        inside = {
            (float(y), float(x % 360)) for y in self.lats for x in self.lons
            if any(polygon.covers(shapely.Point(x + turn, y)) for turn in (-360, 0, 360))
        }  # fmt: skip
        return {"coords": polygon.wkt}, inside

    def radius(self):
        points = self.random.uniform([-180, -90], [360, 90], (int(self.random.integers(1, 3)), 2)).tolist()
        kilometres = float(self.random.uniform(900, 5000))
        inside = {
            (float(y), float(x % 360)) for y in self.lats for x in self.lons
            if any(SPHERE.inv(*point, x, y)[2] <= kilometres * 1000 for point in points)
        }  # fmt: skip
        coords = f"MULTIPOINT({','.join(f'({x!r} {y!r})' for x, y in points)})"
        return {"coords": coords, "within": repr(kilometres), "within-units": "km"}, inside

    def trajectory(self):
        (a, b), (c, d) = self.random.uniform([-180, -80], [180, 80], (2, 2)).tolist()
        # Less than a full turn, so that a straight line meets no cell twice.
        line = shapely.LineString([(a, b), (a + c * 0.9, d)])
        half = RESOLUTION / 2
        inside = {
            (float(y), float(x % 360)) for y in self.lats for x in self.lons
            if any(
                shapely.intersection(
                    line, shapely.box(x + turn - half, max(y - half, -90), x + turn + half, min(y + half, 90))
                ).length > 1e-9
                for turn in (-360, 0, 360)
            )
        }  # fmt: skip
        return {"coords": line.wkt}, inside


@pytest.mark.parametrize("kind", ["position", "cube", "area", "radius", "trajectory"])
def test_random_queries(store, cells, kind):
    site, expected = store
    draw = Draw(site.service.library.get("era5").cube, seed=len(kind))
    for _ in range(QUERIES // 3):
        where, places = getattr(draw, kind)()
        names = draw.parameters()
        upper = names[0] in UPPER
        (datetime, times), (z, levels), (number, members) = draw.datetime(), draw.z(), draw.number()
        query = {**where, "parameter-name": ",".join(names), "datetime": datetime}
        query |= {"z": z} if z and upper else {}
        query |= {"number": number} if number else {}
        response = site.edr(f"era5/{kind}", urlencode(query))
        assert response.status == 200, query
        document = orjson.loads(response.content())
        model = Coverage if document["type"] == "Coverage" else CoverageCollection
        model.model_validate_json(orjson.dumps(document))

        found = [cell for cell in cells(document) if cell.value is not None]
        keys = [
            (
                cell.parameter,
                np.datetime64(cell.at["t"].rstrip("Z"), "s"),
                cell.at.get("z"),
                cell.at["number"],
                float(cell.at["y"]),
                float(cell.at["x"] % 360),
            )
            for cell in found
        ]
        wanted = {
            (name, draw.times[time], level, member, y, x)
            for name in names for time in times for level in (levels if upper else {None}) for member in members
            for y, x in places
        }  # fmt: skip
        assert len(keys) == len(set(keys)), query
        assert set(keys) == wanted, query
        for name in names:
            mine = [(cell, key) for cell, key in zip(found, keys, strict=True) if cell.parameter == name]
            _, time, level, member, lat, lon = (np.array(column) for column in zip(*(k for _, k in mine), strict=True))
            truth = expected(name, time, lat, lon, level=level.astype(float) if upper else None, member=member)
            values = np.array([cell.value for cell, _ in mine], np.float32)
            np.testing.assert_array_equal(values, truth, err_msg=str(query))
