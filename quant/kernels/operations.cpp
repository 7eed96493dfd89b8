// The operations of `quant/ops` for one token of every sequence, bit for bit: what they mean is written there.
//
// A row of a program is the address of a kernel and its arguments, integers and addresses alike. Streams are int32 and
// states int64, both (batch, channels); `shift`, `lo` and `hi` re-quantize: shift, round half to even, saturate.

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

struct Arguments {
    const int64_t *next;

    int64_t number() { return *next++; }
    int64_t size() { return number() * number(); } // batch and channels
    template <class T> T *array() { return reinterpret_cast<T *>(*next++); }
};

// round(n / 2^shift), ties to even; a negative shift multiplies
inline int64_t shift_half_even(int64_t n, int64_t shift) {
    if (shift <= 0)
        return n << std::min<int64_t>(-shift, 62);
    const int64_t right = std::min<int64_t>(shift, 62);
    return (n + ((int64_t(1) << (right - 1)) - 1) + ((n >> right) & 1)) >> right;
}

struct Requantize {
    int64_t shift, lo, hi;

    explicit Requantize(Arguments &a) : shift(a.number()), lo(a.number()), hi(a.number()) {}

    int32_t operator()(int64_t n) const { return std::min(std::max(shift_half_even(n, shift), lo), hi); }
};

inline int bit_length(uint64_t n) { return n ? 64 - __builtin_clzll(n) : 0; }

// One row of weights; 16 bits hold both factors, which is what multiplies fastest
inline int32_t dot(const int8_t *weights, const int16_t *x, int64_t count) {
    int32_t sum = 0;
    for (int64_t i = 0; i < count; ++i)
        sum += int16_t(weights[i]) * x[i];
    return sum;
}

} // namespace

extern "C" {

void embedding(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *ids = a.array<int64_t>();
    const auto *table = a.array<int8_t>();
    const int64_t batch = a.number(), channels = a.number();
    for (int64_t b = 0; b < batch; ++b)
        std::copy_n(table + ids[b] * channels, channels, out + b * channels);
}

void layer_norm(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>(), *gain = a.array<int32_t>();
    const auto *bias = a.array<int64_t>(), *seeds = a.array<int64_t>(); // the bias on the product's grid
    const int64_t batch = a.number(), channels = a.number(), epsilon = a.number();
    const int64_t mantissa_frac = a.number(), seed_frac = a.number(), index_shift = a.number();
    const int64_t norm_frac = a.number(), norm_lo = a.number(), norm_hi = a.number();
    const Requantize requantize(a);
    for (int64_t b = 0; b < batch; ++b, x += channels, out += channels) {
        int64_t total = 0, squares = 0;
        for (int64_t c = 0; c < channels; ++c) {
            total += x[c];
            squares += int64_t(x[c]) * x[c];
        }
        const int64_t n = channels * squares - total * total + epsilon;
        const int64_t e = (bit_length(n) - 1) >> 1, up = mantissa_frac - 2 * e;
        const int64_t mantissa = up > 0 ? n << up : n >> -up;
        const int64_t seed = seeds[(mantissa >> index_shift) - 64];
        const int64_t u = (((mantissa * seed) >> mantissa_frac) * seed) >> seed_frac;
        const int64_t root = (seed * ((int64_t(3) << seed_frac) - u)) >> seed_frac,
                      down = mantissa_frac + e - norm_frac;
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t norm = shift_half_even((channels * x[c] - total) * root, down);
            out[c] = requantize(std::min(std::max(norm, norm_lo), norm_hi) * gain[c] + bias[c]);
        }
    }
}

void token_shift(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>(), *mu = a.array<int32_t>();
    auto *prev = a.array<int64_t>();
    const int64_t batch = a.number(), channels = a.number(), mu_frac = a.number();
    const Requantize requantize(a);
    for (int64_t b = 0; b < batch; ++b, x += channels, prev += channels, out += channels)
        for (int64_t c = 0; c < channels; ++c) {
            out[c] = requantize((prev[c] << mu_frac) + mu[c] * (x[c] - prev[c]));
            prev[c] = x[c];
        }
}

void linear(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>();
    const auto *weights = a.array<int8_t>();
    const int64_t batch = a.number(), inputs = a.number(), outputs = a.number();
    const Requantize requantize(a);
    const std::vector<int16_t> narrow(x, x + batch * inputs);
    for (int64_t o = 0; o < outputs; ++o, weights += inputs)
        for (int64_t b = 0; b < batch; ++b)
            out[b * outputs + o] = requantize(dot(weights, narrow.data() + b * inputs, inputs));
}

void sigmoid(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>(), *table = a.array<int32_t>();
    const int64_t size = a.size(), lowest = a.number();
    for (int64_t i = 0; i < size; ++i)
        out[i] = table[x[i] - lowest];
}

void gate(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *r = a.array<int32_t>(), *y = a.array<int32_t>();
    const int64_t size = a.size();
    const Requantize requantize(a);
    for (int64_t i = 0; i < size; ++i)
        out[i] = requantize(int64_t(r[i]) * y[i]);
}

void squared_relu(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>();
    const int64_t size = a.size();
    const Requantize requantize(a);
    for (int64_t i = 0; i < size; ++i) {
        const int64_t positive = std::max(x[i], 0);
        out[i] = requantize(positive * positive);
    }
}

void graded_spike(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>(), *theta = a.array<int32_t>();
    const int64_t batch = a.number(), channels = a.number();
    const Requantize requantize(a);
    for (int64_t b = 0; b < batch; ++b, x += channels, out += channels)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t above = std::max(int64_t(x[c]) - theta[c], int64_t(0));
            out[c] = requantize(above * above);
        }
}

void lif(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>();
    auto *membrane = a.array<int64_t>();
    const int64_t size = a.size(), up = a.number(), threshold = a.number();
    for (int64_t i = 0; i < size; ++i) {
        const int64_t charge = (membrane[i] + (int64_t(x[i]) << up)) >> 1;
        out[i] = charge >= threshold;
        membrane[i] = out[i] ? 0 : charge;
    }
}

void residual(Arguments a) {
    auto *out = a.array<int32_t>();
    const auto *x = a.array<int32_t>(), *s = a.array<int32_t>();
    const int64_t size = a.size(), shift = a.number(), lo = a.number(), hi = a.number();
    for (int64_t i = 0; i < size; ++i)
        out[i] = std::min(std::max(x[i] + shift_half_even(s[i], shift), lo), hi);
}

// `count` rows of `width` numbers
void run(const int64_t *rows, int64_t count, int64_t width) {
    for (int64_t i = 0; i < count; ++i, rows += width)
        reinterpret_cast<void (*)(Arguments)>(rows[0])(Arguments{rows + 1});
}
}
