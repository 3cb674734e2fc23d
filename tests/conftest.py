"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("suyuan", deadline=None)
settings.load_profile("suyuan")

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public test data beside the checkout; required in CI, optional elsewhere."""
    if not SHARED.is_dir():
        message = f"the public test data is not beside the checkout (looked for {SHARED})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED
