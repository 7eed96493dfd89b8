// WKV: y = (a + e^(u+k) v) / (b + e^(u+k));  a <- e^w a + e^k v;  b <- e^w b + e^k, in base 2, with a and b as
// mantissas under one exponent per channel.
#ifndef SPIKEGPT_WKV_H_
#define SPIKEGPT_WKV_H_

#include "requantize.h"

namespace nnet {

// ID keeps the states of two layers of one shape apart.
template <unsigned ID, unsigned CHANNELS, int A_BITS, int B_BITS, int EXPONENT_BITS, int KEY_BITS, int MANTISSA_BITS,
          int DECAY_FRAC, int OCTAVE_FRAC, int TABLE_FRAC, int KEY_SHIFT, int KEY_FACTOR, int EMPTY>
struct wkv_config {
    static const unsigned channels = CHANNELS;
    static const int mantissa_bits = MANTISSA_BITS;
    static const int decay_frac = DECAY_FRAC;
    static const int octave_frac = OCTAVE_FRAC;
    static const int table_frac = TABLE_FRAC;
    static const int key_shift = KEY_SHIFT;
    static const int key_factor = KEY_FACTOR;
    static const int empty = EMPTY;
    typedef ap_int<A_BITS> a_t;
    typedef ap_int<B_BITS> b_t;
    typedef ap_int<EXPONENT_BITS> exponent_t;
    typedef ap_int<EXPONENT_BITS + 2> distance_t; // between two exponents
    typedef ap_int<KEY_BITS> key_t;               // octaves of octave_frac fraction bits
};

template <class CONFIG_T> struct wkv_state {
    typename CONFIG_T::a_t a;
    typename CONFIG_T::b_t b;
    typename CONFIG_T::exponent_t exponent;
};

// A state that was not normalised, with a term added: one bit more.
template <class CONFIG_T> struct wkv_sum {
    ap_int<CONFIG_T::a_t::width + 1> a;
    ap_int<CONFIG_T::b_t::width + 1> b;
    typename CONFIG_T::exponent_t exponent;
};

// (a, b) * 2^exponent + 2^key * (value, 1), aligned to the larger of the two exponents.
template <class CONFIG_T, class table_T, int V>
wkv_sum<CONFIG_T> accumulate(const wkv_state<CONFIG_T> &from, typename CONFIG_T::key_t key, const ap_int<V> &value,
                             const table_T exp2[1 << CONFIG_T::octave_frac]) {
#pragma HLS INLINE
    typedef typename CONFIG_T::distance_t distance_t;
    static const int top = CONFIG_T::mantissa_bits - 1;
    const ap_uint<CONFIG_T::octave_frac> fraction = key;
    const ap_int<top + 2> weight = ap_int<top + 2>(exp2[fraction.to_uint()]) << (top - CONFIG_T::table_frac);
    const distance_t term = distance_t(key >> CONFIG_T::octave_frac) - top;
    const distance_t aligned = from.exponent > term ? distance_t(from.exponent) : term;
    const unsigned down = distance_t(aligned - from.exponent).to_uint();
    const unsigned term_down = distance_t(aligned - term).to_uint();
    const ap_int<top + 2 + V> weighted = weight * value;
    wkv_sum<CONFIG_T> to;
    to.a = shift_half_up(from.a, down) + shift_half_up(weighted, term_down);
    to.b = shift_half_up(from.b, down) + shift_half_up(weight, term_down);
    to.exponent = aligned;
    return to;
}

// The state times (1 - loss) * 2^-halvings, shifted until b has mantissa_bits again: the full product, before anything
// is added.
template <class CONFIG_T, class loss_T, class halvings_T>
wkv_state<CONFIG_T> decayed(const wkv_state<CONFIG_T> &from, const loss_T &loss, const halvings_T &halvings) {
#pragma HLS INLINE
    typedef typename CONFIG_T::distance_t distance_t;
    static const int b_bits = CONFIG_T::b_t::width + CONFIG_T::decay_frac + 1;
    const ap_uint<CONFIG_T::decay_frac + 1> decay = (1 << CONFIG_T::decay_frac) - loss;
    const ap_int<CONFIG_T::a_t::width + CONFIG_T::decay_frac + 1> a = from.a * decay;
    const ap_int<b_bits> b = from.b * decay;
    ap_uint<b_bits> countable = b;
    wkv_state<CONFIG_T> to;
    if (b == 0) {
        to.a = 0;
        to.b = 0;
        to.exponent = CONFIG_T::empty;
        return to;
    }
    const int shift = b_bits - countable.countLeadingZeros() - CONFIG_T::mantissa_bits;
    const unsigned down = shift > 0 ? shift : 0;
    const unsigned up = shift > 0 ? 0 : -shift;
    to.a = shift_half_up(a, down) << up;
    to.b = shift_half_up(b, down) << up;
    to.exponent = distance_t(from.exponent) - CONFIG_T::decay_frac - halvings + shift;
    return to;
}

// a / b on the output's grid, rounded half up: a restoring divider of as many steps as a mean of values has bits.
template <class out_T, class CONFIG_T, int V, int V_FRAC> out_T quotient(const wkv_sum<CONFIG_T> &of) {
#pragma HLS INLINE
    static const int up = format<out_T>::frac - V_FRAC;
    static const int bits = V + up + 2; // the mean lies within the values' range, and a bit more
    typedef ap_int<wider<CONFIG_T::a_t::width + up, CONFIG_T::b_t::width + bits>::bits + 4> rest_t;
    const rest_t divisor = rest_t(of.b) << 1;
    rest_t rest = (rest_t(of.a) << (up + 1)) + of.b + (divisor << (bits - 1)); // offset: never negative
    ap_uint<bits> result = 0;
Steps:
    for (int i = bits - 1; i >= 0; i--) {
#pragma HLS UNROLL
        const rest_t step = divisor << i;
        if (rest >= step) {
            rest -= step;
            result[i] = 1;
        }
    }
    const ap_int<bits + 1> mean = ap_int<bits + 1>(result) - (ap_int<bits + 1>(1) << (bits - 1));
    return from_raw<out_T>(saturate<format<out_T>::bits, format<out_T>::is_signed>(mean));
}

template <class k_T, class v_T, class out_T, class CONFIG_T, class loss_T, class halvings_T, class bonus_T,
          class table_T>
void wkv(hls::stream<k_T> &k, hls::stream<v_T> &v, hls::stream<out_T> &y, const loss_T loss[CONFIG_T::channels],
         const halvings_T halvings[CONFIG_T::channels], const bonus_T bonus[CONFIG_T::channels],
         const table_T exp2[1 << CONFIG_T::octave_frac]) {
    typedef format<typename k_T::value_type> k_format;
    typedef format<typename v_T::value_type> v_format;
    typedef typename CONFIG_T::key_t key_t;
    typedef ap_int<k_format::raw_bits + 32> product_t;
    typedef wkv_state<CONFIG_T> state_t;
    static const unsigned lanes = out_T::size;

    static state_t state[CONFIG_T::channels];
#pragma HLS AGGREGATE variable = state
#pragma HLS ARRAY_RESHAPE variable = state cyclic factor = lanes
#pragma HLS ARRAY_RESHAPE variable = loss cyclic factor = lanes
#pragma HLS ARRAY_RESHAPE variable = halvings cyclic factor = lanes
#pragma HLS ARRAY_RESHAPE variable = bonus cyclic factor = lanes
// a channel comes once per token: the next beat never waits for this one's write
#pragma HLS DEPENDENCE variable = state inter false
Beats:
    for (unsigned c = 0; c < CONFIG_T::channels; c += lanes) {
#pragma HLS PIPELINE II = 1
        const k_T keys = k.read();
        const v_T values = v.read();
        out_T out;
        out.first = keys.first;
    Lanes:
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            state_t now = state[c + l];
            if (keys.first) {
                now.a = 0;
                now.b = 0;
                now.exponent = CONFIG_T::empty;
            }
            const product_t scaled = product_t(raw(keys[l])) * CONFIG_T::key_factor + (1 << (CONFIG_T::key_shift - 1));
            const key_t key = scaled >> CONFIG_T::key_shift;
            const ap_int<v_format::raw_bits> value = raw(values[l]);
            const wkv_sum<CONFIG_T> weighed = accumulate(now, key_t(key + bonus[c + l]), value, exp2);
            out[l] = quotient<typename out_T::value_type, CONFIG_T, v_format::raw_bits, v_format::frac>(weighed);
            const wkv_sum<CONFIG_T> next = accumulate(decayed(now, loss[c + l], halvings[c + l]), key, value, exp2);
            now.a = next.a; // decayed was normalised: the sum fits again
            now.b = next.b;
            now.exponent = next.exponent;
            state[c + l] = now;
        }
        y.write(out);
    }
}

} // namespace nnet

#endif
