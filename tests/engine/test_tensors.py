"""16-bit floats, which NumPy and Arrow lack or TensorFlow rounds in its own way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ml_dtypes import bfloat16

from batchscore.engine.tensors import narrow_to_bfloat16


@given(arrays.arrays(np.float32, 20, elements=st.floats(width=32)))
def test_bfloat16_is_rounded_as_tensorflow_does(values):
    expected = values.astype(bfloat16).view(np.uint16)
    assert narrow_to_bfloat16(values).tolist() == expected.tolist()


def test_ties_go_to_even_and_nan_stays_nan():
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, np.nan, -np.nan, 3.4e38, -0.0], np.float32)
    assert [hex(bits) for bits in narrow_to_bfloat16(values)] == [
        "0x3f80", "0x3f82", "0x7fc0", "0xffc0", "0x7f80", "0x8000",
    ]  # fmt: skip
