// Receptance: sigmoid(x) as a table with one entry per input value, addressed by x - LO.
#ifndef SPIKEGPT_SIGMOID_H_
#define SPIKEGPT_SIGMOID_H_

#include "beat.h"

namespace nnet {

template <unsigned CHANNELS, int LO> struct sigmoid_config {
    static const unsigned channels = CHANNELS;
    static const int lo = LO;
};

template <class in_T, class out_T, class CONFIG_T, class table_T>
void sigmoid(hls::stream<in_T> &x, hls::stream<out_T> &y,
             const table_T table[1 << format<typename in_T::value_type>::bits]) {
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
            const unsigned address = raw(in[l]).to_int() - CONFIG_T::lo;
            out[l] = from_raw<typename out_T::value_type>(ap_int<table_T::width + 1>(table[address]));
        }
        y.write(out);
    }
}

} // namespace nnet

#endif
