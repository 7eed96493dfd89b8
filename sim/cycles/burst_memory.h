// The memory of an island, behind its read master: bursts in their order, each after a fixed time, or at the pace that
// a controller had (sim/traces.py, Pace).

#pragma once

#include "actors.h"

#include <deque>

namespace actors {

struct BurstMemory {
    int64_t latency = 0;
    // Of a pace, over and over: each burst's wait for its address to be taken, and each beat's cycles since then or, if
    // that was later, since the beat before it. Without one, a burst comes `latency` behind its address.
    std::vector<int64_t> waits, gaps;

    struct Burst {
        int64_t length;
        Cycle asked;
    };
    std::deque<Burst> bursts;
    int64_t beat = 0; // of the first burst
    int64_t asked = 0, come = 0;
    Cycle offered = 0, last = 0; // the address since; the beat before

    bool ready(Cycle now) const {
        return bursts.size() < 64 && (waits.empty() || now >= offered + waits[asked % waits.size()]);
    }
    bool has(Cycle now) const { return !bursts.empty() && now >= due(); }
    Cycle due() const {
        const Cycle begun = bursts.front().asked;
        if (gaps.empty())
            return begun + std::max<int64_t>(latency, 1);
        return std::max(begun, last) + gaps[come % gaps.size()];
    }
    void ask(int64_t length, Cycle now) {
        bursts.push_back({length, now});
        asked++;
    }
    void give(Cycle now) {
        come++;
        last = now;
        if (++beat == bursts.front().length) {
            beat = 0;
            bursts.pop_front();
        }
    }
};

} // namespace actors
