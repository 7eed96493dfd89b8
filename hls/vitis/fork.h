// Copies a stream to each of its readers.
#ifndef SPIKEGPT_FORK_H_
#define SPIKEGPT_FORK_H_

#include "beat.h"

namespace nnet {

template <class T> inline void write_all(const T &) {
#pragma HLS INLINE
}

template <class T, class... rest_T> inline void write_all(const T &in, hls::stream<T> &to, rest_T &...rest) {
#pragma HLS INLINE
    to.write(in);
    write_all(in, rest...);
}

template <class T, unsigned CHANNELS, class... out_T> void fork(hls::stream<T> &from, out_T &...to) {
Beats:
    for (unsigned b = 0; b < CHANNELS / T::size; b++) {
#pragma HLS PIPELINE II = 1
        const T in = from.read();
        write_all(in, to...);
    }
}

} // namespace nnet

#endif
