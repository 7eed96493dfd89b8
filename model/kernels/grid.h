// Grids that numbers are rounded to in training, as `quant.quantizers` defines them.

#pragma once

#include "strips.h"

namespace {

// y = clip(round(x 2^frac), lo, hi) 2^-frac, half to even; not a number stays not a number
struct Grid {
    Real up, down, lo, hi;

    Grid(long frac, long lo, long hi)
        : up(std::ldexp(Real(1), frac)), down(std::ldexp(Real(1), -frac)), lo(lo), hi(hi) {}

    Vector round(Vector x) const {
        constexpr Real WHOLE = Real(3) * Real(Integer(1) << (std::numeric_limits<Real>::digits - 2)); // rounds its sum
        const Vector low = lo - Vector{}, high = hi - Vector{};
        x = x * up;
        x = x < low ? low : x;
        x = x > high ? high : x;
        return ((x + WHOLE) - WHOLE) * down;
    }

    // What of a gradient reaches x: all of it where nothing was clipped
    Vector pass(Vector grad, Vector x) const {
        const Vector low = (lo - Real(0.5)) * down - Vector{}, high = (hi + Real(0.5)) * down - Vector{};
        grad = x <= low ? Vector{} : grad;
        return x >= high ? Vector{} : grad;
    }

    Strip round(const Strip &x) const {
        return each([this](Vector a) { return round(a); }, x);
    }

    Strip pass(const Strip &grad, const Strip &x) const {
        return each([this](Vector g, Vector a) { return pass(g, a); }, grad, x);
    }
};

// No grid
struct Exact {
    template <class X> const X &round(const X &x) const { return x; }
    template <class X> const X &pass(const X &grad, const X &) const { return grad; }
};

} // namespace
