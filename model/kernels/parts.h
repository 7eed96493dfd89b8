// Sums over many numbers, made of parts: each of the same numbers and in the same order whatever the number of threads.

#pragma once

#include "strips.h"
#include <vector>

namespace {

// The sum of a vector's numbers, as a tree
inline Real total(const Vector &vector) {
    Real numbers[LANES];
    std::memcpy(numbers, &vector, BYTES);
    for (long half = LANES / 2; half > 0; half /= 2)
        for (long i = 0; i < half; ++i)
            numbers[i] += numbers[i + half];
    return numbers[0];
}

// The sum over parts of `size` numbers of what f(first, end) returns
template <class F> auto sum_of_parts(long size, long part, long threads, F f) {
    const long parts = (size + part - 1) / part;
    std::vector<decltype(f(0L, size))> sums(parts);
#pragma omp parallel for num_threads(threads) if (threads > 1 && size >= GRAIN) schedule(static)
    for (long i = 0; i < parts; ++i)
        sums[i] = f(i * part, std::min(size, (i + 1) * part));
    decltype(f(0L, size)) sum{};
    for (const auto &part_of_it : sums)
        sum += part_of_it;
    return sum;
}

// f(i, count) for every vector of the numbers from `first` to `end`
template <class F> void for_vectors(long first, long end, F f) {
    for (; first + LANES <= end; first += LANES)
        f(first, LANES);
    if (first < end)
        f(first, end - first);
}

constexpr long PART = 1 << 13; // numbers of an elementwise part

// f(i, count) for every vector of `size` numbers, by threads
template <class F> void elementwise(long size, long threads, F f) {
    const long parts = (size + PART - 1) / PART;
#pragma omp parallel for num_threads(threads) if (threads > 1 && size >= GRAIN) schedule(static)
    for (long i = 0; i < parts; ++i)
        for_vectors(i * PART, std::min(size, (i + 1) * PART), f);
}

} // namespace
