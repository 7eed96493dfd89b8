"""What tests share: the cases of a parametrized test that only ``make check`` runs."""

from functools import partial

import pytest

#: As ``pytest.param``; a case that is not so marked has the same control or arithmetic in a smaller shape.
slow = partial(pytest.param, marks=pytest.mark.slow)
