"""What every test may use.

Properties draw the same examples in every run of one commit, so that a red run tells of a change and not of luck;
``pytest --hypothesis-profile=search`` draws others, and more, to find what these do not.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1_000, deadline=None)
settings.load_profile("same")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
