// x + s, a saturating add of a spike, which counts 1.0, or of any number, rounded to the grid of x.
#ifndef SPIKEGPT_RESIDUAL_H_
#define SPIKEGPT_RESIDUAL_H_

#include "requantize.h"

namespace nnet {

template <unsigned CHANNELS> struct residual_config {
    static const unsigned channels = CHANNELS;
};

template <class x_T, class s_T, class out_T, class CONFIG_T>
void residual(hls::stream<x_T> &x, hls::stream<s_T> &s, hls::stream<out_T> &sum) {
    typedef format<typename x_T::value_type> x_format;
    typedef format<typename s_T::value_type> s_format;
    typedef format<typename out_T::value_type> out_format;
    static const int shift = s_format::frac - x_format::frac;
    static const int s_bits = s_format::raw_bits + (shift < 0 ? -shift : 1);
    typedef ap_int<wider<x_format::raw_bits, s_bits>::bits + 1> sum_t;
    static const unsigned lanes = out_T::size;
Beats:
    for (unsigned b = 0; b < CONFIG_T::channels / lanes; b++) {
#pragma HLS PIPELINE II = 1
        const x_T left = x.read();
        const s_T right = s.read();
        out_T out;
        out.first = left.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const sum_t n = sum_t(raw(left[l])) + sum_t(rescale<shift>::run(raw(right[l])));
            out[l] = from_raw<typename out_T::value_type>(saturate<out_format::bits, out_format::is_signed>(n));
        }
        sum.write(out);
    }
}

} // namespace nnet

#endif
