"""Normals from Philox4x32-10: noise as a function of a key and a counter, whoever computes it."""

from __future__ import annotations

import numpy as np

from imcsim.kernels.jit import inline, kernel
from imcsim.kernels.lanes import WORDS_A_BLOCK, philox_block

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)

# Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011, single precision: erfinv(x) = x p(w - 2.5)
# for w < 5, else x q(sqrt(w) - 3), with w = -log((1 - x)(1 + x)). The factor sqrt(2) of the quantile is applied after.
_CENTRE = tuple(
    np.float32(c)
    for c in (
        2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
        -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
    )
)  # fmt: skip
_TAIL = tuple(
    np.float32(c)
    for c in (
        -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
        -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
    )
)  # fmt: skip
_SQRT2 = np.float32(1.4142135623730951)
_LN2 = np.float32(0.6931471805599453)

# 2 atanh(s) / s in powers of s^2, to 1 ulp of float32 for |s| <= 0.172: log(m) = 2 atanh((m - 1) / (m + 1)).
_ATANH = (np.float32(2.0), np.float32(2 / 3), np.float32(2 / 5), np.float32(2 / 7), np.float32(2 / 9))


# Words within so many of the middle one have w < 5, and so no tail: of 64 words, all in four of five cases.
_CENTRAL = np.uint32(int(0.9966 * 2**31))
_MIDDLE = np.uint32(0x80000000)
_TOGETHER = 64


@inline
def normal_of(word):
    """The standard normal quantile of a random uint32, as float32: 2^32 values, symmetric, to 6.3 sigma.

    To 2e-6 of its value; to 4e-4 beyond 5.3 sigma, outside of the fit: one draw in 18 million.
    """
    x, w = _distance(word)
    centre = _centre(w)  # ahead of the choice, as a branch would not vectorise
    u = np.sqrt(w) - np.float32(3.0)
    tail = _TAIL[0]
    for c in _TAIL[1:]:
        tail = tail * u + c
    return _quantile(word, x, centre if w < np.float32(5.0) else tail)


@inline
def _distance(word):
    """|x| and w of a word, where x = (2 word + 1) / 2^32 - 1 lies in (-1, 1)."""
    # its distance from +-1 is formed in integers, so that the tails keep their precision
    signed = np.int32(word ^ _MIDDLE)
    magnitude = np.uint32(signed) if signed >= 0 else ~np.uint32(signed)
    x = (np.float32(magnitude) + np.float32(0.5)) * np.float32(2.0**-31)
    rest = (np.float32(np.uint32(0x7FFFFFFF) - magnitude) + np.float32(0.5)) * np.float32(2.0**-31)
    t = rest * (np.float32(1.0) + x)
    # w = -log(t), by exponent and mantissa in [sqrt(1/2), sqrt(2)): numba's scalar log would not vectorise
    bits = np.float32(t).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    mantissa = np.int32(bits - (exponent << np.int32(23))).view(np.float32)
    s = (mantissa - np.float32(1.0)) / (mantissa + np.float32(1.0))
    s2 = s * s
    log_m = s * (_ATANH[0] + s2 * (_ATANH[1] + s2 * (_ATANH[2] + s2 * (_ATANH[3] + s2 * _ATANH[4]))))
    return x, -(np.float32(exponent) * _LN2 + log_m)


@inline
def _centre(w):
    u = w - np.float32(2.5)
    centre = _CENTRE[0]
    for c in _CENTRE[1:]:
        centre = centre * u + c
    return centre


@inline
def _quantile(word, x, ratio):
    size = ratio * x * _SQRT2
    return size if np.int32(word ^ _MIDDLE) >= 0 else -size


@inline
def fill_words(out, key, first, c1, c2, c3):
    """Fill out (n,) uint32 with random words, each a function of (key, 64 first + its place, c1, c2, c3) alone.

    Number 64 b + 16 w + l is word w of the counter (16 b + l, c1, c2, c3) under the 64-bit key; out[0] is 64 first.
    """
    k0 = np.uint32(key & _LOW)
    k1 = np.uint32(key >> _32)
    n = out.shape[0]
    whole = n // WORDS_A_BLOCK
    for block in range(whole):
        philox_block(out, WORDS_A_BLOCK * block, np.uint32(first + block), c1, c2, c3, k0, k1)
    if n % WORDS_A_BLOCK:
        last = np.empty(WORDS_A_BLOCK, np.uint32)
        philox_block(last, 0, np.uint32(first + whole), c1, c2, c3, k0, k1)
        out[WORDS_A_BLOCK * whole :] = last[: n % WORDS_A_BLOCK]


@kernel
def fill_normals(out, key, first, c1, c2, c3):
    """Fill out (n,) float32 with standard normals, the quantiles of the words that fill_words would give."""
    # two passes over a buffer that stays in the cache: each vectorises, their fusion would not
    words = out.view(np.uint32)
    fill_words(words, key, first, c1, c2, c3)
    for start in range(0, out.shape[0], _TOGETHER):
        part = out[start : start + _TOGETHER]
        drawn = part.view(np.uint32)
        far = np.int32(0)
        for i in range(drawn.shape[0]):
            far = np.int32(far + np.int32(np.uint32(drawn[i] - (_MIDDLE - _CENTRAL)) >= np.uint32(2 * _CENTRAL)))
        if far == 0:
            for i in range(drawn.shape[0]):
                x, w = _distance(drawn[i])
                part[i] = _quantile(drawn[i], x, _centre(w))
        else:
            for i in range(drawn.shape[0]):
                part[i] = normal_of(drawn[i])
