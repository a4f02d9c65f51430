// Runs every loop that there is for the CPU.

#include "RateLoops.h"
#include "StreamLoops.h"
#include "moe-mlir/Run/MachineLimits.h"

#include <cstdio>

using namespace moe::run;

static void run(const char *name, RateLoop loop) {
  if (name && loop)
    std::printf("%s: %s\n", name, loop(64) > 0 ? "runs" : "does nothing");
}

int main() {
  for (const Instruction &instruction : getInstructions()) {
    run(instruction.rate, instruction.many);
    run(instruction.latency, instruction.one);
  }
  run("widen", getWidenLoop());
  run("clock", getClockLoop(/*isMultiplying=*/true));
  const int64_t bytes = 2 * 4 * getLanes() * kStreamSteps;
  DramReader reader(4 * bytes, bytes);
  getReadLoop()(reader.data(), bytes);
  for (int64_t rows : getStreamRows()) {
    std::vector<float> x(rows * kStreamPitch, 0.5f);
    for (Ahead ahead : {Ahead::None, Ahead::First, Ahead::Second, Ahead::Both})
      getStreamLoop(rows, ahead)(reader.data(), bytes, x.data(), 8192, 4096);
    std::printf("%d rows are multiplied\n", static_cast<int>(rows));
  }
}
