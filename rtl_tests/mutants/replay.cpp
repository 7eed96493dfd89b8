// Replays the runs of a bench against mutants: `replay FIRST LAST RUNS LIMIT` prints `mutant run cycles` where a run
// fails, and `mutant -1 cycles` where none does. Mutant 0 is the design itself.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "Vreplay.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

constexpr long DISTURBED = 40; // cycles of the beats that a reset cuts off, as in bench.py

#if VM_COVERAGE
// Writes what a run covered when it ends.
struct Coverage {
    VerilatedContext &context;
    std::string file;
    ~Coverage() { context.coveragep()->write(file.c_str()); }
};
#endif

// The cycles of a run; negative where a beat was wrong, or missing at the limit.
long replay(int mutant, int run, long limit) {
    VerilatedContext context;
    auto top = std::make_unique<Vreplay>(&context);
#if VM_COVERAGE
    const Coverage coverage{context, "coverage_" + std::to_string(run) + ".dat"};
#endif
    top->mutsel = mutant;
    top->run = run;
    for (long cycle = 0; cycle < limit; cycle++) {
        top->early = cycle >= 3 && cycle < 3 + DISTURBED;
        top->rst = cycle < 6 + DISTURBED && !top->early;
        top->clk = 0;
        top->eval();
        if (top->failed)
            return -cycle;
        if (top->done)
            return cycle;
        top->clk = 1;
        top->eval();
    }
    return -limit;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const int first = std::atoi(argv[1]), last = std::atoi(argv[2]), runs = std::atoi(argv[3]);
    const long limit = std::atol(argv[4]);
    for (int mutant = first; mutant <= last; mutant++) {
        long most = 0, cycles = 0;
        int run = 0;
        for (; run < runs; run++) {
            cycles = replay(mutant, run, limit);
            if (cycles <= 0)
                break;
            if (cycles > most)
                most = cycles;
        }
        std::printf("%d %d %ld\n", mutant, run < runs ? run : -1, run < runs ? -cycles : most);
        std::fflush(stdout);
    }
}
