// Moving integers from one binary point to another: shift, round half to even, saturate.
#ifndef SPIKEGPT_REQUANTIZE_H_
#define SPIKEGPT_REQUANTIZE_H_

#include "beat.h"

namespace nnet {

// Clips to BITS bits.
template <int BITS, bool SIGNED, int W> inline ap_int<BITS + 1> saturate(const ap_int<W> &n) {
#pragma HLS INLINE
    typedef ap_int<wider<W, BITS + 2>::bits> wide_t;
    const wide_t hi = (wide_t(1) << (BITS - int(SIGNED))) - 1;
    const wide_t lo = SIGNED ? wide_t(-hi - 1) : wide_t(0);
    const wide_t wide = n;
    return wide > hi ? hi : wide < lo ? lo : wide;
}

// n / 2^shift, ties to even, shift > 0: half of the divisor less one, plus the quotient's last bit, carries exactly
// where the remainder is above the half, or at it beside an odd quotient.
template <int W> inline ap_int<W + 1> shift_half_even(const ap_int<W> &n, unsigned shift) {
#pragma HLS INLINE
    const ap_int<W + 1> wide = n;
    const ap_int<W + 1> half = ap_int<W + 1>(1) << (shift - 1);
    const ap_int<W + 1> odd = (wide >> shift) & 1;
    return (wide + half - 1 + odd) >> shift;
}

// n / 2^shift, halves upwards; a shift as wide as n leaves nothing.
template <int W> inline ap_int<W> shift_half_up(const ap_int<W> &n, unsigned shift) {
#pragma HLS INLINE
    if (shift == 0)
        return n;
    if (shift >= W)
        return 0;
    const ap_int<W + 1> half = ap_int<W + 1>(1) << (shift - 1);
    return (ap_int<W + 1>(n) + half) >> shift;
}

// A constant shift by SHIFT, which may be to the left.
template <int SHIFT, bool DOWN = (SHIFT > 0)> struct rescale {
    template <int W> static ap_int<W + SHIFT + 1> run(const ap_int<W> &n) {
#pragma HLS INLINE
        return shift_half_even(ap_int<W + SHIFT>(n), SHIFT);
    }
};

template <int SHIFT> struct rescale<SHIFT, false> {
    template <int W> static ap_int<W - SHIFT> run(const ap_int<W> &n) {
#pragma HLS INLINE
        return ap_int<W - SHIFT>(n) << -SHIFT;
    }
};

// From FRAC fraction bits to the format T.
template <typename T, int FRAC, int W> inline T requantize(const ap_int<W> &n) {
#pragma HLS INLINE
    const int shift = FRAC - format<T>::frac;
    return from_raw<T>(saturate<format<T>::bits, format<T>::is_signed>(rescale<shift>::run(n)));
}

} // namespace nnet

#endif
