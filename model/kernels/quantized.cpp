// Operations whose inputs or outputs are rounded to grids in the same pass, forward and backward.
//
// A grid's scale is 2^r for a trained r: with y = round(raw), its gradient is ln 2 times the sum of grad y - passed
// raw, where `passed` is what of the gradient reaches raw.

#include "grid.h"
#include "parts.h"

namespace {

// Where the gradients of x and of both scales go
struct Gradients {
    Real *x, *in, *out;
};

struct Scales {
    double in, out;

    void operator+=(const Scales &other) { in += other.in, out += other.out; }
};

// y = out.round(f(in.round(x), rest...)), elementwise
template <class In, class F, class... Rest>
void quantized(In in, Grid out, long size, long threads, F f, Real *y, const Real *x, const Rest *...rest) {
    elementwise(size, threads, [=](long i, long count) {
        write(y + i, out.round(f(in.round(read(x + i, count)), read(rest + i, count)...)), count);
    });
}

// back(i, count, g, value, raw) stores the gradients of the rest and returns that of value, given that of raw
template <class In, class F, class B, class... Rest>
void quantized_back(In in, Grid out, long size, long threads, F f, B back, Gradients to, const Real *grad,
                    const Real *x, const Rest *...rest) {
    Scales scales = sum_of_parts(size, PART, threads, [=](long first, long end) {
        Vector to_in{}, to_out{};
        for_vectors(first, end, [&](long i, long count) {
            const Vector number = read(x + i, count), value = in.round(number),
                         raw = f(value, read(rest + i, count)...);
            const Vector g = read(grad + i, count), passed = out.pass(g, raw);
            const Vector to_value = back(i, count, passed, value, raw), to_x = in.pass(to_value, number);
            to_out += g * out.round(raw) - passed * raw;
            to_in += to_value * value - to_x * number;
            write(to.x + i, to_x, count);
        });
        return Scales{total(to_in), total(to_out)};
    });
    *to.in = std::log(2.0) * scales.in;
    *to.out = std::log(2.0) * scales.out;
}

inline Vector positive(Vector x) { return x >= 0 ? x : Vector{}; }

constexpr auto itself = [](Vector x) { return x; };
constexpr auto squashed = [](Vector x) { return sigmoid(x); };
constexpr auto product = [](Vector x, Vector y) { return x * y; };
constexpr auto square_of_positive = [](Vector x) { return positive(x) * positive(x); };

} // namespace

extern "C" {

void fake_quantize_forward(long size, long frac, long lo, long hi, long threads, const Real *x, Real *y) {
    quantized(Exact(), Grid(frac, lo, hi), size, threads, itself, y, x);
}

void fake_quantize_backward(long size, long frac, long lo, long hi, long threads, const Real *grad, const Real *x,
                            Real *grad_x, Real *grad_r) {
    Real none;
    auto back = [](long, long, Vector g, Vector, Vector) { return g; };
    quantized_back(Exact(), Grid(frac, lo, hi), size, threads, itself, back, {grad_x, &none, grad_r}, grad, x);
}

void quantized_sigmoid_forward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                               long threads, const Real *x, Real *y) {
    quantized(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, squashed, y, x);
}

void quantized_sigmoid_backward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                                long threads, const Real *grad, const Real *x, Real *grad_x, Real *grad_in,
                                Real *grad_r) {
    auto back = [](long, long, Vector g, Vector, Vector s) { return g * s * (1 - s); };
    quantized_back(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, squashed, back,
                   {grad_x, grad_in, grad_r}, grad, x);
}

void quantized_product_forward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                               long threads, const Real *x, const Real *y, Real *z) {
    quantized(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, product, z, x, y);
}

void quantized_product_backward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                                long threads, const Real *grad, const Real *x, const Real *y, Real *grad_x,
                                Real *grad_y, Real *grad_in, Real *grad_r) {
    auto back = [=](long i, long count, Vector g, Vector value, Vector) {
        write(grad_y + i, g * value, count);
        return g * read(y + i, count);
    };
    quantized_back(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, product, back,
                   {grad_x, grad_in, grad_r}, grad, x, y);
}

void quantized_squared_relu_forward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                                    long threads, const Real *x, Real *y) {
    quantized(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, square_of_positive, y, x);
}

void quantized_squared_relu_backward(long size, long in_frac, long in_lo, long in_hi, long frac, long lo, long hi,
                                     long threads, const Real *grad, const Real *x, Real *grad_x, Real *grad_in,
                                     Real *grad_r) {
    auto back = [](long, long, Vector g, Vector value, Vector) { return 2 * g * positive(value); };
    quantized_back(Grid(in_frac, in_lo, in_hi), Grid(frac, lo, hi), size, threads, square_of_positive, back,
                   {grad_x, grad_in, grad_r}, grad, x);
}
}
