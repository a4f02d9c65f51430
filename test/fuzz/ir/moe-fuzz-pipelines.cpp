//===- moe-fuzz-pipelines.cpp - Functions through random passes -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Each public function of a file goes, in a module of its own, through passes
// that are drawn for it: first some that keep the meaning of model IR, in any
// order and more than once, behind which the interpreter has to give what it
// gave before; then on to kernels, with any of the fusions, where the IR has to
// verify. The n-th function of seed S has the same passes in every run.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Conversion/MoeToMoek/BatchPolicyInterface.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Sparsity/Passes.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moe/Moe.h"
#include "moe_rt/MoeRt.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"

#include <cmath>
#include <random>

using namespace mlir;
using moe::HostTensor;
namespace cl = llvm::cl;

static cl::OptionCategory category("moe-fuzz-pipelines options");
static cl::opt<std::string> input(cl::Positional, cl::Required,
                                  cl::desc("<file.mlir>"), cl::cat(category));
static cl::opt<unsigned> seed("seed", cl::init(1), cl::cat(category),
                              cl::desc("Seed of passes and arguments"));
static cl::opt<int> only("only", cl::init(-1), cl::cat(category),
                         cl::desc("Number of the one function to run"));
static cl::opt<int> tokens("tokens", cl::init(5), cl::cat(category),
                           cl::desc("The size T"));
static cl::opt<bool> list("list", cl::cat(category),
                          cl::desc("Say which function runs, and its passes"));
static cl::opt<bool>
    plant("plant", cl::cat(category),
          cl::desc("Change weights of sums behind the passes: has to fail"));

/// Model IR to model IR, with the same results but for what rounding changes.
static constexpr llvm::StringLiteral kKeepingPasses[] = {
    "canonicalize",
    "cse",
    "inline",
    "symbol-dce",
    "moe-expand-activations",
    "moe-expand-similarity",
    "moe-normalize-router-scores",
    "moe-split-products",
    "moe-hoist-weight-views",
    "moe-fold-shared-expert",
    "moe-fuse-residual",
    "moe-eliminate-dead-experts",
    "moe-dedupe-experts{reorder-sums=true}",
    "moe-skip-zero-weights{finite-experts=true}",
};
/// Kernels to kernels.
static constexpr llvm::StringLiteral kKernelPasses[] = {
    "canonicalize",
    "cse",
    "moek-fuse-router-scores",
    "moek-fuse-gate-up-activation",
    "moek-fuse-row-maps",
    "moek-fuse-gather",
    "moek-fuse-combine",
    "moek-fuse-input-norm",
    "moek-join-routers",
    "moek-window-rows{rows=64}",
};

namespace {
/// Looks for a choice that rounding could make otherwise.
class Ties : public moe::reference::RouterHook {
public:
  bool found = false;

  LogicalResult onDecision(Operation *, ArrayRef<double> scores, Decide,
                           moe::reference::Decision &decision) override {
    for (int64_t t = 0; t < decision.tokens && !scores.empty(); ++t) {
      SmallVector<double> row(
          scores.slice(t * decision.experts, decision.experts));
      llvm::sort(row);
      for (size_t i = 1; i < row.size(); ++i)
        found |= !(row[i] - row[i - 1] > 1e-6 * std::abs(row[i]));
    }
    return success();
  }
};

struct Counts {
  unsigned functions = 0, passes = 0, failures = 0;
};

/// One function, and what its passes have to keep.
class Run {
public:
  Run(func::FuncOp function, unsigned number, Counts &counts)
      : number(number), counts(counts), draw({seed, number, 41}) {
    module = ModuleOp::create(function.getLoc());
    module->push_back(function.clone());
  }

  void run() {
    ++counts.functions;
    std::vector<HostTensor> before, after;
    Ties ties;
    if (!interpret(before, &ties))
      return fail("cannot be interpreted");
    std::string keeping = drawPasses(kKeepingPasses, 8);
    // Where scores are so large that two of them become equal, that pass says,
    // what they are made of decides.
    if (ties.found && StringRef(keeping).contains("router-scores"))
      keeping = "cse";
    if (!runPasses(keeping))
      return;
    if (plant)
      module->walk(
          [](moe::CombineOp op) { op.setUnweighted(!op.getUnweighted()); });
    if (!interpret(after))
      return fail("cannot be interpreted any more");
    std::string difference = compare(before, after);
    if (!difference.empty())
      return fail(difference);
    std::string kernels = "moe-check-routings,convert-moe-to-moek";
    std::string more = drawPasses(kKernelPasses, 8);
    runPasses(more.empty() ? kernels : kernels + "," + more);
  }

private:
  using Strings = ArrayRef<llvm::StringLiteral>;

