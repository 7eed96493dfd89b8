// The cells of docs/streams.md as actors that pass timestamps instead of beats.
//
// Every transfer is T(i) = max(producer ready, consumer ready, T(i-1) + 1), so no clock is needed: an actor advances as
// far as its inputs' timestamps and its credits' release times are known, and the order in which the actors run does
// not change a single time (a Kahn process network). network.cpp runs them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace actors {

using Cycle = int64_t;

// Cycles by index, of which the oldest may have been forgotten.
struct Series {
    std::vector<Cycle> kept;
    int64_t forgotten = 0;

    int64_t size() const { return forgotten + static_cast<int64_t>(kept.size()); }
    Cycle operator[](int64_t i) const { return kept[i - forgotten]; }
    Cycle last() const { return kept.empty() ? -1 : kept.back(); }
    void push(Cycle cycle) { kept.push_back(cycle); }
    void forget(int64_t before) {
        if (before > forgotten) {
            kept.erase(kept.begin(), kept.begin() + (before - forgotten));
            forgotten = before;
        }
    }
};

struct Actor {
    std::vector<Actor *> neighbours; // who may go on when this one has moved
    bool queued = false;
    virtual ~Actor() = default;
    virtual bool advance() = 0;
};

// One stream between two actors: per beat the cycle its producer is ready from, and the cycle of its transfer.
struct Channel {
    Series offer, time;
    Actor *writer = nullptr, *reader = nullptr;
};

using Channels = std::vector<Channel *>;

// Latency L, credits D, state loop W over B beats; one to many inputs and outputs. A beat accepted in t can leave from
// t + L + 1; beat i is accepted after beat i - D has left every output, and W cycles after beat i - B. With L = 0 it is
// a fifo of depth D; with more outputs a fork. Every input of a join is taken in the same cycle.
struct Pipe : Actor {
    Channels inputs, outputs;
    int64_t latency, credits, loop, beats;

    bool advance() override {
        Series &accepted = inputs[0]->time;
        const int64_t begin = accepted.size();
        int64_t end = INT64_MAX;
        for (Channel *input : inputs)
            end = std::min(end, input->offer.size());
        for (Channel *output : outputs)
            end = std::min(end, output->time.size() + credits);
        Cycle last = accepted.last();
        for (int64_t i = begin; i < end; i++) {
            last++;
            for (Channel *input : inputs)
                last = std::max(last, input->offer[i]);
            if (i >= credits) {
                for (Channel *output : outputs)
                    last = std::max(last, output->time[i - credits] + 1);
            }
            if (loop && i >= beats)
                last = std::max(last, accepted[i - beats] + loop);
            for (Channel *input : inputs)
                input->time.push(last);
            for (Channel *output : outputs)
                output->offer.push(last + latency + 1);
        }
        return end > begin;
    }
};

// What a memory outside the chip sends, burst by burst, at a share of its bandwidth that is this reader's own: burst k
// is asked for when burst k - D has been used up, its first byte comes `latency` cycles later, or behind the burst
// before it, and its last one `cycles` after that. The first D bursts of a run lie in the buffer; or nothing is asked
// for before its token has come.
struct Memory {
    int64_t words = 0;             // of a burst; 0: on the chip
    int64_t latency = 0, room = 0; // cycles; bursts that the buffer holds
    Cycle cycles = 0, rest = 0;    // of a burst, and of a token's last one
    int64_t bursts = 0;            // of a token
    int64_t demand = 0;            // only when its token has come
    Series arrived, used;          // by burst

    Cycle ready(int64_t burst, Cycle came) {
        while (arrived.size() <= burst) {
            const int64_t next = arrived.size();
            const Cycle takes = (next + 1) % bursts ? cycles : rest;
            const Cycle vacant = next < room ? 0 : used[next - room] + 1;
            const bool ahead = next < room && !demand;
            arrived.push(ahead ? 0 : std::max(std::max(vacant, demand ? came : 0) + latency, arrived.last()) + takes);
        }
        return arrived[burst];
    }
};

