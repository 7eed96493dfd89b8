// What shares a memory outside, clocked: the ring in waves, the Linears whose rows are read, their engine, the read
// master, the embedding, and the memory (docs/memory.md; burst_memory.h; ring.sv, row_*.sv, read_*.sv).
//
// Who is served depends on who asks first, so this part has a clock, where all other actors pass timestamps. It sees a
// beat in the cycle from which it is offered; the others have gone on as far as they can whenever a cycle ends in which
// it gave or took one. A cycle has two halves: what holds in it follows from the registers, then they change.

#pragma once

#include "burst_memory.h"
#include "row_linear.h"

namespace actors {

struct Island : Actor {
    int64_t lanes, batch, sends, layers, beats; // sends: beats that a word of sums makes; beats: of a token in the ring
    int64_t page, burst, outstanding, room, steps, patience;
    std::vector<RowLinear> members; // the first in line first
    int64_t head = 0;               // which of them lies behind the ring

    bool advance() override { return false; }

    // ---- registers of the ring
    In fresh, back;
    Out layer, leave;
    std::vector<int64_t> rounds; // of each token that was let in, or round: token * layers + layer
    std::deque<int64_t> turns;   // those that wait to go round
    int64_t round_beats = 0;     // of them, in the FIFO
    int64_t inside = 0, wave = 0, wait = 0, admitted = 0, moved = 0, returned = 0;
    bool closed = false, moving_round = false;

    // ---- of the embedding: it asks, fills its row, gives it
    In ids;
    Out rows;
    std::vector<int64_t> asked; // each token's first beat in the memory
    int64_t row_beats = 1, row_out = 1, ids_in = 0, ids_done = 0, filled = 0;
    enum { Ask, Fill, Give } embedding = Ask;

    // ---- of row_reader
    enum { Idle, Load, Begin, Fetch, Look, End } reader = Idle;
    int64_t member = 0, tile = 0, scan = 0, row = 0, wave_of = 0;
    std::vector<int64_t> lines; // of the wave's tokens, their rows in `nonzero`
    int64_t passed = 0;         // lanes of the beat, as bits
    struct Job {
        int64_t member, last, words, tokens;
    };
    std::deque<bool> step_q; // whether it is a tile's end
    std::deque<Job> job_q;

    // ---- of read_ports, read_master and the memory
    struct Run {
        int64_t who, beats;
    };
    std::deque<Run> run_q;
    int64_t run_beat = 0, run_first = 0, run_left = 0, vacant = 0, ar_length = 0, burst_beat = 0, data = 0;
    bool busy = false, ar = false;
    std::deque<int64_t> burst_q;
    BurstMemory memory;

    // ---- of row_adder
    enum { Add, Settle, Read, Send } adder = Add;
    int64_t word = 0, token = 0, send = 0, word1 = 0, word2 = 0;
    bool add1 = false, add2 = false;

    Cycle now = 0;
    std::vector<Actor *> woken; // who may go on

    bool needed(const RowLinear &m, int64_t input) const {
        if (m.dense)
            return true;
        for (const int64_t line : lines)
            if (m.nonzero[line * m.inputs + input])
                return true;
        return false;
    }
    void take(In &in) {
        in.channel->time.push(now);
        if (in.channel->writer)
            woken.push_back(in.channel->writer);
    }
    void give(Out &out, Cycle cycle) {
        out.channel->offer.push(cycle);
        out.sent++;
        if (out.channel->reader)
            woken.push_back(out.channel->reader);
    }

