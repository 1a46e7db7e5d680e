"""Number columns without numpy's masked arrays are those of pyarrow."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from cprtools.tables.light import number_array


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.float32])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_number_columns_are_those_of_pyarrow(kind, count):
    values = (np.arange(2 * count) - 3).astype(kind)[::2]
    missing = np.arange(count) % 3 == 1
    assert number_array(values).equals(pa.array(values))
    found = number_array(values, missing)
    assert found.equals(pa.array(values, mask=missing))
    assert found.null_count == missing.sum()
    found.validate(full=True)


def test_what_arrays_do_without_is_not_loaded():
    code = "import sys; from cprtools.tables.light import *; leave_pandas_out()\n"
    code += "number_array(np.arange(3), np.arange(3) > 1); pa.array(['a', None], pa.string())\n"
    code += "print({'numpy.ma', 'pandas', 'dateutil'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
