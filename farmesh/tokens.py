"""Lists of token ids."""

from __future__ import annotations

from array import array


def common_prefix(first: array[int], second: array[int]) -> int:
    """Length of the longest common prefix, by halving: slices compare at memory speed."""
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:  # equal up to low, different up to high
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low