    // One cycle. False where nothing changed, nor will before somebody offers or takes a beat.
    bool step() {
        bool any = false;
        // -- row_reader
        const RowLinear &m = members[member];
        const bool last_tile = tile == m.tiles - 1;
        const int64_t words = last_tile ? m.last : m.words;
        int64_t left = 0, lowest = -1;
        if (reader == Look) {
            for (int64_t l = 0; l < lanes; l++) {
                if (!(passed >> l & 1) && needed(m, scan * lanes + l)) {
                    lowest = lowest < 0 ? l : lowest;
                    left++;
                }
            }
        }
        const bool step_room = static_cast<int64_t>(step_q.size()) < steps;
        const bool asks0 = left > 0 && step_room, asks1 = embedding == Ask && ids_in > ids_done;
        const bool take0 = asks0 && run_q.size() < 32 && !busy, take1 = !asks0 && asks1 && run_q.size() < 32 && !busy;
        const bool beat_passed = reader == Look && (left == 0 || (take0 && left == 1));
        int64_t chosen = -1;
        for (size_t i = 0; i < members.size() && reader == Idle && chosen < 0; i++) {
            if (members[i].whole && !members[i].granted)
                chosen = i;
        }
        // -- read_master, and the memory
        const int64_t length = std::min(std::min(burst, run_left), page - run_first % page);
        const bool ar_ready = memory.ready(now);
        const bool issue =
            busy && vacant >= length && static_cast<int64_t>(burst_q.size()) < outstanding && !(ar && !ar_ready);
        const bool asks = ar && ar_ready;
        const bool come = memory.has(now) && !burst_q.empty();
        // -- row_adder, and who takes the data
        const int64_t who = run_q.empty() || data == 0 ? -1 : run_q.front().who;
        const bool job_any = !job_q.empty(), step_any = !step_q.empty() && job_any;
        const Job job = job_any ? job_q.front() : Job{0, 0, 1, 1};
        RowLinear &to = members[job.member];
        const bool written = !(add1 && word1 == word) && !(add2 && word2 == word);
        const bool add = adder == Add && step_any && !step_q.front() && written && who == 0;
        const bool row_last = word == job.words - 1;
        const bool tile_end = adder == Add && step_any && step_q.front();
        const bool sent = adder == Send && (to.reorder || to.out.inside(now) < Places);
        const bool word_sent = sent && send == sends - 1;
        const bool last_sent = word_sent && row_last && token + 1 == job.tokens;
        const bool fill = embedding == Fill && who == 1;

        // -- Members: tokens that come, sums that are sent.
        const bool head_whole = closed && members[head].tokens == wave && wave;
        for (size_t i = 0; i < members.size(); i++) {
            RowLinear &each = members[i];
            const bool done = last_sent && job.last && job.member == static_cast<int64_t>(i);
            const bool whole = closed && each.tokens == wave && each.tokens;
            bool drained = done && !each.reorder;
            if (each.sending && each.out.inside(now) < Places) {
                give(each.out, now + 2);
                any = true;
                if (++each.sends == each.out_beats * each.tokens) {
                    each.sends = 0;
                    each.sending = false;
                    drained = true;
                }
            }
            if (each.done1)
                each.sending = any = true;
            each.done1 = done && each.reorder;
            if (!each.whole && each.tokens != batch && each.in.next() <= now) {
                take(each.in);
                any = true;
                if (++each.beat == each.beats) {
                    each.beat = 0;
                    each.tokens++;
                }
            }
            if (whole && !each.whole)
                each.whole = any = true;
            if (chosen == static_cast<int64_t>(i))
                each.granted = true;
            if (drained) {
                each.taken += each.tokens;
                each.tokens = 0;
                each.whole = each.granted = false;
            }
        }
        if (sent) {
            const int64_t index = to.sum_tile * to.words * sends + to.sum;
            if (!to.reorder && index < to.out_beats)
                give(to.out, now + 3);
            const bool sum_last = ++to.sum == (to.sum_tile == to.tiles - 1 ? to.last : to.words) * sends;
            if (sum_last) {
                to.sum = 0;
                if (++to.sum_token == job.tokens) {
                    to.sum_token = 0;
                    to.sum_tile = (to.sum_tile + 1) % to.tiles;
                }
            }
        }
        any |= turn(head_whole);

        // -- The embedding.
        const bool gave =
            embedding == Give && rows.channel->time.size() == rows.sent && rows.channel->time.last() <= now;
        if (ids_in - ids_done < 2 && ids.next() <= now) {
            take(ids);
            ids_in++;
            any = true;
        }
        if (take1)
            embedding = Fill;
        if (fill && ++filled == row_beats) {
            filled = 0;
            embedding = Give;
            for (int64_t i = 0; i < row_out; i++)
                give(rows, now + 1);
        }
        if (gave) {
            embedding = Ask;
            ids_done++;
            any = true;
        }

        // -- The adder.
        const bool settled = !add1 && !add2;
        switch (adder) {
        case Add:
            adder = tile_end ? Settle : Add;
            break;
        case Settle:
            adder = settled ? Read : Settle;
            break;
        case Read:
            adder = Send;
            break;
        case Send:
            adder = word_sent ? (last_sent ? Add : Read) : Send;
        }
        any |= add1 || add2 || adder != Add || add || sent;
        word2 = word1, add2 = add1;
        word1 = word, add1 = add;
        if (add || word_sent)
            word = row_last ? 0 : word + 1;
        if (sent)
            send = word_sent ? 0 : send + 1;
        if (word_sent && row_last)
            token = last_sent ? 0 : token + 1;
        if ((add && row_last) || tile_end)
            step_q.pop_front();
        if (last_sent)
            job_q.pop_front();

        // -- The memory, and the master: beats that were taken, came, were asked for.
        const bool pop = add || fill;
        if (pop && ++run_beat == run_q.front().beats) {
            run_beat = 0;
            run_q.pop_front();
        }
        data += come - pop;
        vacant += pop;
        any |= pop || come || issue || ar || !memory.bursts.empty();
        if (come) {
            memory.give(now);
            if (++burst_beat == burst_q.front()) {
                burst_beat = 0;
                burst_q.pop_front();
            }
        }
        if (asks) {
            memory.ask(ar_length, now);
            ar = false;
        }
        if (issue) {
            ar = true;
            memory.offered = now + 1;
            ar_length = length;
            vacant -= length;
            burst_q.push_back(length);
            run_first += length;
            run_left -= length;
            busy = run_left > 0;
        }
        if (take0 || take1) {
            busy = true;
            run_first = take0 ? row + lowest * words : asked[ids_done % asked.size()];
            run_left = take0 ? words : row_beats;
            run_q.push_back({take1, run_left});
        }

        // -- The reader.
        any |= reader != Idle || chosen >= 0 || take1;
        switch (reader) {
        case Idle:
            if (chosen >= 0) {
                member = chosen;
                reader = Load;
                begin_wave();
            }
            break;
        case Load:
            reader = Begin;
            break;
        case Begin:
            if (job_q.size() < 4) {
                job_q.push_back({member, last_tile, words, wave_of});
                reader = Fetch;
            }
            break;
        case Fetch:
            reader = Look;
            break;
        case Look:
            if (take0) {
                passed |= int64_t{1} << lowest;
                step_q.push_back(false);
            }
            if (beat_passed) {
                passed = 0;
                row += lanes * words;
                reader = ++scan == m.beats ? End : Fetch;
                scan %= m.beats;
            }
            break;
        case End:
            if (step_room) {
                step_q.push_back(true);
                reader = last_tile ? Idle : Begin;
                tile++;
            }
        }
        now++;
        return any;
    }

