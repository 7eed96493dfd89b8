// Strips of channels in vector registers: what all kernels are written in.
//
// `Real` is float or double. No result depends on the number of threads.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif
constexpr int DEPTH = 512 / BYTES; // vectors in a strip: chains that do not wait for each other, and whole cache lines
constexpr long LANES = BYTES / sizeof(Real);
constexpr long WIDTH = DEPTH * LANES;
constexpr long GRAIN = 1 << 14; // numbers that are worth waking other threads

using Integer = std::conditional_t<sizeof(Real) == 4, int32_t, int64_t>;
typedef Real Vector __attribute__((vector_size(BYTES)));
typedef Integer Bits __attribute__((vector_size(BYTES)));

struct Strip {
    Vector at[DEPTH];
};

template <class F, class... S> inline Strip each(F f, const S &...s) {
    Strip result;
    for (int i = 0; i < DEPTH; ++i)
        result.at[i] = f(s.at[i]...);
    return result;
}

inline Strip all(Real x) {
    Strip s;
    for (Vector &vector : s.at)
        vector = x - Vector{};
    return s;
}

inline Strip operator+(const Strip &x, const Strip &y) {
    return each([](Vector a, Vector b) { return a + b; }, x, y);
}
inline Strip operator-(const Strip &x, const Strip &y) {
    return each([](Vector a, Vector b) { return a - b; }, x, y);
}
inline Strip operator*(const Strip &x, const Strip &y) {
    return each([](Vector a, Vector b) { return a * b; }, x, y);
}
inline Strip operator/(const Strip &x, const Strip &y) {
    return each([](Vector a, Vector b) { return a / b; }, x, y);
}

// `yes` where x >= y, else `no`
inline Strip where_at_least(const Strip &x, const Strip &y, const Strip &yes, const Strip &no) {
    return each([](Vector a, Vector b, Vector c, Vector d) { return a >= b ? c : d; }, x, y, yes, no);
}

inline Strip magnitude(const Strip &x) {
    return each([](Vector a) { return a >= 0 ? a : -a; }, x);
}

inline Vector root(Vector x) {
    for (int i = 0; i < LANES; ++i)
        x[i] = std::sqrt(x[i]);
    return x;
}

// exp(x) for x <= 0, good to 2 units in the last place: 2^n exp(r), |r| <= ln(2)/2, exp(r) by its Taylor series
inline Vector exp_of_negative(Vector x) {
    constexpr bool SINGLE = sizeof(Real) == 4;
    constexpr int MANTISSA = std::numeric_limits<Real>::digits - 1;
    constexpr Real ROUND = Real(3) * Real(Integer(1) << (MANTISSA - 1)); // what it is added to becomes an integer
    constexpr Real LOWEST = SINGLE ? Real(-87) : Real(-708);             // below, exp(x) is no normal number
    constexpr Real LOG2_E = 1.44269504088896340736;
    constexpr Real LN2_HIGH = SINGLE ? 0.693359375 : 6.93147180369123816490e-01;
    constexpr Real LN2_LOW = SINGLE ? -2.12194440e-4 : 1.90821492927058770002e-10;
    constexpr Real ONE_OVER_FACTORIAL[] = {
        1.,        1.,         1. / 2,      1. / 6,       1. / 24,       1. / 120,       1. / 720,
        1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800.};
    constexpr int DEGREE = SINGLE ? 7 : 13;
    Vector rounded = x * LOG2_E + ROUND;
    Vector n = rounded - ROUND;
    Vector r = x - n * LN2_HIGH - n * LN2_LOW;
    Vector y = ONE_OVER_FACTORIAL[DEGREE] - Vector{};
    for (int i = DEGREE - 1; i >= 0; --i)
        y = y * r + ONE_OVER_FACTORIAL[i];
    Vector one = Real(1) - Vector{};
    Vector power = (Vector)(((Bits)rounded << MANTISSA) + (Bits)one);
    return x < LOWEST ? Vector{} : y * power;
}

inline Strip exp_of_negative(const Strip &x) {
    return each([](Vector a) { return exp_of_negative(a); }, x);
}

inline Vector sigmoid(Vector x) {
    const Vector one = Real(1) - Vector{}, e = exp_of_negative(x >= 0 ? -x : x);
    return (x >= 0 ? one : e) / (one + e);
}

// The `count` first numbers of a vector; the others are zero
inline Vector read(const Real *from, long count) {
    Vector vector = {};
    std::memcpy(&vector, from, count >= LANES ? BYTES : count * sizeof(Real));
    return vector;
}

inline void write(Real *to, const Vector &vector, long count) {
    std::memcpy(to, &vector, count >= LANES ? BYTES : count * sizeof(Real));
}

inline Strip load(const Real *from) {
    Strip s;
    for (int i = 0; i < DEPTH; ++i)
        std::memcpy(&s.at[i], from + i * LANES, BYTES);
    return s;
}

inline void store(Real *to, const Strip &s) {
    for (int i = 0; i < DEPTH; ++i)
        std::memcpy(to + i * LANES, &s.at[i], BYTES);
}

// A strip's `count` first channels; the others are zero
inline Strip load(const Real *from, long count) {
    if (count >= WIDTH)
        return load(from);
    Real padded[WIDTH] = {};
    std::memcpy(padded, from, count * sizeof(Real));
    return load(padded);
}

inline void store(Real *to, const Strip &s, long count) {
    if (count >= WIDTH)
        return store(to, s);
    Real padded[WIDTH];
    store(padded, s);
    std::memcpy(to, padded, count * sizeof(Real));
}

// f(first, channel, row, count) for every strip: where it starts in (batch, time, channels), in (channels), in
// (batch, channels), and how many channels it has
template <class F> void for_strips(long batch, long time, long channels, long threads, F f) {
    const long across = (channels + WIDTH - 1) / WIDTH;
    const bool many = threads > 1 && batch * time * channels >= GRAIN;
#pragma omp parallel for num_threads(threads) if (many) schedule(static)
    for (long i = 0; i < batch * across; ++i) {
        const long b = i / across, c = i % across * WIDTH;
        f(b * time * channels + c, c, b * channels + c, std::min(channels - c, WIDTH));
    }
}

// Room for `time` values, kept by the thread for its next call
template <class S> inline S *scratch(long time) {
    thread_local std::unique_ptr<S[]> room;
    thread_local long size = 0;
    if (size < time)
        room.reset(new S[time]), size = time;
    return room.get();
}

} // namespace
