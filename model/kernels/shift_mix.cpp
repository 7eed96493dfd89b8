// Token shift: x mixed with the token before it, exactly or on grids.

#include "grid.h"

namespace {

// y[i] = before + (x - before) mu[i]: `Out` rounds it, `Mu` rounds mu
template <int N, class Mu, class Out>
void mixes(Mu mu_grid, Out out, long batch, long time, long channels, long threads, const Real *x, const Real *before,
           const Real *const *mu, Real *const *y) {
    const long row = time * channels;
    for_strips(batch * time, 1, channels, threads, [=](long i, long channel, long, long count) {
        const Real *one_before = i % row < channels ? before + i / row * channels + channel : x + i - channels;
        Strip now = load(x + i, count), previous = load(one_before, count);
        for (int n = 0; n < N; ++n) {
            Strip weight = mu_grid.round(load(mu[n] + channel, count));
            store(y[n] + i, out.round(previous + (now - previous) * weight), count);
        }
    });
}

template <int N, class Mu, class Out>
void mixes_back(Mu mu_grid, Out out, long batch, long time, long channels, long threads, const Real *x,
                const Real *before, const Real *const *mu, const Real *const *grad, Real *grad_x, Real *grad_before,
                Real *grad_mu) {
    for_strips(batch, time, channels, threads, [=](long first, long channel, long row, long count) {
        Strip weight[N], to_mu[N], previous = load(before + row, count), to_previous = all(0);
        for (int n = 0; n < N; ++n) {
            weight[n] = mu_grid.round(load(mu[n] + channel, count));
            to_mu[n] = all(0);
        }
        for (long t = 0, i = first; t < time; ++t, i += channels) {
            Strip now = load(x + i, count), difference = now - previous, to_now = all(0);
            for (int n = 0; n < N; ++n) {
                Strip g = out.pass(load(grad[n] + i, count), previous + difference * weight[n]), part = g * weight[n];
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
            store(grad_mu + n * batch * channels + row, mu_grid.pass(to_mu[n], load(mu[n] + channel, count)), count);
    });
}

template <class... Rest> void forward(long mixed, Rest... rest) {
    mixed == 1 ? mixes<1>(rest...) : mixed == 2 ? mixes<2>(rest...) : mixes<3>(rest...);
}

template <class... Rest> void backward(long mixed, Rest... rest) {
    mixed == 1 ? mixes_back<1>(rest...) : mixed == 2 ? mixes_back<2>(rest...) : mixes_back<3>(rest...);
}

} // namespace

extern "C" {

void shift_mix_forward(long batch, long time, long channels, long mixed, long threads, const Real *x,
                       const Real *before, const Real *const *mu, Real *const *y) {
    forward(mixed, Exact(), Exact(), batch, time, channels, threads, x, before, mu, y);
}

void shift_mix_backward(long batch, long time, long channels, long mixed, long threads, const Real *x,
                        const Real *before, const Real *const *mu, const Real *const *grad, Real *grad_x,
                        Real *grad_before, Real *grad_mu) {
    backward(mixed, Exact(), Exact(), batch, time, channels, threads, x, before, mu, grad, grad_x, grad_before,
             grad_mu);
}

void quantized_shift_mix_forward(long batch, long time, long channels, long mixed, long mu_frac, long mu_lo, long mu_hi,
                                 long frac, long lo, long hi, long threads, const Real *x, const Real *before,
                                 const Real *const *mu, Real *const *y) {
    forward(mixed, Grid(mu_frac, mu_lo, mu_hi), Grid(frac, lo, hi), batch, time, channels, threads, x, before, mu, y);
}

void quantized_shift_mix_backward(long batch, long time, long channels, long mixed, long mu_frac, long mu_lo,
                                  long mu_hi, long frac, long lo, long hi, long threads, const Real *x,
                                  const Real *before, const Real *const *mu, const Real *const *grad, Real *grad_x,
                                  Real *grad_before, Real *grad_mu) {
    backward(mixed, Grid(mu_frac, mu_lo, mu_hi), Grid(frac, lo, hi), batch, time, channels, threads, x, before, mu,
             grad, grad_x, grad_before, grad_mu);
}
}
