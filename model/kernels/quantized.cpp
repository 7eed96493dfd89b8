// Operations whose outputs are rounded to a grid in the same pass, forward and backward.
//
// A grid's scale is 2^r for a trained r: with y = round(raw), its gradient is ln 2 times the sum of grad y - passed
// raw, where `passed` is what of the gradient reaches raw. Sums are made of parts, each of the same numbers and in the
// same order whatever the number of threads.

#include "grid.h"
#include <vector>

namespace {

constexpr long PART = 1 << 13; // numbers whose gradient is added up on its own

// The sum of a strip's numbers, as a tree
inline double total(const Strip &s) {
    Vector vectors[DEPTH];
    std::copy_n(s.at, DEPTH, vectors);
    for (int half = DEPTH / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            vectors[i] = vectors[i] + vectors[i + half];
    Real numbers[LANES];
    std::memcpy(numbers, vectors, BYTES);
    for (long half = LANES / 2; half > 0; half /= 2)
        for (long i = 0; i < half; ++i)
            numbers[i] += numbers[i + half];
    return numbers[0];
}

// The sum over parts of `size` numbers of what f(first, end) returns
template <class F> double sum_of_parts(long size, long part, long threads, F f) {
    const long parts = (size + part - 1) / part;
    std::vector<double> sums(parts);
#pragma omp parallel for num_threads(threads) if (threads > 1 && size >= GRAIN) schedule(static)
    for (long i = 0; i < parts; ++i)
        sums[i] = f(i * part, std::min(size, (i + 1) * part));
    double sum = 0;
    for (double s : sums)
        sum += s;
    return sum;
}

// y = round(f(x...)), elementwise
template <class F, class... X> void quantized(Grid grid, long size, long threads, F f, Real *y, const X *...x) {
    for_strips(1, 1, size, threads,
               [=](long i, long, long, long count) { store(y + i, grid.round(f(load(x + i, count)...)), count); });
}

// back(i, count, g, raw) stores the gradients of x, given that of raw = f(x...); returns that of r
template <class F, class B, class... X>
Real quantized_back(Grid grid, long size, long threads, F f, B back, const Real *grad, const X *...x) {
    return std::log(2.0) * sum_of_parts(size, PART, threads, [=](long first, long end) {
               Strip to_scale = all(0);
               for (long i = first; i < end; i += WIDTH) {
                   const long count = std::min(end - i, WIDTH);
                   Strip g = load(grad + i, count), raw = f(load(x + i, count)...), passed = grid.pass(g, raw);
                   to_scale = to_scale + (g * grid.round(raw) - passed * raw);
                   back(i, count, passed, raw);
               }
               return total(to_scale);
           });
}

inline Strip positive(const Strip &x) { return where_at_least(x, all(0), x, all(0)); }

constexpr auto itself = [](const Strip &x) { return x; };
constexpr auto squashed = [](const Strip &x) { return sigmoid(x); };
constexpr auto product = [](const Strip &x, const Strip &y) { return x * y; };
constexpr auto square_of_positive = [](const Strip &x) {
    Strip p = positive(x);
    return p * p;
};

// One token's LayerNorm: n = (x - mean) / sqrt(var + epsilon) in strips, 0 beyond the last channel
struct Norm {
    Strip *n;
    Real root; // 1 / sqrt(var + epsilon)

    Norm(const Real *x, long channels) : n(scratch<Strip>((channels + WIDTH - 1) / WIDTH)) {
        Strip sum = all(0);
        for (long c = 0; c < channels; c += WIDTH)
            sum = sum + (n[c / WIDTH] = load(x + c, channels - c));
        const Strip mean = all(total(sum) / channels);
        Strip squares = all(0);
        for (long c = 0; c < channels; c += WIDTH) {
            Strip difference = n[c / WIDTH] - mean;
            if (channels - c < WIDTH)
                difference = first(difference, channels - c);
            n[c / WIDTH] = difference;
            squares = squares + difference * difference;
        }
        root = 1 / std::sqrt(total(squares) / channels + 1e-5);
        for (long c = 0; c < channels; c += WIDTH)
            n[c / WIDTH] = n[c / WIDTH] * all(root);
    }

    static Strip first(const Strip &s, long count) {
        Real padded[WIDTH] = {};
        store(padded, s, count);
        return load(padded);
    }
};

constexpr long ROWS = 32; // tokens whose gradients of gain and bias are added up on their own

} // namespace

extern "C" {

void fake_quantize_forward(long size, long frac, long lo, long hi, long threads, const Real *x, Real *y) {
    quantized(Grid(frac, lo, hi), size, threads, itself, y, x);
}

void fake_quantize_backward(long size, long frac, long lo, long hi, long threads, const Real *grad, const Real *x,
                            Real *grad_x, Real *grad_r) {
    auto back = [=](long i, long count, const Strip &g, const Strip &) { store(grad_x + i, g, count); };
    *grad_r = quantized_back(Grid(frac, lo, hi), size, threads, itself, back, grad, x);
}

void quantized_sigmoid_forward(long size, long frac, long lo, long hi, long threads, const Real *x, Real *y) {
    quantized(Grid(frac, lo, hi), size, threads, squashed, y, x);
}

void quantized_sigmoid_backward(long size, long frac, long lo, long hi, long threads, const Real *grad, const Real *x,
                                Real *grad_x, Real *grad_r) {
    auto back = [=](long i, long count, const Strip &g, const Strip &s) {
        store(grad_x + i, g * s * (all(1) - s), count);
    };
    *grad_r = quantized_back(Grid(frac, lo, hi), size, threads, squashed, back, grad, x);
}

void quantized_product_forward(long size, long frac, long lo, long hi, long threads, const Real *x, const Real *y,
                               Real *z) {
    quantized(Grid(frac, lo, hi), size, threads, product, z, x, y);
}

void quantized_product_backward(long size, long frac, long lo, long hi, long threads, const Real *grad, const Real *x,
                                const Real *y, Real *grad_x, Real *grad_y, Real *grad_r) {
    auto back = [=](long i, long count, const Strip &g, const Strip &) {
        store(grad_x + i, g * load(y + i, count), count);
        store(grad_y + i, g * load(x + i, count), count);
    };
    *grad_r = quantized_back(Grid(frac, lo, hi), size, threads, product, back, grad, x, y);
}

void quantized_squared_relu_forward(long size, long frac, long lo, long hi, long threads, const Real *x, Real *y) {
    quantized(Grid(frac, lo, hi), size, threads, square_of_positive, y, x);
}

void quantized_squared_relu_backward(long size, long frac, long lo, long hi, long threads, const Real *grad,
                                     const Real *x, Real *grad_x, Real *grad_r) {
    auto back = [=](long i, long count, const Strip &g, const Strip &) {
        store(grad_x + i, all(2) * g * positive(load(x + i, count)), count);
    };
    *grad_r = quantized_back(Grid(frac, lo, hi), size, threads, square_of_positive, back, grad, x);
}

void quantized_layer_norm_forward(long tokens, long channels, long gain_frac, long gain_lo, long gain_hi,
                                  long bias_frac, long bias_lo, long bias_hi, long frac, long lo, long hi, long threads,
                                  const Real *x, const Real *gain, const Real *bias, Real *y) {
    const Grid gains(gain_frac, gain_lo, gain_hi), biases(bias_frac, bias_lo, bias_hi), out(frac, lo, hi);
    sum_of_parts(tokens, ROWS, threads, [=](long first, long end) {
        for (long t = first; t < end; ++t) {
            Norm norm(x + t * channels, channels);
            for (long c = 0; c < channels; c += WIDTH) {
                const long count = channels - c;
                Strip raw =
                    norm.n[c / WIDTH] * gains.round(load(gain + c, count)) + biases.round(load(bias + c, count));
                store(y + t * channels + c, out.round(raw), count);
            }
        }
        return 0.0;
    });
}

// grad_gain and grad_bias: for every ROWS tokens one row of channels
void quantized_layer_norm_backward(long tokens, long channels, long gain_frac, long gain_lo, long gain_hi,
                                   long bias_frac, long bias_lo, long bias_hi, long frac, long lo, long hi,
                                   long threads, const Real *grad, const Real *x, const Real *gain, const Real *bias,
                                   Real *grad_x, Real *grad_gain, Real *grad_bias, Real *grad_r) {
    const Grid gains(gain_frac, gain_lo, gain_hi), biases(bias_frac, bias_lo, bias_hi), out(frac, lo, hi);
    *grad_r = std::log(2.0) * sum_of_parts(tokens, ROWS, threads, [=](long first, long end) {
                  Real *to_gain = grad_gain + first / ROWS * channels, *to_bias = grad_bias + first / ROWS * channels;
                  std::fill_n(to_gain, channels, Real(0));
                  std::fill_n(to_bias, channels, Real(0));
                  Strip to_scale = all(0);
                  for (long t = first; t < end; ++t) {
                      const Norm norm(x + t * channels, channels);
                      Strip sum = all(0), along = all(0);
                      for (long c = 0; c < channels; c += WIDTH) {
                          const long count = channels - c;
                          Real *to = grad_x + t * channels + c;
                          const Strip n = norm.n[c / WIDTH], weight = gains.round(load(gain + c, count));
                          const Strip raw = n * weight + biases.round(load(bias + c, count));
                          const Strip g = load(grad + t * channels + c, count), passed = out.pass(g, raw);
                          to_scale = to_scale + (g * out.round(raw) - passed * raw);
                          store(to_gain + c, load(to_gain + c, count) + passed * n, count);
                          store(to_bias + c, load(to_bias + c, count) + passed, count);
                          const Strip to_n = passed * weight;
                          sum = sum + to_n;
                          along = along + to_n * n;
                          store(to, to_n, count);
                      }
                      const Strip mean = all(total(sum) / channels), slope = all(total(along) / channels);
                      for (long c = 0; c < channels; c += WIDTH) {
                          Real *to = grad_x + t * channels + c;
                          const Strip to_n = load(to, channels - c);
                          store(to, (to_n - mean - norm.n[c / WIDTH] * slope) * all(norm.root), channels - c);
                      }
                  }
                  for (long c = 0; c < channels; c += WIDTH) {
                      const long count = channels - c;
                      store(to_gain + c, gains.pass(load(to_gain + c, count), load(gain + c, count)), count);
                      store(to_bias + c, biases.pass(load(to_bias + c, count), load(bias + c, count)), count);
                  }
                  return total(to_scale);
              });
}
}
