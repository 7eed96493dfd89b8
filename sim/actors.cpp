// The cells of docs/streams.md as actors that pass timestamps instead of beats.
//
// Every transfer is T(i) = max(producer ready, consumer ready, T(i-1) + 1), so no clock is needed: an actor advances as
// far as its inputs' timestamps and its credits' release times are known, and the order in which the actors run does
// not change a single time (a Kahn process network). cycles.py builds the network and reads the times.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace {

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

// Two banks of one token: beats of token n are accepted from one cycle after the last read of token n - 2.
struct Banks {
    Channel *input;
    int64_t beats;
    Series released; // the last cycle in which a token's bank was read

    bool accept() {
        const int64_t begin = input->time.size();
        const int64_t end = std::min(input->offer.size(), (released.size() + 2) * beats);
        Cycle last = input->time.last();
        for (int64_t i = begin; i < end; i++) {
            last = std::max(last + 1, input->offer[i]);
            if (i >= 2 * beats)
                last = std::max(last, released[i / beats - 2] + 1);
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

// Linear before its output pipe: two banks, steps, two result words. Steps wait inside a result word only for weights
// that come from outside.
struct Fold : Actor {
    Banks banks;
    Channel *issues;
    int64_t words, steps, beats_per_word, result; // steps of one word
    Memory memory;
    Series last_step; // of each result word

    bool advance() override {
        bool moved = banks.accept();
        const Series &emptied = issues->time;
        const int64_t end = std::min(banks.tokens() * words, emptied.size() / beats_per_word + 2);
        for (int64_t word = last_step.size(); word < end; word++) {
            Cycle first = last_step.last() + 1;
            if (word >= 2)
                first = std::max(first, emptied[(word - 1) * beats_per_word - 1] + 1);
            if (word % words == 0)
                first = std::max(first, banks.full(word / words) + 1);
            last_step.push(stepped(first - 1, word));
            for (int64_t i = 0; i < beats_per_word; i++)
                issues->offer.push(last_step.last() + result);
            if ((word + 1) % words == 0)
                banks.released.push(last_step.last());
            moved = true;
        }
        return moved;
    }

    // The cycle of a word's last step, when the step before its first may have been in `before`.
    Cycle stepped(Cycle before, int64_t word) {
        if (memory.words == 0)
            return before + steps;
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

struct Network {
    std::deque<Channel> channels;
    std::vector<std::unique_ptr<Actor>> actors;
    std::deque<Actor *> waiting; // to advance
    Engine engine;
    std::vector<Series *> timed; // what equations look back to: one stretch of each per token
    std::vector<Series *> others;
    Generation *generation = nullptr;
    Sink *sink = nullptr;

    template <class A> A *add(const Channels &inputs, const Channels &outputs) {
        auto *actor = new A;
        actors.emplace_back(actor);
        for (Channel *input : inputs)
            input->reader = actor;
        for (Channel *output : outputs)
            output->writer = actor;
        return actor;
    }

    void connect() {
        for (auto &actor : actors)
            actor->neighbours = {actor.get()};
        for (Channel &channel : channels) {
            if (!channel.writer || !channel.reader)
                continue;
            channel.writer->neighbours.push_back(channel.reader);
            channel.reader->neighbours.push_back(channel.writer);
        }
        if (generation)
            sink->neighbours.push_back(generation);
    }

    void queue(Actor *actor) {
        if (!actor->queued)
            waiting.push_back(actor);
        actor->queued = true;
    }

    void settle() {
        while (!waiting.empty()) {
            Actor *actor = waiting.front();
            waiting.pop_front();
            actor->queued = false;
            if (!actor->advance())
                continue;
            for (Actor *next : actor->neighbours)
                queue(next);
        }
    }

    void run() {
        for (auto &actor : actors)
            queue(actor.get());
        settle();
        while (Member *member = engine.decide()) {
            for (Actor *next : member->neighbours)
                queue(next);
            settle();
        }
    }
};

Memory memory(const int64_t *constants) {
    return {constants[0], constants[1], constants[2], constants[3], constants[4], constants[5], constants[6], {}, {}};
}

} // namespace

extern "C" {

Network *network_new() { return new Network; }
void network_free(Network *net) { delete net; }

void add_channel(Network *net) {
    Channel &channel = net->channels.emplace_back();
    net->timed.push_back(&channel.time);
    net->others.push_back(&channel.offer);
}

void add_pipe(Network *net, const int64_t *inputs, int64_t in, const int64_t *outputs, int64_t out, int64_t latency,
              int64_t credits, int64_t loop, int64_t beats) {
    Channels from, to;
    for (int64_t i = 0; i < in; i++)
        from.push_back(&net->channels[inputs[i]]);
    for (int64_t i = 0; i < out; i++)
        to.push_back(&net->channels[outputs[i]]);
    auto *pipe = net->add<Pipe>(from, to);
    pipe->inputs = from, pipe->outputs = to;
    pipe->latency = latency, pipe->credits = credits, pipe->loop = loop, pipe->beats = beats;
}

void add_expand(Network *net, int64_t ids, int64_t issues, int64_t beats, int64_t outside, int64_t latency,
                int64_t row) {
    Channel *from = &net->channels[ids], *to = &net->channels[issues];
    auto *expand = net->add<Expand>({from}, {to});
    expand->ids = from, expand->issues = to, expand->beats = beats;
    expand->outside = outside, expand->latency = latency, expand->row = row;
    if (outside)
        net->timed.push_back(&expand->fetched);
}

void add_normalize(Network *net, int64_t input, int64_t reads, int64_t beats, int64_t statistics) {
    Channel *from = &net->channels[input], *to = &net->channels[reads];
    auto *norm = net->add<Normalize>({from}, {to});
    norm->banks = {from, beats, {}}, norm->reads = to, norm->statistics = statistics;
    net->others.push_back(&norm->banks.released);
}

// `constants`: the fields of Memory in their order, words = 0 for weights on the chip.
void add_fold(Network *net, int64_t input, int64_t issues, int64_t beats, int64_t words, int64_t steps,
              int64_t beats_per_word, int64_t result, const int64_t *constants) {
    Channel *from = &net->channels[input], *to = &net->channels[issues];
    auto *fold = net->add<Fold>({from}, {to});
    fold->banks = {from, beats, {}}, fold->issues = to;
    fold->words = words, fold->steps = steps, fold->beats_per_word = beats_per_word, fold->result = result;
    fold->memory = memory(constants);
    net->timed.push_back(&fold->last_step);
    net->others.push_back(&fold->banks.released);
    if (fold->memory.words) {
        net->timed.push_back(&fold->memory.arrived);
        net->timed.push_back(&fold->memory.used);
    }
}

// Members come in the order of the dataflow, the last in line first.
void add_member(Network *net, int64_t input, int64_t output, int64_t beats, int64_t words, int64_t steps,
                int64_t beats_per_word, int64_t result, int64_t ask, int64_t grant) {
    Channel *from = &net->channels[input], *to = &net->channels[output];
    auto *member = net->add<Member>({from}, {to});
    member->banks = {from, beats, {}}, member->output = to;
    member->words = words, member->steps = steps, member->beats_per_word = beats_per_word;
    member->result = result, member->ask = ask, member->grant = grant;
    net->engine.members.insert(net->engine.members.begin(), member);
}

void add_sink(Network *net, int64_t input, const int64_t *wait, int64_t count) {
    net->sink = net->add<Sink>({&net->channels[input]}, {});
    net->sink->input = &net->channels[input];
    net->sink->wait.assign(wait, wait + count);
}

void add_generation(Network *net, int64_t ids, int64_t logits, int64_t beats, int64_t delay, int64_t contexts) {
    auto *generation = net->generation = net->add<Generation>({}, {&net->channels[ids]});
    generation->ids = &net->channels[ids], generation->logits = &net->channels[logits];
    generation->beats = beats, generation->delay = delay, generation->contexts = contexts;
}

void connect(Network *net) { net->connect(); }

// Offer ids in these cycles, or, where texts are generated, ask for so many; then go on until nothing moves.
void run(Network *net, int64_t source, const int64_t *offers, int64_t count) {
    if (net->generation) {
        net->generation->tokens += count;
    } else {
        for (int64_t i = 0; i < count; i++)
            net->channels[source].offer.push(offers[i]);
    }
    net->run();
}

int64_t size(Network *net, int64_t channel, int64_t offers) {
    return offers ? net->channels[channel].offer.size() : net->channels[channel].time.size();
}

// The last `count` cycles of a channel.
const int64_t *last(Network *net, int64_t channel, int64_t offers, int64_t count) {
    const Series &series = offers ? net->channels[channel].offer : net->channels[channel].time;
    return series.kept.data() + series.kept.size() - count;
}

// Keep what belongs to the last `window` of `tokens` tokens; of the logits, the last `texts`, whose ids wait for them.
void forget(Network *net, int64_t tokens, int64_t window, int64_t logits, int64_t texts) {
    const Channel &out = net->channels[logits];
    for (auto *all : {&net->timed, &net->others}) {
        for (Series *series : *all) {
            const int64_t keep = series == &out.time ? std::max(window, texts) : window;
            series->forget(series->size() / tokens * (tokens - keep));
        }
    }
}

// The shortest p <= longest with T(n) = T(n - p) + q over the last `lookback` tokens, for every T; q goes to `cycles`.
int64_t period(Network *net, int64_t tokens, int64_t lookback, int64_t longest, int64_t *cycles) {
    const Series &first = *net->timed[0];
    const int64_t per_token = first.size() / tokens;
    for (int64_t p = 1; p <= longest; p++) {
        const Cycle q = *cycles = first.last() - first[first.size() - 1 - p * per_token];
        const bool repeats = std::all_of(net->timed.begin(), net->timed.end(), [&](const Series *series) {
            const int64_t beats = series->size() / tokens, end = series->size();
            for (int64_t i = end - lookback * beats; i < end; i++) {
                if ((*series)[i] != (*series)[i - p * beats] + q)
                    return false;
            }
            return true;
        });
        if (repeats)
            return p;
    }
    return 0;
}
}
