// A Linear whose rows are read from a memory outside (row_linear.sv): its registers, which island.h clocks.

#pragma once

#include "actors.h"

namespace actors {

// The island's ends of a stream.
struct In {
    Channel *channel = nullptr;

    Cycle next() const {
        const int64_t beat = channel->time.size();
        return beat < channel->offer.size() ? channel->offer[beat] : INT64_MAX;
    }
};
struct Out {
    Channel *channel = nullptr;
    int64_t sent = 0, gone = 0; // beats that were given, and those taken before this cycle

    int64_t inside(Cycle now) {
        while (gone < channel->time.size() && channel->time[gone] < now)
            gone++;
        return sent - gone;
    }
};

constexpr int64_t Places = 8; // of a member's output FIFO

struct RowLinear {
    In in;
    Out out;
    int64_t beats, inputs, out_beats, tiles, words, last; // words of a tile's row, and of the last tile's
    bool dense, inside, reorder;                          // inside: the ring
    std::vector<int64_t> first;                           // beat of the memory at which each layer's rows begin
    std::vector<uint8_t> nonzero;                         // of each token, in the ring of each layer of each: inputs
    // registers
    int64_t tokens = 0, beat = 0, taken = 0; // of this wave; of the token that comes; tokens of waves before
    bool whole = false, granted = false, done1 = false, sending = false;
    int64_t sends = 0, sum = 0, sum_token = 0, sum_tile = 0;
};

} // namespace actors
