"""What the tests with other people's code share."""

from __future__ import annotations

import os

import pytest
from interop.go_toolchain import GoMissing, build_verifier


@pytest.fixture(scope="session")
def verifier(tmp_path_factory):
    """The Go program; required in CI, optional elsewhere."""
    try:
        return build_verifier(tmp_path_factory.mktemp("go"))
    except GoMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
