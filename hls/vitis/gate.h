// r * y elementwise, re-quantized.
#ifndef SPIKEGPT_GATE_H_
#define SPIKEGPT_GATE_H_

#include "requantize.h"

namespace nnet {

template <unsigned CHANNELS> struct gate_config {
    static const unsigned channels = CHANNELS;
};

template <class r_T, class y_T, class out_T, class CONFIG_T>
void gate(hls::stream<r_T> &r, hls::stream<y_T> &y, hls::stream<out_T> &product) {
    typedef format<typename r_T::value_type> r_format;
    typedef format<typename y_T::value_type> y_format;
    static const unsigned lanes = out_T::size;
Beats:
    for (unsigned b = 0; b < CONFIG_T::channels / lanes; b++) {
#pragma HLS PIPELINE II = 1
        const r_T left = r.read();
        const y_T right = y.read();
        out_T out;
        out.first = left.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const ap_int<r_format::raw_bits + y_format::raw_bits> n = raw(left[l]) * raw(right[l]);
            out[l] = requantize<typename out_T::value_type, r_format::frac + y_format::frac>(n);
        }
        product.write(out);
    }
}

} // namespace nnet

#endif