// The embedding's address counter: one id in, `beats` issues out; the id is popped with the last of them. A table that
// lies outside is asked for a row when its id has come, and the row is whole before its first beat goes.
struct Expand : Actor {
    Channel *ids, *issues;
    int64_t beats;
    bool outside = false;
    Cycle latency = 0, row = 0;
    Series fetched;

    bool advance() override {
        bool moved = false;
        while (issues->offer.size() < ids->offer.size() * beats) {
            Cycle ready = ids->offer[issues->offer.size() / beats];
            if (outside) {
                ready = std::max(ready + latency, fetched.last()) + row;
                fetched.push(ready);
            }
            for (int64_t i = 0; i < beats; i++)
                issues->offer.push(ready);
            moved = true;
        }
        while (ids->time.size() < issues->time.size() / beats) {
            ids->time.push(issues->time[(ids->time.size() + 1) * beats - 1]);
            moved = true;
        }
        return moved;
    }
};

// Banks of one token, two as a rule: beats of token n are accepted from one cycle after the last read of token n - 2.
struct Banks {
    Channel *input;
    int64_t beats;
    Series released; // the last cycle in which a token's bank was read
    int64_t count = 2;

    bool accept() {
        const int64_t begin = input->time.size();
        const int64_t end = std::min(input->offer.size(), (released.size() + count) * beats);
        Cycle last = input->time.last();
        for (int64_t i = begin; i < end; i++) {
            last = std::max(last + 1, input->offer[i]);
            if (i >= count * beats)
                last = std::max(last, released[i / beats - count] + 1);
            input->time.push(last);
        }
        return end > begin;
    }
    int64_t tokens() const { return input->time.size() / beats; }
    // The cycle in which a token's last beat was accepted.
    Cycle full(int64_t token) const { return input->time[(token + 1) * beats - 1]; }
};

// LayerNorm before its output pipe: reads of a token begin `statistics` cycles after its last beat came.
struct Normalize : Actor {
    Banks banks;
    Channel *reads;
    int64_t statistics;

    bool advance() override {
        const int64_t beats = banks.beats;
        while (banks.released.size() < reads->time.size() / beats) {
            banks.released.push(reads->time[(banks.released.size() + 1) * beats - 1]);
        }
        bool moved = banks.accept();
        for (int64_t token = reads->offer.size() / beats; token < banks.tokens(); token++) {
            for (int64_t i = 0; i < beats; i++)
                reads->offer.push(banks.full(token) + statistics);
            moved = true;
        }
        return moved;
    }
};

// Linear: two banks, steps, places for result words. Before its output pipe, or, driven by events, with its own output
// FIFO, whose places are taken before a word begins. Steps wait inside a result word for weights that come from
// outside, and where the serializer is not done with the word before.
struct Fold : Actor {
    Banks banks;
    Channel *issues;
    int64_t beats_out, words, steps, beats_per_word; // of a token; steps of one word
    int64_t result;
    int64_t places;                               // result words that may have begun and not left
    std::vector<int64_t> events;                  // steps of a word of each token, over and over, where they differ
    const std::vector<int64_t> *rounds = nullptr; // in the ring: which of them each token is that comes
    Memory memory;
    Series last_step; // of each result word

    int64_t taken(int64_t word) const {
        const int64_t token = word / words;
        return events.empty() ? steps : events[(rounds ? (*rounds)[token] : token) % events.size()];
    }
    // Beats of the first words; the last word of a token may have fewer than the others.
    int64_t beats(int64_t count) const {
        return count / words * beats_out + std::min(count % words * beats_per_word, beats_out);
    }
    int64_t whole(int64_t sent) const { return sent / beats_out * words + sent % beats_out / beats_per_word; }

    bool advance() override {
        bool moved = banks.accept();
        const Series &emptied = issues->time;
        const int64_t end = std::min(banks.tokens() * words, whole(emptied.size()) + places);
        for (int64_t word = last_step.size(); word < end; word++) {
            Cycle first = last_step.last() + 1;
            if (word >= places)
                first = std::max(first, emptied[beats(word - places + 1) - 1] + 1);
            if (word % words == 0)
                first = std::max(first, banks.full(word / words) + 1);
            Cycle last = stepped(first - 1, word);
            if (!events.empty() && word > 0)
                last = std::max(last, last_step.last() + beats_per_word);
            last_step.push(last);
            for (int64_t i = beats(word); i < beats(word + 1); i++)
                issues->offer.push(last + result);
            if ((word + 1) % words == 0)
                banks.released.push(last_step.last());
            moved = true;
        }
        return moved;
    }

