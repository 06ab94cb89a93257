"""Packages whose modules are imported when their functions are used."""

from importlib import import_module
from types import ModuleType

import pytest

import zoo.models
import zoo.tasks


@pytest.mark.parametrize("package", [zoo.models, zoo.tasks])
def test_a_name_is_the_function_also_where_its_module_has_the_same_name(package: ModuleType) -> None:
    assert sorted(package.MODULES) == sorted(package.__all__)
    for name, module in package.MODULES.items():
        import_module(f"{package.__name__}.{module}")
        assert not isinstance(getattr(package, name), ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = package.absent
