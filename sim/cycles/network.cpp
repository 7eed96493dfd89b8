// A network of actors (actors.h), and the functions by which network.py builds it, runs it and reads its times.

#include "actors.h"
#include "island.h"
#include "ring.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace {

using namespace actors;

struct Network {
    std::deque<Channel> channels;
    std::vector<std::unique_ptr<Actor>> actors;
    std::deque<Actor *> waiting; // to advance
    Engine engine;
    Ring *ring = nullptr;
    Island *island = nullptr;
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

    // Cycle by cycle; where nothing changes, on to the next one in which somebody offers or takes a beat.
    void run_island() {
        while (true) {
            const bool changed = island->step();
            const bool woken = !island->woken.empty();
            for (Actor *next : island->woken)
                queue(next);
            island->woken.clear();
            settle();
            if (changed || woken)
                continue;
            Cycle soonest = INT64_MAX;
            for (const Channel &channel : channels) {
                const int64_t beat = channel.time.size();
                if (channel.reader == island && beat < channel.offer.size() && channel.offer[beat] >= island->now)
                    soonest = std::min(soonest, channel.offer[beat]);
                if (channel.writer == island && beat && channel.time.last() >= island->now)
                    soonest = std::min(soonest, island->now);
            }
            if (soonest == INT64_MAX)
                return;
            island->now = std::max(island->now, soonest);
        }
    }

    void run() {
        for (auto &actor : actors)
            queue(actor.get());
        settle();
        if (island)
            run_island();
        while (true) {
            Actor *decided = engine.decide();
            if (!decided && ring && ring->decide())
                decided = ring;
            if (!decided)
                return;
            for (Actor *next : decided->neighbours)
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
void add_fold(Network *net, int64_t input, int64_t issues, int64_t beats, int64_t beats_out, int64_t words,
              int64_t steps, int64_t beats_per_word, int64_t result, int64_t places, int64_t banks,
              const int64_t *constants, const int64_t *events, int64_t tokens, int64_t inside) {
    Channel *from = &net->channels[input], *to = &net->channels[issues];
    auto *fold = net->add<Fold>({from}, {to});
    fold->banks = {from, beats, {}, banks}, fold->issues = to;
    fold->beats_out = beats_out, fold->words = words, fold->steps = steps, fold->beats_per_word = beats_per_word,
    fold->result = result, fold->places = places;
    fold->events.assign(events, events + tokens);
    fold->rounds = inside ? &net->ring->rounds : nullptr;
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

// To be added in front of the blocks inside: those that events drive know from it which token comes.
void add_ring(Network *net, int64_t fresh, int64_t back, int64_t layer, int64_t out, int64_t beats, int64_t layers,
              int64_t places) {
    std::vector<Channel *> of;
    for (const int64_t channel : {fresh, back, layer, out})
        of.push_back(&net->channels[channel]);
    auto *ring = net->ring = net->add<Ring>({of[0], of[1]}, {of[2], of[3]});
    ring->fresh = of[0], ring->back = of[1], ring->layer = of[2], ring->out = of[3];
    ring->beats = beats, ring->layers = layers, ring->places = places;
}

// `shape`: the numbers of Island in their order, then the ring's streams, the embedding's, and what a row of it takes.
void add_island(Network *net, const int64_t *shape, const int64_t *streams, int64_t row_beats, int64_t row_out,
                const int64_t *asked, int64_t tokens) {
    auto *island = net->island = net->add<Island>({}, {});
    int64_t *const fields[] = {&island->lanes, &island->batch, &island->sends,          &island->layers,
                               &island->beats, &island->page,  &island->burst,          &island->outstanding,
                               &island->room,  &island->steps, &island->memory.latency, &island->patience};
    for (int64_t *field : fields)
        *field = *shape++;
    island->vacant = island->room;
    In *const in[] = {&island->fresh, &island->back, &island->ids};
    Out *const out[] = {&island->layer, &island->leave, &island->rows};
    for (In *end : in) {
        end->channel = &net->channels[*streams++];
        end->channel->reader = island;
    }
    for (Out *end : out) {
        end->channel = &net->channels[*streams++];
        end->channel->writer = island;
    }
    island->row_beats = row_beats, island->row_out = row_out;
    island->asked.assign(asked, asked + tokens);
}

// How the island's memory answered.
void add_pace(Network *net, const int64_t *waits, int64_t bursts, const int64_t *gaps, int64_t beats) {
    net->island->memory.waits.assign(waits, waits + bursts);
    net->island->memory.gaps.assign(gaps, gaps + beats);
}

// The first in line first. `nonzero` has `inputs` bytes a row; none where the member is dense.
void add_row_linear(Network *net, int64_t input, int64_t output, const int64_t *shape, int64_t reorder, int64_t head,
                    const int64_t *first, int64_t layers, const uint8_t *nonzero, int64_t rows) {
    Island *island = net->island;
    if (head)
        island->head = island->members.size();
    RowLinear &member = island->members.emplace_back();
    member.in.channel = &net->channels[input], member.out.channel = &net->channels[output];
    member.in.channel->reader = island, member.out.channel->writer = island;
    member.beats = shape[0], member.inputs = shape[1], member.out_beats = shape[2];
    member.tiles = shape[3], member.words = shape[4], member.last = shape[5];
    member.dense = rows == 0, member.inside = !head, member.reorder = reorder;
    member.first.assign(first, first + layers);
    member.nonzero.assign(nonzero, nonzero + rows * member.inputs);
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
