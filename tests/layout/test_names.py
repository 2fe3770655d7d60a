"""Root package names must not shadow, nor be shadowed by, what is installed beside them."""

import sys
from importlib.metadata import packages_distributions

from tests.layout.tree import ROOMS, ROOT, project


def test_no_installed_distribution_ships_a_top_level_package_named_like_a_room() -> None:
    owners = {room: set(packages_distributions().get(room, [])) - {"evercrew"} for room in ROOMS}
    assert {room: sorted(names) for room, names in owners.items() if names} == {}


def test_no_room_is_named_like_a_standard_module() -> None:
    assert set(ROOMS) & sys.stdlib_module_names == set()


def test_every_root_package_is_a_room_or_the_tests() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} <= set(ROOMS)


def test_the_wheel_carries_exactly_the_rooms() -> None:
    assert tuple(project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == ROOMS
