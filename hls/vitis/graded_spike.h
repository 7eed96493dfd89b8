// max(x - theta, 0)^2, re-quantized, with a threshold of at least 0 for each channel.
#ifndef SPIKEGPT_GRADED_SPIKE_H_
#define SPIKEGPT_GRADED_SPIKE_H_

#include "requantize.h"

namespace nnet {

template <unsigned CHANNELS> struct graded_spike_config {
    static const unsigned channels = CHANNELS;
};

template <class in_T, class out_T, class CONFIG_T, class theta_T>
void graded_spike(hls::stream<in_T> &x, hls::stream<out_T> &square, const theta_T theta[CONFIG_T::channels]) {
    typedef format<typename in_T::value_type> x_format;
    static const unsigned lanes = in_T::size;
#pragma HLS ARRAY_RESHAPE variable = theta cyclic factor = lanes
Beats:
    for (unsigned b = 0; b < CONFIG_T::channels / lanes; b++) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        out_T out;
        out.first = in.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const ap_int<x_format::raw_bits + 1> n = raw(in[l]) - ap_int<x_format::raw_bits + 1>(theta[b * lanes + l]);
            const ap_int<x_format::raw_bits> above = n < 0 ? ap_int<x_format::raw_bits + 1>(0) : n;
            const ap_int<2 * x_format::raw_bits> squared = above * above;
            out[l] = requantize<typename out_T::value_type, 2 * x_format::frac>(squared);
        }
        square.write(out);
    }
}

} // namespace nnet

#endif
