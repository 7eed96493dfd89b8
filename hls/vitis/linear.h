// Linear: y = W x without bias, PE outputs by SIMD inputs a cycle, accumulated exactly and re-quantized once.
#ifndef SPIKEGPT_LINEAR_H_
#define SPIKEGPT_LINEAR_H_

#include "requantize.h"

namespace nnet {

template <unsigned INPUTS, unsigned OUTPUTS, unsigned SIMD, unsigned PE, unsigned WORD, int ACCUMULATOR_BITS,
          int ACCUMULATOR_FRAC>
struct linear_config {
    static const unsigned inputs = INPUTS;
    static const unsigned outputs = OUTPUTS;
    static const unsigned simd = SIMD;
    static const unsigned pe = PE;
    static const unsigned word = WORD;
    static const unsigned multipliers = PE * SIMD;
    static const int accumulator_bits = ACCUMULATOR_BITS;
    static const int accumulator_frac = ACCUMULATOR_FRAC;
};

// `weight` lies in the order of the steps: word g * (inputs/SIMD) + i has the PE x SIMD weights of outputs g*PE.. and
// inputs i*SIMD.., so that one cycle reads one word.
template <class in_T, class out_T, class CONFIG_T, class weight_T>
void linear(hls::stream<in_T> &x, hls::stream<out_T> &y, const weight_T weight[CONFIG_T::inputs * CONFIG_T::outputs]) {
    typedef typename raw_type<typename in_T::value_type>::type x_t;
    typedef ap_int<CONFIG_T::accumulator_bits> accumulator_t;
    static const unsigned lanes = in_T::size;
    static const unsigned simd = CONFIG_T::simd;
    static const unsigned pe = CONFIG_T::pe;
    static const unsigned multipliers = CONFIG_T::multipliers;
    static const unsigned result_word = CONFIG_T::word; // whole steps and whole beats
#pragma HLS ARRAY_RESHAPE variable = weight cyclic factor = multipliers

    x_t vector[CONFIG_T::inputs];
#pragma HLS ARRAY_RESHAPE variable = vector cyclic factor = lanes
    accumulator_t result[CONFIG_T::outputs];
#pragma HLS ARRAY_PARTITION variable = result cyclic factor = result_word
    accumulator_t sum[pe];
#pragma HLS ARRAY_PARTITION variable = sum complete
    bool first = false;

Read:
    for (unsigned c = 0; c < CONFIG_T::inputs; c += lanes) {
#pragma HLS PIPELINE II = 1
        const in_T in = x.read();
        first = in.first;
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            vector[c + l] = raw(in[l]);
        }
    }
Outputs:
    for (unsigned g = 0; g < CONFIG_T::outputs / pe; g++) {
    Inputs:
        for (unsigned i = 0; i < CONFIG_T::inputs / simd; i++) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1
            const unsigned word = (g * (CONFIG_T::inputs / simd) + i) * multipliers;
            for (unsigned p = 0; p < pe; p++) {
#pragma HLS UNROLL
                accumulator_t partial = i == 0 ? accumulator_t(0) : sum[p];
                for (unsigned s = 0; s < simd; s++) {
#pragma HLS UNROLL
                    partial += weight[word + p * simd + s] * vector[i * simd + s];
                }
                sum[p] = partial;
                if (i == CONFIG_T::inputs / simd - 1)
                    result[g * pe + p] = partial;
            }
        }
    }
Write:
    for (unsigned c = 0; c < CONFIG_T::outputs; c += lanes) {
#pragma HLS PIPELINE II = 1
        out_T out;
        out.first = first;
        for (unsigned l = 0; l < lanes; l++) {
#pragma HLS UNROLL
            out[l] = requantize<typename out_T::value_type, CONFIG_T::accumulator_frac>(result[c + l]);
        }
        y.write(out);
    }
}

} // namespace nnet

#endif
