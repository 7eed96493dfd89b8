// LayerNorm over the channels of every token, with gain, bias and output on grids (see quantized.cpp).

#include "grid.h"
#include "parts.h"

namespace {

constexpr long ROWS = 32; // tokens whose gradients of gain and bias are added up on their own

// Parameters on their grid
std::vector<Real> rounded(Grid grid, const Real *x, long channels) {
    std::vector<Real> y(channels);
    for_vectors(0, channels, [&](long c, long count) { write(&y[c], grid.round(read(x + c, count)), count); });
    return y;
}

// n = (x - mean) root of one token, 0 beyond its last channel; returns root = 1 / sqrt(var + 1e-5)
Real normalise(const Real *x, long channels, Vector *n) {
    Vector sum{}, squares{};
    for_vectors(0, channels, [&](long c, long count) { sum += read(x + c, count); });
    const Real mean = total(sum) / channels;
    for_vectors(0, channels, [&](long c, long count) {
        Vector difference = read(x + c, count) - mean;
        for (long i = count; i < LANES; ++i)
            difference[i] = 0;
        n[c / LANES] = difference;
        squares += difference * difference;
    });
    const Real root = 1 / std::sqrt(total(squares) / channels + Real(1e-5));
    for_vectors(0, channels, [&](long c, long) { n[c / LANES] *= root; });
    return root;
}

inline Vector *room(long channels) { return scratch<Vector>((channels + LANES - 1) / LANES); }

} // namespace

extern "C" {

void quantized_layer_norm_forward(long tokens, long channels, long gain_frac, long gain_lo, long gain_hi,
                                  long bias_frac, long bias_lo, long bias_hi, long frac, long lo, long hi, long threads,
                                  const Real *x, const Real *gain, const Real *bias, Real *y) {
    const Grid out(frac, lo, hi);
    const auto gains = rounded(Grid(gain_frac, gain_lo, gain_hi), gain, channels);
    const auto biases = rounded(Grid(bias_frac, bias_lo, bias_hi), bias, channels);
    sum_of_parts(tokens, ROWS, threads, [&](long first, long end) {
        Vector *n = room(channels);
        for (long t = first; t < end; ++t) {
            normalise(x + t * channels, channels, n);
            for_vectors(0, channels, [&](long c, long count) {
                const Vector raw = n[c / LANES] * read(&gains[c], count) + read(&biases[c], count);
                write(y + t * channels + c, out.round(raw), count);
            });
        }
        return 0;
    });
}

// grad_gain and grad_bias: for every ROWS tokens one row of channels
void quantized_layer_norm_backward(long tokens, long channels, long gain_frac, long gain_lo, long gain_hi,
                                   long bias_frac, long bias_lo, long bias_hi, long frac, long lo, long hi,
                                   long threads, const Real *grad, const Real *x, const Real *gain, const Real *bias,
                                   Real *grad_x, Real *grad_gain, Real *grad_bias, Real *grad_r) {
    const Grid gain_grid(gain_frac, gain_lo, gain_hi), bias_grid(bias_frac, bias_lo, bias_hi), out(frac, lo, hi);
    const auto gains = rounded(gain_grid, gain, channels), biases = rounded(bias_grid, bias, channels);
    *grad_r = std::log(2.0) * sum_of_parts(tokens, ROWS, threads, [&](long first, long end) {
                  Real *to_gain = grad_gain + first / ROWS * channels, *to_bias = grad_bias + first / ROWS * channels;
                  std::fill_n(to_gain, channels, Real(0));
                  std::fill_n(to_bias, channels, Real(0));
                  Vector *n = room(channels), to_scale{};
                  for (long t = first; t < end; ++t) {
                      const Real root = normalise(x + t * channels, channels, n);
                      Real *to = grad_x + t * channels;
                      Vector sum{}, along{};
                      for_vectors(0, channels, [&](long c, long count) {
                          const Vector weight = read(&gains[c], count);
                          const Vector raw = n[c / LANES] * weight + read(&biases[c], count);
                          const Vector g = read(grad + t * channels + c, count), passed = out.pass(g, raw);
                          to_scale += g * out.round(raw) - passed * raw;
                          write(to_gain + c, read(to_gain + c, count) + passed * n[c / LANES], count);
                          write(to_bias + c, read(to_bias + c, count) + passed, count);
                          const Vector to_n = passed * weight;
                          sum += to_n;
                          along += to_n * n[c / LANES];
                          write(to + c, to_n, count);
                      });
                      const Real mean = total(sum) / channels, slope = total(along) / channels;
                      for_vectors(0, channels, [&](long c, long count) {
                          write(to + c, (read(to + c, count) - mean - n[c / LANES] * slope) * root, count);
                      });
                  }
                  for_vectors(0, channels, [&](long c, long count) {
                      write(to_gain + c, gain_grid.pass(read(to_gain + c, count), read(gain + c, count)), count);
                      write(to_bias + c, bias_grid.pass(read(to_bias + c, count), read(bias + c, count)), count);
                  });
                  return double(total(to_scale));
              });
}
}
