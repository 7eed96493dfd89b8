// b = (E[token] >= 0): a ROM of bits, one word of `lanes` bits per beat.
#ifndef SPIKEGPT_EMBEDDING_H_
#define SPIKEGPT_EMBEDDING_H_

#include "beat.h"

namespace nnet {

template <unsigned VOCABULARY, unsigned CHANNELS> struct embedding_config {
    static const unsigned vocabulary = VOCABULARY;
    static const unsigned channels = CHANNELS;
};

template <class in_T, class out_T, class CONFIG_T, class word_T>
void embedding(hls::stream<in_T> &ids, hls::stream<out_T> &bits,
               const word_T table[CONFIG_T::vocabulary * CONFIG_T::channels / out_T::size]) {
    static const unsigned lanes = out_T::size;
    static const unsigned beats = CONFIG_T::channels / lanes;
    const in_T in = ids.read();
    const unsigned row = in.id() * beats;
Beats:
    for (unsigned b = 0; b < beats; b++) {
#pragma HLS PIPELINE II = 1
        const word_T word = table[row + b];
        out_T out;
        out.first = in.first();
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            out[l] = bool(word[l]);
        }
        bits.write(out);
    }
}

} // namespace nnet

#endif
