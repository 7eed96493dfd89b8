// max(x, 0)^2, re-quantized.
#ifndef SPIKEGPT_SQUARED_RELU_H_
#define SPIKEGPT_SQUARED_RELU_H_

#include "requantize.h"

namespace nnet {

template <unsigned CHANNELS> struct squared_relu_config {
    static const unsigned channels = CHANNELS;
};

template <class in_T, class out_T, class CONFIG_T> void squared_relu(hls::stream<in_T> &x, hls::stream<out_T> &square) {
    typedef format<typename in_T::value_type> x_format;
    static const unsigned lanes = in_T::size;
Beats:
    for (unsigned b = 0; b < CONFIG_T::channels / lanes; b++) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        out_T out;
        out.first = in.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const ap_int<x_format::raw_bits> n = raw(in[l]);
            const ap_int<x_format::raw_bits> positive = n < 0 ? ap_int<x_format::raw_bits>(0) : n;
            const ap_int<2 * x_format::raw_bits> squared = positive * positive;
            out[l] = requantize<typename out_T::value_type, 2 * x_format::frac>(squared);
        }
        square.write(out);
    }
}

} // namespace nnet

#endif
