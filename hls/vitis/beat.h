// What flows between the kernels: beats of `lanes` channels, with the mark of a sequence's first token.
#ifndef SPIKEGPT_BEAT_H_
#define SPIKEGPT_BEAT_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_types.h"

namespace nnet {

// One beat: N channels of a token. On every beat of a sequence's first token `first` is set.
template <typename T, unsigned N> struct beat {
    typedef T value_type;
    static const unsigned size = N;

    T data[N];
    bool first;

    T &operator[](size_t lane) { return data[lane]; }
    const T &operator[](size_t lane) const { return data[lane]; }
};

// What enters the model, one per call: a token id, and whether it begins a sequence.
template <typename T> struct token {
    typedef T value_type;
    static const unsigned size = 2;

    T data[2];

    T &operator[](size_t i) { return data[i]; }
    const T &operator[](size_t i) const { return data[i]; }

    unsigned id() const { return data[0].to_uint(); }
    bool first() const { return data[1] != 0; }
};

// The format of a beat's channels, and the width of a signed integer that holds them.
template <typename T> struct format;

template <int W, int I, ap_q_mode Q, ap_o_mode O, int S> struct format<ap_fixed<W, I, Q, O, S>> {
    static const bool is_signed = true;
    static const int bits = W;
    static const int frac = W - I;
    static const int raw_bits = W;
};

template <int W, int I, ap_q_mode Q, ap_o_mode O, int S> struct format<ap_ufixed<W, I, Q, O, S>> {
    static const bool is_signed = false;
    static const int bits = W;
    static const int frac = W - I;
    static const int raw_bits = W + 1;
};

template <typename T> struct raw_type {
    typedef ap_int<format<T>::raw_bits> type;
};

// The integer behind a fixed-point value.
template <typename T> inline typename raw_type<T>::type raw(const T &x) {
#pragma HLS INLINE
    const int high = format<T>::bits - 1;
    return typename raw_type<T>::type(x.range(high, 0));
}

// The fixed-point value of an integer that fits.
template <typename T, int W> inline T from_raw(const ap_int<W> &n) {
#pragma HLS INLINE
    const int high = format<T>::bits - 1;
    T x;
    x.range(high, 0) = ap_uint<format<T>::bits>(n);
    return x;
}

// Widths are template arguments, and std::max is no constant expression in the compilers that synthesise this.
template <int A, int B> struct wider {
    static const int bits = A > B ? A : B;
};

} // namespace nnet

#endif
