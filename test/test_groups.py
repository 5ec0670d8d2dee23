"""Tests that share expensive fixtures run in one process of pytest-xdist."""

import pytest


def test_pytest_xdist_knows_the_groups_of_the_tests(request):
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("not run by pytest-xdist with groups")
    assert request.node.nodeid.endswith("@test_groups.py")
