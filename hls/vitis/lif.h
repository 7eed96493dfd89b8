// LIF: h = v + (2^DRIVE x - v)/2;  s = (h >= 1);  v = 0 if s else h. The halving floors, on the current's grid
// or, where that is coarser, on whole thresholds.
#ifndef SPIKEGPT_LIF_H_
#define SPIKEGPT_LIF_H_

#include "beat.h"

namespace nnet {

// ID keeps the membranes of two layers of one shape apart.
template <unsigned ID, unsigned CHANNELS, int DRIVE> struct lif_config {
    static const unsigned channels = CHANNELS;
    static const int drive = DRIVE;
};

template <class in_T, class out_T, class CONFIG_T> void lif(hls::stream<in_T> &x, hls::stream<out_T> &s) {
    typedef format<typename in_T::value_type> x_format;
    static const unsigned lanes = in_T::size;
    static const int driven = x_format::frac - CONFIG_T::drive;
    static const int frac = driven > 0 ? driven : 0; // of a membrane
    static const int up = frac - driven;
    typedef ap_int<x_format::raw_bits + up> membrane_t;
    typedef ap_int<wider<x_format::raw_bits + up, frac + 1>::bits + 1> sum_t;
    const sum_t threshold = sum_t(1) << frac;

    static membrane_t membrane[CONFIG_T::channels];
// one word per beat, so that all lanes read and write it in one cycle
#pragma HLS ARRAY_RESHAPE variable = membrane cyclic factor = lanes
// a channel comes once per token: the next beat never waits for this one's write
#pragma HLS DEPENDENCE variable = membrane inter false
Beats:
    for (unsigned c = 0; c < CONFIG_T::channels; c += lanes) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        out_T out;
        out.first = in.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            const membrane_t v = in.first ? membrane_t(0) : membrane[c + l];
            const sum_t h = (sum_t(v) + (sum_t(raw(in[l])) << up)) >> 1;
            const bool fires = h >= threshold;
            membrane[c + l] = fires ? sum_t(0) : h;
            out[l] = fires;
        }
        s.write(out);
    }
}

} // namespace nnet

#endif