  std::string drawPasses(Strings from, unsigned most) {
    std::string text;
    for (unsigned i = draw() % (most + 1); i > 0; --i)
      text += (text.empty() ? "" : ",") + from[draw() % from.size()].str();
    return text;
  }

  bool runPasses(const std::string &text) {
    ran += (ran.empty() ? "" : ",") + text;
    if (list)
      llvm::errs() << "function " << number << ": " << text << "\n";
    PassManager pm(module->getContext());
    // Those of functions go there.
    if (failed(parsePassPipeline(text, pm, llvm::errs()))) {
      fail("the pipeline does not parse");
      return false;
    }
    counts.passes += pm.size();
    if (succeeded(pm.run(*module)))
      return true;
    fail("a pass failed, or its result does not verify");
    return false;
  }

  bool interpret(std::vector<HostTensor> &results,
                 moe::reference::RouterHook *hook = nullptr) {
    auto functions = module->getOps<func::FuncOp>();
    func::FuncOp function = *functions.begin();
    std::vector<HostTensor> arguments;
    std::string error;
    if (!moe::reference::makeArguments(function, {}, seed + number,
                                       {{"T", tokens}}, arguments, error)) {
      llvm::errs() << error << "\n";
      return false;
    }
    moe::reference::Options options;
    options.numThreads = 1;
    options.routerHook = hook;
    auto made = moe::reference::interpret(function, arguments, options);
    if (failed(made))
      return false;
    results = std::move(*made);
    return true;
  }

  /// What differs by more than sums in another order do, of f32 where they are
  /// rounded to it.
  static std::string compare(ArrayRef<HostTensor> before,
                             ArrayRef<HostTensor> after) {
    if (before.size() != after.size())
      return "another number of results";
    for (auto [a, b] : llvm::zip(before, after)) {
      if (a.shape != b.shape)
        return "another shape of '" + a.name + "'";
      double largest = 0;
      for (int64_t i = 0; i < a.numElements(); ++i)
        if (std::isfinite(a.get(i)))
          largest = std::max(largest, std::abs(a.get(i)));
      for (int64_t i = 0; i < a.numElements(); ++i) {
        double x = a.get(i), y = b.get(i);
        if (std::isnan(x) && std::isnan(y))
          continue;
        if (!(std::abs(x - y) <= 1e-6 * largest) && x != y)
          return "'" + a.name + "' has " + std::to_string(y) + " instead of " +
                 std::to_string(x) + " in place " + std::to_string(i);
      }
    }
    return {};
  }

  void fail(const std::string &why) {
    ++counts.failures;
    llvm::errs() << "FAILED: function " << number << " of seed " << seed << ": "
                 << why << "\n  passes: " << ran << "\n";
  }

  unsigned number;
  Counts &counts;
  std::string ran;
  OwningOpRef<ModuleOp> module;

  struct Draw {
    explicit Draw(std::initializer_list<unsigned> seeds) {
      std::seed_seq sequence(seeds);
      engine.seed(sequence);
    }
    // The engine's numbers are the same everywhere, those of distributions not.
    unsigned operator()() { return static_cast<unsigned>(engine()); }
    std::mt19937 engine;
  } draw;
};
} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Functions through random passes\n");
  registerTransformsPasses();
  moe::registerMoeTransformsPasses();
  moe::registerMoeSparsityPasses();
  moe::registerMoeToMoekPasses();

  DialectRegistry registry;
  moe::reference::registerModelDialects(registry);
  moe::reference::registerReferenceModels(registry);
  moe::registerBatchPolicyLowerings(registry);
  func::registerInlinerExtension(registry);
  registry.insert<moek::MoekDialect, moert::MoeRtDialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(input, &context);
  if (!module)
    return 1;
  Counts counts;
  for (auto [i, function] : llvm::enumerate(module->getOps<func::FuncOp>()))
    if (only < 0 || only == static_cast<int>(i))
      Run(function, i, counts).run();
  llvm::outs() << counts.functions << " functions, " << counts.passes
               << " passes, " << counts.failures << " failures\n";
  return counts.failures == 0 ? 0 : 1;
}
