// The ring with weights on the chip, as one more actor among those of actors.h.

#pragma once

#include "actors.h"

namespace actors {

// The ring (ring.sv): what comes back goes on to `out` behind the last layer, or waits and goes round again, in front
// of new tokens, of which `places` may be inside. Whether a token has come back in time depends on all that moved
// before it. So it decides when nothing else moves any more: every token that was let in has come back by then.
struct Ring : Actor {
    Channel *fresh, *back, *layer, *out;
    int64_t beats, layers, places;
    int64_t admitted = 0, rounded = 0, returned = 0; // tokens let in; let round; come back, counted by their beats
    int64_t moving = 0;                              // beats of the token that was chosen still to move
    bool round = false;                              // it has come back
    Cycle chosen = 0;                                // in which it was
    std::vector<int64_t> rounds;                     // of each token let in or round: token * layers + layer
    std::vector<int64_t> waiting;                    // those that have come back to go round, in order
    Series arrived, left;                            // beats that wait to go round, and tokens that are out

    bool advance() override {
        const bool came = come();
        return move() || came;
    }

    // Beats from the blocks.
    bool come() {
        bool moved = false;
        while (returned < back->offer.size()) {
            const int64_t pass = returned / beats;
            const bool leaves = rounds[pass] % layers == layers - 1;
            Cycle cycle = std::max(back->offer[returned], back->time.last() + 1);
            if (leaves) {
                const int64_t place = out->offer.size() - 2;
                if (place >= out->time.size())
                    break;
                if (place >= 0)
                    cycle = std::max(cycle, out->time[place] + 1);
                out->offer.push(cycle + 1);
                if ((returned + 1) % beats == 0)
                    left.push(cycle);
            } else {
                arrived.push(cycle + 1);
                if (returned % beats == 0)
                    waiting.push_back(rounds[pass] + 1);
            }
            back->time.push(cycle);
            returned++;
            moved = true;
        }
        return moved;
    }

    // The cycle from which the next beat may go to the blocks; -1 while it is not known.
    Cycle ready() const {
        const int64_t place = layer->offer.size() - 2;
        if (place >= layer->time.size())
            return -1;
        return std::max(last() + 1, place < 0 ? 0 : layer->time[place] + 1);
    }
    Cycle last() const { return layer->offer.size() ? layer->offer.last() - 1 : -1; }

    // Beats of the token that was chosen.
    bool move() {
        bool moved = false;
        for (; moving; moving--) {
            const Cycle cycle = ready();
            const Series &source = round ? arrived : fresh->offer;
            const int64_t beat = round ? rounded * beats - moving : admitted * beats - moving;
            if (cycle < 0 || beat >= source.size())
                break;
            const Cycle moves = std::max(std::max(cycle, source[beat]), chosen);
            if (!round)
                fresh->time.push(moves);
            layer->offer.push(moves + 1);
            moved = true;
        }
        return moved;
    }

    bool decide() {
        const Cycle free = ready();
        if (moving || free < 0)
            return false;
        const int64_t next = rounded * beats, first = admitted * beats;
        const bool come = next < arrived.size(), room = admitted < places || admitted - places < left.size();
        const bool offered = first < fresh->offer.size() && room;
        if (!come && !offered)
            return false;
        const Cycle again = come ? std::max(free, arrived[next]) : INT64_MAX;
        Cycle enter = offered ? std::max(free, fresh->offer[first]) : INT64_MAX;
        if (offered && admitted >= places)
            enter = std::max(enter, left[admitted - places] + 1);
        round = again <= enter;
        chosen = std::min(again, enter);
        rounds.push_back(round ? waiting[rounded] : admitted * layers);
        (round ? rounded : admitted)++;
        moving = beats;
        return true;
    }
};

} // namespace actors
