// LayerNorm from exact sums: d = C*x - S1, N = C*S2 - S1^2 + eps, and (x - mean)/sqrt(var + eps) = d / sqrt(N).
#ifndef SPIKEGPT_LAYERNORM_H_
#define SPIKEGPT_LAYERNORM_H_

#include "requantize.h"

namespace nnet {

template <unsigned CHANNELS, int SUM_BITS, int SQUARE_BITS, int VARIANCE_BITS, int DEVIATION_BITS, int NORM_BITS,
          int NORM_FRAC, int MANTISSA_FRAC, int SEED_FRAC, int INDEX_SHIFT, int GAIN_FRAC, int BIAS_FRAC,
          unsigned EPSILON>
struct layernorm_config {
    static const unsigned channels = CHANNELS;
    static const int sum_bits = SUM_BITS;
    static const int square_bits = SQUARE_BITS;
    static const int variance_bits = VARIANCE_BITS;
    static const int deviation_bits = DEVIATION_BITS;
    static const int norm_bits = NORM_BITS;
    static const int norm_frac = NORM_FRAC;
    static const int mantissa_frac = MANTISSA_FRAC;
    static const int seed_frac = SEED_FRAC;
    static const int index_shift = INDEX_SHIFT;
    static const int gain_frac = GAIN_FRAC;
    static const int bias_frac = BIAS_FRAC;
    static const unsigned epsilon = EPSILON;
};

// Mantissas in [1, 4), by 1/64.
static const unsigned seed_entries = 192;

// 1/sqrt(n) = root * 2^-(mantissa_frac + exponent), root in (1/2, 1]: leading zeros, a table, one Newton step.
template <class CONFIG_T, class seed_T>
ap_uint<CONFIG_T::mantissa_frac + 1> reciprocal_root(const ap_uint<CONFIG_T::variance_bits> &n,
                                                     const seed_T seeds[seed_entries], unsigned &exponent) {
#pragma HLS INLINE
    static const int frac = CONFIG_T::mantissa_frac;
    ap_uint<CONFIG_T::variance_bits> countable = n;
    exponent = (CONFIG_T::variance_bits - countable.countLeadingZeros() - 1) >> 1;
    ap_uint<frac + 2> mantissa; // of n, in [1, 4)
    if (2 * exponent >= unsigned(frac))
        mantissa = n >> (2 * exponent - frac);
    else
        mantissa = ap_uint<frac + 2>(n) << (frac - 2 * exponent);
    const ap_uint<frac> seed = seeds[(mantissa >> CONFIG_T::index_shift).to_uint() - 64];
    const ap_uint<frac + 2> t = (mantissa * seed) >> frac;
    const ap_uint<frac + 2> u = (t * seed) >> CONFIG_T::seed_frac;
    const ap_uint<frac + 2> three = ap_uint<frac + 2>(3) << CONFIG_T::seed_frac;
    return (seed * ap_uint<frac + 2>(three - u)) >> CONFIG_T::seed_frac;
}

template <class in_T, class out_T, class CONFIG_T, class gain_T, class bias_T, class seed_T>
void layernorm(hls::stream<in_T> &x, hls::stream<out_T> &y, const gain_T gain[CONFIG_T::channels],
               const bias_T bias[CONFIG_T::channels], const seed_T seeds[seed_entries]) {
    typedef typename in_T::value_type value_t;
    typedef typename raw_type<value_t>::type x_t;
    typedef ap_int<CONFIG_T::deviation_bits> deviation_t;
    static const unsigned lanes = in_T::size;
    static const int frac = CONFIG_T::norm_frac + CONFIG_T::gain_frac;
    static const int bias_up = frac - CONFIG_T::bias_frac;
    typedef ap_int<wider<CONFIG_T::norm_bits + gain_T::width, bias_T::width + bias_up>::bits + 1> scaled_t;
#pragma HLS ARRAY_RESHAPE variable = gain cyclic factor = lanes
#pragma HLS ARRAY_RESHAPE variable = bias cyclic factor = lanes

    x_t row[CONFIG_T::channels];
#pragma HLS ARRAY_RESHAPE variable = row cyclic factor = lanes
    ap_int<CONFIG_T::sum_bits> total = 0;
    ap_uint<CONFIG_T::square_bits> squares = 0;
    bool first = false;
Sums:
    for (unsigned c = 0; c < CONFIG_T::channels; c += lanes) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        first = in.first;
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const x_t n = raw(in[l]);
            row[c + l] = n;
            total += n;
            squares += n * n;
        }
    }
    const ap_int<CONFIG_T::variance_bits + 1> square_mean =
        CONFIG_T::channels * ap_int<CONFIG_T::square_bits + 1>(squares);
    const ap_uint<CONFIG_T::variance_bits> variance = square_mean - total * total + CONFIG_T::epsilon;
    unsigned exponent;
    const ap_int<CONFIG_T::mantissa_frac + 2> root = reciprocal_root<CONFIG_T>(variance, seeds, exponent);
    const unsigned down = CONFIG_T::mantissa_frac + exponent - CONFIG_T::norm_frac;
Normalise:
    for (unsigned c = 0; c < CONFIG_T::channels; c += lanes) {
#pragma HLS PIPELINE II = 1
        out_T out;
        out.first = first;
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const deviation_t deviation = ap_int<33>(CONFIG_T::channels) * row[c + l] - total;
            const ap_int<CONFIG_T::deviation_bits + CONFIG_T::mantissa_frac + 2> product = deviation * root;
            const ap_int<CONFIG_T::norm_bits> norm =
                saturate<CONFIG_T::norm_bits, true>(shift_half_even(product, down));
            const scaled_t scaled = norm * gain[c + l] + (scaled_t(bias[c + l]) << bias_up);
            out[l] = requantize<typename out_T::value_type, frac>(scaled);
        }
        y.write(out);
    }
}

} // namespace nnet

#endif
