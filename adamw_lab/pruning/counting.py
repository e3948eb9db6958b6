"""Histograms of 16 bits of the order-preserving key of a float's bits, compiled. Imported only where Numba
is.

With b the bits read as a signed integer, key = b for b >= 0 and lowest - b below: sign and magnitude turned
into two's complement, so that keys order as the floats do and -0.0 and 0.0 share the key 0. The loops
release the GIL; plain Python threads run them side by side, each with a histogram of its own, and no
threading layer is involved.
"""

import numpy as np

from adamw_lab.compiled import kept_njit

_BLOCK = 2048


@kept_njit(nogil=True)
def count_top(bits, lowest, infinity, shift, histogram):
    """Count the keys' top 16 bits, offset to start at 0. Returns the number of NaNs."""
    nans = 0
    digits = np.empty(_BLOCK, np.uint16)
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        # Apart from the counting, which cannot, this loop runs on vectors.
        for i in range(len(block)):
            b = block[i]
            key = b if b >= 0 else lowest - b
            nans += (key > infinity) | (key < -infinity)
            digits[i] = (key >> shift) + 32768
        for i in range(len(block)):
            histogram[digits[i]] += 1
    return nans


@kept_njit(nogil=True)
def count_below(bits, lowest, prefix, shift, histogram):
    """Count the 16 bits above `shift` of those keys whose bits above them are `prefix`."""
    for b in bits:
        key = b if b >= 0 else lowest - b
        if key >> (shift + 16) == prefix:
            histogram[(key >> shift) & 65535] += 1
