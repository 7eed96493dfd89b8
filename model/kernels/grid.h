// Grids that numbers are rounded to in training, as `quant.quantizers` defines them.

#pragma once

#include "strips.h"

namespace {

// y = clip(round(x 2^frac), lo, hi) 2^-frac, half to even; not a number stays not a number
struct Grid {
    Real up, down, lo, hi;

    Grid(long frac, long lo, long hi)
        : up(std::ldexp(Real(1), frac)), down(std::ldexp(Real(1), -frac)), lo(lo), hi(hi) {}

    Strip round(const Strip &x) const {
        constexpr Real WHOLE = Real(3) * Real(Integer(1) << (std::numeric_limits<Real>::digits - 2)); // rounds its sum
        const Vector low = lo - Vector{}, high = hi - Vector{};
        return each(
            [=](Vector a) {
                a = a * up;
                a = a < low ? low : a;
                a = a > high ? high : a;
                return ((a + WHOLE) - WHOLE) * down;
            },
            x);
    }

    // What of a gradient reaches x: all of it where nothing was clipped
    Strip pass(const Strip &grad, const Strip &x) const {
        const Vector low = (lo - Real(0.5)) * down - Vector{}, high = (hi + Real(0.5)) * down - Vector{};
        return each([=](Vector g, Vector a) { return a <= low || a >= high ? Vector{} : g; }, grad, x);
    }
};

// No grid
struct Exact {
    const Strip &round(const Strip &x) const { return x; }
    const Strip &pass(const Strip &grad, const Strip &) const { return grad; }
};

} // namespace
