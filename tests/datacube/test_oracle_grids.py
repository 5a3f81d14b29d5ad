"""Do random queries to random datasets, on every kind of grid, give what an oracle of its own finds by brute force?

`ISOPLETH_ORACLE_EXAMPLES=400` tries so many datasets of each kind (default: 3), and `ISOPLETH_TEST_SEED=random` others
than the last time:

    ISOPLETH_ORACLE_EXAMPLES=400 ISOPLETH_TEST_SEED=random python -m pytest tests/datacube/test_oracle_grids.py -n 2
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle_questions import KINDS, ask
from oracle_stores import Drawn
from oracle_worlds import WORLDS

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import open_datacube

EXAMPLES = int(os.environ.get("ISOPLETH_ORACLE_EXAMPLES", "3"))
MANY = settings(
    max_examples=EXAMPLES,
    # A counterexample is a dataset of a few cells and one query already; making it smaller takes minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def every_kind_of_query(compare, folder: str, grid: str, data: st.DataObject) -> None:
    chance = Drawn(data.draw)
    path = Path(folder) / "store.zarr"
    world = WORLDS[grid](path, chance)
    opened = open_datacube(DatasetDefinition("world", str(path)))
    assert opened.cube.unsupported is None
    for kind in KINDS:
        asked = ask(world, chance, kind, opened.cube.grid.crs)
        compare(opened, world, asked, by_text=chance.whole(0, 3) == 0)


@pytest.mark.parametrize("grid", WORLDS)
def test_every_query_equals_brute_force(grid: str, compare) -> None:
    @MANY
    @given(data=st.data())
    def tried(data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            every_kind_of_query(compare, folder, grid, data)

    tried()
