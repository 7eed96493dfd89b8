// What stands between the matrices, forward and backward, over contiguous (batch, time, channels).
//
// Channels are independent of each other: each strip of them goes through time with its state in vector registers, and
// strips share out among threads. A backward pass computes the forward states again, into scratch memory of one strip.
// `Real` is float or double. No result depends on the number of threads.

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

inline Strip root(const Strip &x) {
    return each(
        [](Vector a) {
            Vector result;
            for (int i = 0; i < LANES; ++i)
                result[i] = std::sqrt(a[i]);
            return result;
        },
        x);
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

inline Strip sigmoid(const Strip &x) {
    Strip e = exp_of_negative(all(0) - magnitude(x));
    return where_at_least(x, all(0), all(1), e) / (all(1) + e);
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

// x/2, rounded: fused with the sum that reads it, it would keep a bit below the normal numbers that PyTorch's loses
inline Strip half(const Strip &x) {
    return each(
        [](Vector a) {
            a *= Real(0.5);
#if defined(__x86_64__)
            asm("" : "+v"(a));
#elif defined(__aarch64__)
            asm("" : "+w"(a));
#endif
            return a;
        },
        x);
}

// The charge h = v + (x - v)/2; v becomes (1 - s) h: 0 where h reaches 1, and no number where h is infinite
inline Strip charge(Strip &v, const Strip &x) {
    Strip h = v + half(x - v);
    v = h * where_at_least(h, all(1), all(0), all(1));
    return h;
}

// One token of WKV: the state before it, divided by exp(p), becomes the state after it
struct WKVStep {
    Strip fade, weight; // of the state and of the token in the state after
    Strip past, now;    // of the state and of the token in y; past * b + now = 1
    Strip y, a, b;      // a and b before the token
};

inline WKVStep wkv_step(Strip &a, Strip &b, Strip &p, const Strip &w, const Strip &u, const Strip &k, const Strip &v) {
    WKVStep step;
    step.a = a, step.b = b;
    const Strip one = all(1);
    // of two exponents the larger one gives 1, the other exp(-their distance)
    Strip bonus = u + k;
    Strip e = exp_of_negative(all(0) - magnitude(p - bonus));
    step.past = where_at_least(p, bonus, one, e);
    step.now = where_at_least(p, bonus, e, one);
    Strip normalise = one / (step.past * b + step.now);
    step.past = step.past * normalise;
    step.now = step.now * normalise;
    step.y = step.past * a + step.now * v;
    Strip faded = p + w;
    e = exp_of_negative(all(0) - magnitude(faded - k));
    step.fade = where_at_least(faded, k, one, e);
    step.weight = where_at_least(faded, k, e, one);
    p = where_at_least(faded, k, faded, k);
    a = step.fade * a + step.weight * v;
    b = step.fade * b + step.weight;
    return step;
}

// y[i] = x mu[i] + before (1 - mu[i])
template <int N>
void mixes(long batch, long time, long channels, long threads, const Real *x, const Real *before, const Real *const *mu,
           Real *const *y) {
    const long row = time * channels;
    for_strips(batch * time, 1, channels, threads, [=](long i, long channel, long, long count) {
        const Real *one_before = i % row < channels ? before + i / row * channels + channel : x + i - channels;
        Strip now = load(x + i, count), previous = load(one_before, count);
        for (int n = 0; n < N; ++n)
            store(y[n] + i, previous + (now - previous) * load(mu[n] + channel, count), count);
    });
}

template <int N>
void mixes_back(long batch, long time, long channels, long threads, const Real *x, const Real *before,
                const Real *const *mu, const Real *const *grad, Real *grad_x, Real *grad_before, Real *grad_mu) {
    for_strips(batch, time, channels, threads, [=](long first, long channel, long row, long count) {
        Strip to_mu[N], previous = load(before + row, count), to_previous = all(0);
        for (Strip &sum : to_mu)
            sum = all(0);
        for (long t = 0, i = first; t < time; ++t, i += channels) {
            Strip now = load(x + i, count), difference = now - previous, to_now = all(0);
            for (int n = 0; n < N; ++n) {
                Strip g = load(grad[n] + i, count), part = g * load(mu[n] + channel, count);
                to_now = to_now + part;
                to_previous = to_previous + (g - part);
                to_mu[n] = to_mu[n] + g * difference;
            }
            store(t ? grad_x + i - channels : grad_before + row, to_previous, count);
            previous = now;
            to_previous = to_now;
        }
        store(grad_x + first + (time - 1) * channels, to_previous, count);
        for (int n = 0; n < N; ++n)
            store(grad_mu + n * batch * channels + row, to_mu[n], count);
    });
}

} // namespace

extern "C" {

void lif_forward(long batch, long time, long channels, long threads, const Real *x, const Real *membrane, Real *spikes,
                 Real *after) {
    for_strips(batch, time, channels, threads, [=](long first, long, long row, long count) {
        Strip v = load(membrane + row, count);
        for (long t = 0, i = first; t < time; ++t, i += channels) {
            Strip h = charge(v, load(x + i, count));
            store(spikes + i, where_at_least(h, all(1), all(1), all(0)), count);
        }
        store(after + row, v, count);
    });
}

void lif_backward(long batch, long time, long channels, long threads, const Real *grad, const Real *grad_after,
                  const Real *x, const Real *membrane, Real *grad_x, Real *grad_membrane) {
    const Real pi = 3.14159265358979323846;
    for_strips(batch, time, channels, threads, [=](long first, long, long row, long count) {
        Strip *charged = scratch<Strip>(time);
        Strip v = load(membrane + row, count), to_v = load(grad_after + row, count);
        for (long t = 0, i = first; t < time; ++t, i += channels)
            charged[t] = charge(v, load(x + i, count));
        for (long t = time - 1, i = first + t * channels; t >= 0; --t, i -= channels) {
            Strip h = charged[t], z = all(pi) * (h - all(1));
            Strip slope = all(1) / (all(1) + z * z);
            Strip through_reset = where_at_least(h, all(1), all(0), all(1)) - h * slope;
            to_v = all(0.5) * (load(grad + i, count) * slope + through_reset * to_v);
            store(grad_x + i, to_v, count);
        }
        store(grad_membrane + row, to_v, count);
    });
}

void wkv_forward(long batch, long time, long channels, long threads, const Real *w, const Real *u, const Real *k,
                 const Real *v, const Real *a, const Real *b, const Real *p, Real *y, Real *a_after, Real *b_after,
                 Real *p_after) {
    for_strips(batch, time, channels, threads, [=](long first, long channel, long row, long count) {
        const Strip decay = load(w + channel, count), bonus = load(u + channel, count);
        Strip num = load(a + row, count), den = load(b + row, count), top = load(p + row, count);
        for (long t = 0, i = first; t < time; ++t, i += channels)
            store(y + i, wkv_step(num, den, top, decay, bonus, load(k + i, count), load(v + i, count)).y, count);
        store(a_after + row, num, count);
        store(b_after + row, den, count);
        store(p_after + row, top, count);
    });
}

void wkv_backward(long batch, long time, long channels, long threads, const Real *grad, const Real *w, const Real *u,
                  const Real *k, const Real *v, const Real *a, const Real *b, const Real *p, Real *grad_w, Real *grad_u,
                  Real *grad_k, Real *grad_v) {
    for_strips(batch, time, channels, threads, [=](long first, long channel, long row, long count) {
        const Strip decay = load(w + channel, count), bonus = load(u + channel, count);
        Strip num = load(a + row, count), den = load(b + row, count), top = load(p + row, count);
        WKVStep *steps = scratch<WKVStep>(time);
        for (long t = 0, i = first; t < time; ++t, i += channels)
            steps[t] = wkv_step(num, den, top, decay, bonus, load(k + i, count), load(v + i, count));
        Strip to_a = all(0), to_b = all(0), to_w = all(0), to_u = all(0);
        for (long t = time - 1, i = first + t * channels; t >= 0; --t, i -= channels) {
            const WKVStep &s = steps[t];
            Strip g = load(grad + i, count), value = load(v + i, count);
            Strip to_bonus = g * s.now * (value - s.y);
            store(grad_k + i, to_bonus + s.weight * (to_a * value + to_b), count);
            store(grad_v + i, g * s.now + s.weight * to_a, count);
            to_u = to_u + to_bonus;
            to_w = to_w + s.fade * (to_a * s.a + to_b * s.b);
            Strip to_past = g * s.past;
            to_a = to_past + s.fade * to_a;
            to_b = s.fade * to_b - to_past * s.y;
        }
        store(grad_w + row, to_w, count);
        store(grad_u + row, to_u, count);
    });
}

void shift_mix_forward(long batch, long time, long channels, long mixed, long threads, const Real *x,
                       const Real *before, const Real *const *mu, Real *const *y) {
    auto run = mixed == 1 ? mixes<1> : mixed == 2 ? mixes<2> : mixes<3>;
    run(batch, time, channels, threads, x, before, mu, y);
}

void shift_mix_backward(long batch, long time, long channels, long mixed, long threads, const Real *x,
                        const Real *before, const Real *const *mu, const Real *const *grad, Real *grad_x,
                        Real *grad_before, Real *grad_mu) {
    auto run = mixed == 1 ? mixes_back<1> : mixed == 2 ? mixes_back<2> : mixes_back<3>;
    run(batch, time, channels, threads, x, before, mu, grad, grad_x, grad_before, grad_mu);
}

void gate_forward(long size, long threads, const Real *r, const Real *x, Real *y) {
    for_strips(1, 1, size, threads, [=](long i, long, long, long count) {
        store(y + i, sigmoid(load(r + i, count)) * load(x + i, count), count);
    });
}

void gate_backward(long size, long threads, const Real *grad, const Real *r, const Real *x, Real *grad_r,
                   Real *grad_x) {
    for_strips(1, 1, size, threads, [=](long i, long, long, long count) {
        Strip g = load(grad + i, count), s = sigmoid(load(r + i, count));
        store(grad_r + i, g * load(x + i, count) * s * (all(1) - s), count);
        store(grad_x + i, g * s, count);
    });
}

void squared_relu_forward(long size, long threads, const Real *x, Real *y) {
    for_strips(1, 1, size, threads, [=](long i, long, long, long count) {
        Strip k = load(x + i, count), positive = where_at_least(k, all(0), k, all(0));
        store(y + i, positive * positive, count);
    });
}

void squared_relu_backward(long size, long threads, const Real *grad, const Real *y, Real *grad_x) {
    for_strips(1, 1, size, threads, [=](long i, long, long, long count) {
        store(grad_x + i, all(2) * root(load(y + i, count)) * load(grad + i, count), count);
    });
}
}