    // The cycle of a word's last step, when the step before its first may have been in `before`.
    Cycle stepped(Cycle before, int64_t word) {
        if (memory.words == 0)
            return before + taken(word);
        const int64_t token = word / words, total = words * steps;
        for (int64_t step = word % words * steps, end = step + steps; step < end;) {
            const int64_t burst = step / memory.words, over = std::min((burst + 1) * memory.words, total);
            const int64_t now = std::min(over, end) - step;
            before = std::max(before, memory.ready(token * memory.bursts + burst, banks.full(token) + 1) - 1) + now;
            step += now;
            if (step == over)
                memory.used.push(before);
        }
        return before;
    }
};

// A Linear that shares the engine: its banks, and two result words in its output FIFO. It asks for its next word when
// that word's token is in a bank and the word before the last one has left, and a word that is granted never waits.
struct Member : Actor {
    Banks banks;
    Channel *output;
    int64_t words, steps, beats_per_word; // steps of one word
    int64_t result, ask, grant;
    int64_t granted = 0;

    bool advance() override { return banks.accept(); }

    // The cycle from which the engine sees that the next word is asked for; -1 while it is not known.
    Cycle asks() const {
        const Series &left = output->time;
        const int64_t token = granted / words, gone = (granted - 1) * beats_per_word;
        if (token >= banks.tokens() || left.size() < gone)
            return -1;
        return std::max(banks.full(token), granted >= 2 ? left[gone - 1] : 0) + ask;
    }

    void run(Cycle decision) {
        const Cycle last_step = decision + grant + steps - 1;
        for (int64_t i = 0; i < beats_per_word; i++)
            output->offer.push(last_step + result + i);
        if (++granted % words == 0)
            banks.released.push(last_step + 1);
    }
};

// Grants a word to the first of the members that ask, as soon as the steps of the word before allow. Which of them ask
// in a cycle depends on all that moved before it. So it decides when nothing else moves any more: what is not known
// then waits for a word that is not granted yet, and so comes after the grant that is next.
struct Engine {
    std::vector<Member *> members; // the first in line first
    Cycle next = 0;                // decision, at the soonest

    Member *decide() {
        Cycle soonest = INT64_MAX;
        for (const Member *member : members) {
            if (const Cycle asked = member->asks(); asked >= 0)
                soonest = std::min(soonest, asked);
        }
        const Cycle decision = std::max(next, soonest);
        for (Member *member : members) {
            const Cycle asked = member->asks();
            if (asked < 0 || asked > decision)
                continue;
            member->run(decision);
            next = decision + member->steps;
            return member;
        }
        return nullptr;
    }
};

// Takes a beat in the first cycle in which it is ready: wait[t % n] cycles after t.
struct Sink : Actor {
    Channel *input;
    std::vector<Cycle> wait;

    bool advance() override {
        const int64_t begin = input->time.size(), end = input->offer.size();
        Cycle last = input->time.last();
        for (int64_t i = begin; i < end; i++) {
            last = std::max(last + 1, input->offer[i]);
            last += wait[last % wait.size()];
            input->time.push(last);
        }
        return end > begin;
    }
};

// Autoregression of `contexts` texts in turn: offers an id `delay` cycles after the last logit beat of its own text's
// token before it, `contexts` ids ago.
struct Generation : Actor {
    Channel *ids, *logits;
    int64_t beats, delay, contexts;
    int64_t tokens = 0; // how many may be asked for

    bool advance() override {
        const int64_t n = ids->offer.size(), end = (n - contexts + 1) * beats; // of the logits waited for
        if (n >= tokens || logits->time.size() < end)
            return false;
        ids->offer.push(end > 0 ? logits->time[end - 1] + delay : 0);
        return true;
    }
};

} // namespace actors
