// What stands between the matrices, forward and backward, over contiguous (batch, time, channels).
//
// Channels are independent of each other: each strip of them goes through time with its state in vector registers, and
// strips share out among threads. A backward pass computes the forward states again, into scratch memory of one strip.
// `Real` is float or double. No result depends on the number of threads.

#include "parts.h"

namespace {

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

void gate_forward(long size, long threads, const Real *r, const Real *x, Real *y) {
    elementwise(size, threads,
                [=](long i, long count) { write(y + i, sigmoid(read(r + i, count)) * read(x + i, count), count); });
}

void gate_backward(long size, long threads, const Real *grad, const Real *r, const Real *x, Real *grad_r,
                   Real *grad_x) {
    elementwise(size, threads, [=](long i, long count) {
        const Vector g = read(grad + i, count), s = sigmoid(read(r + i, count));
        write(grad_r + i, g * read(x + i, count) * s * (1 - s), count);
        write(grad_x + i, g * s, count);
    });
}

void squared_relu_forward(long size, long threads, const Real *x, Real *y) {
    elementwise(size, threads, [=](long i, long count) {
        const Vector k = read(x + i, count), positive = k >= 0 ? k : Vector{};
        write(y + i, positive * positive, count);
    });
}

void squared_relu_backward(long size, long threads, const Real *grad, const Real *y, Real *grad_x) {
    elementwise(size, threads, [=](long i, long count) {
        write(grad_x + i, 2 * root(read(y + i, count)) * read(grad + i, count), count);
    });
}
}
