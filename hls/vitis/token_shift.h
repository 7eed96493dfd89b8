// Token shift: prev + mu * (x - prev), where prev is the token before, zero at a sequence's first.
#ifndef SPIKEGPT_TOKEN_SHIFT_H_
#define SPIKEGPT_TOKEN_SHIFT_H_

#include "requantize.h"

namespace nnet {

// ID keeps the rows of two layers of one shape apart.
template <unsigned ID, unsigned CHANNELS, int MU_FRAC> struct token_shift_config {
    static const unsigned channels = CHANNELS;
    static const int mu_frac = MU_FRAC;
};

template <class in_T, class out_T, class CONFIG_T, class mu_T>
void token_shift(hls::stream<in_T> &x, hls::stream<out_T> &y, const mu_T mu[CONFIG_T::channels]) {
    typedef format<typename in_T::value_type> x_format;
    static const unsigned lanes = in_T::size;
    typedef ap_int<x_format::raw_bits> x_t;
    typedef ap_int<wider<x_format::raw_bits + CONFIG_T::mu_frac, x_format::raw_bits + 2 + mu_T::width>::bits + 1>
        mixed_t;

    static x_t prev[CONFIG_T::channels];
#pragma HLS ARRAY_RESHAPE variable = prev cyclic factor = lanes
#pragma HLS ARRAY_RESHAPE variable = mu cyclic factor = lanes
// a channel comes once per token: the next beat never waits for this one's write
#pragma HLS DEPENDENCE variable = prev inter false
Beats:
    for (unsigned c = 0; c < CONFIG_T::channels; c += lanes) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        out_T out;
        out.first = in.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const x_t now = raw(in[l]);
            const x_t before = in.first ? x_t(0) : prev[c + l];
            const mixed_t mixed = (mixed_t(before) << CONFIG_T::mu_frac) + mu[c + l] * (now - before);
            prev[c + l] = now;
            out[l] = requantize<typename out_T::value_type, x_format::frac + CONFIG_T::mu_frac>(mixed);
        }
        y.write(out);
    }
}

} // namespace nnet

#endif