    // The wave of the member that was chosen: its tokens, and where its rows begin.
    void begin_wave() {
        const RowLinear &m = members[member];
        tile = scan = passed = 0;
        wave_of = m.tokens;
        lines.clear();
        for (int64_t i = 0; i < m.tokens; i++)
            lines.push_back(m.inside ? rounds[m.taken + i] : m.taken + i);
        row = m.first[m.inside ? lines[0] % layers : 0];
    }

    // The ring.
    bool turn(bool taken) {
        const bool start = moved % beats == 0;
        const bool ready = layer.inside(now) < 2;
        const bool round = start ? round_beats > 0 : moving_round;
        const bool may = !start || (!closed && wave != batch);
        const bool offered = fresh.next() <= now;
        const bool valid = round ? round_beats > 0 : offered && may;
        const bool moves = valid && ready;
        // what comes back
        const int64_t pass = returned / beats;
        bool comes = back.next() <= now, out = false;
        if (comes) {
            out = rounds[pass] % layers == layers - 1;
            comes = !out || leave.inside(now) < 2;
        }
        const bool full = wave == batch;
        const bool renew = closed && inside == 0 && taken;
        const bool late = wait == patience;
        wait = wave == 0 || offered || ids_in > ids_done || closed ? 0 : wait + 1;
        const bool closes = !closed && (full || late);
        closed = closed || closes;
        if (moves) {
            if (start) {
                rounds.push_back(round ? turns.front() : admitted * layers);
                if (round)
                    turns.pop_front();
                moving_round = round;
            }
            if (round) {
                round_beats--;
            } else {
                take(fresh);
                if (start) {
                    admitted++;
                    inside++;
                    wave++;
                }
            }
            moved++;
            give(layer, now + 1);
        }
        if (comes) {
            take(back);
            const bool last = ++returned % beats == 0;
            if (out) {
                give(leave, now + 1);
                inside -= last;
            } else {
                round_beats++;
                if (returned % beats == 1 || beats == 1)
                    turns.push_back(rounds[pass] + 1);
            }
        }
        if (renew) {
            wave = wait = 0;
            closed = false;
        }
        return moves || comes || renew || closes || (wave && !closed);
    }
};

} // namespace actors
