//===- RoutingSuite.cpp - Routing kernels beside plain C++ -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Kernels are compiled from IR that is written here and called like any
// artifact. Both sides have to give the same lists before they are timed.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Routing.h"

#include "moe-mlir/Artifact/ArtifactLibrary.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace moe;
using namespace moe::bench;
using namespace moe::run;
using llvm::format;
using llvm::formatv;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static std::string policyOf(const RoutingCase &what) {
  switch (what.kind) {
  case RoutingCase::TopAny:
    return "#moe.top_any<min_k = 1>";
  case RoutingCase::TopK:
    return formatv("#moe.top_k<{0}>", what.slots);
  case RoutingCase::GroupTopK:
    return formatv("#moe.group_top_k<{0}, groups = {1}, keep = {2}, reduce = "
                   "top2>",
                   what.slots, what.groups, what.keptGroups);
  }
  return {};
}

/// From scores to the packed lists. The size of the list of tokens is an
/// argument, as it depends on the data.
static std::string kernelOf(const RoutingCase &what) {
  bool any = what.kind == RoutingCase::TopAny;
  int64_t e = what.experts, k = any ? e : what.slots;
  std::string scores = any ? formatv("tensor<{0}x?xf32>", e).str()
                           : formatv("tensor<?x{0}xf32>", e).str();
  std::string text = formatv(
      "func.func @route(%s: {0} {{moe.name = \"scores\", moe.dims = [\"T\"]}, "
      "%g: tensor<{1}xf32> {{moe.name = \"thresholds\"}, %room: tensor<?xi32> "
      "{{moe.name = \"room\", moe.dims = [\"N\"]}) -> (tensor<{2}xi32> "
      "{{moe.name = \"offsets\"}, tensor<?xi32> {{moe.name = \"tokens\", "
      "moe.dims = [\"N\"]}) {{\n",
      scores, e, e + 1);
  text += formatv("  %c0 = arith.constant 0 : index\n"
                  "  %d = arith.constant {0} : index\n"
                  "  %t = tensor.dim %s, %d : {1}\n"
                  "  %n = tensor.dim %room, %c0 : tensor<?xi32>\n",
                  any ? 1 : 0, scores);
  std::string matrixI = formatv("tensor<?x{0}xi32>", k);
  std::string matrixF = formatv("tensor<?x{0}xf32>", k);
  std::string row = formatv("tensor<{0}xi32>", e + 1);
  std::string types = formatv("{0}, {1}, {2}, {2}, tensor<?xi32>, {0}, "
                              "tensor<?xf32>",
                              matrixI, matrixF, row);
  text += formatv("  %i = tensor.empty(%t) : {0}\n"
                  "  %w = tensor.empty(%t) : {1}\n"
                  "  %o = tensor.empty() : {2}\n"
                  "  %a = tensor.empty() : {2}\n"
                  "  %k = tensor.empty(%n) : tensor<?xi32>\n"
                  "  %p = tensor.empty(%t) : {0}\n"
                  "  %q = tensor.empty(%n) : tensor<?xf32>\n",
                  matrixI, matrixF, row);
  text += formatv("  %r:7 = moek.route {0} experts({1}) {2}(%s : {3})",
                  policyOf(what), e, any ? "columns" : "rows", scores);
  if (any)
    text += formatv(" using(%g : tensor<{0}xf32>)", e);
  text += formatv(" outs(%i, %w, %o, %a, %k, %p, %q : {0})\n", types);
  text += formatv(
      "    scores {{\n    ^bb0(%z: vector<{0}xf32>):\n"
      "      moek.yield %z{1} : vector<{0}xf32>{2}\n    } weigh {{\n",
      e, any ? "" : ", %z", any ? "" : formatv(", vector<{0}xf32>", e).str());
  text += formatv("    ^bb0(%v: vector<{0}xf32>{1}):\n"
                  "      moek.yield %v : vector<{0}xf32>\n    } -> {2}\n"
                  "  return %r#2, %r#4 : {3}, tensor<?xi32>\n}\n",
                  k, any ? formatv(", %u: vector<{0}xi1>", k).str() : "", types,
                  row);
  return text;
}

namespace {
/// A router of a model, for its share of the layer.
struct Router {
  const char *model;
  int64_t hidden, intermediate, experts, slots, groups, keptGroups, shared;
};
} // namespace

static const Router kRouters[] = {
    {"Qwen3-30B-A3B", 2048, 768, 128, 8, 1, 1, 0},
    {"DeepSeek-V3", 7168, 2048, 256, 8, 8, 4, 1},
};

/// From x to the routing, as the models' layers have it.
static std::string routerOf(const Router &router) {
  bool grouped = router.groups > 1;
  std::string z = formatv("tensor<?x{0}xf32>", router.experts);
  std::string routing =
      formatv("!moe.routing<{0} x {1}>", router.experts, router.slots);
  std::string text = formatv(
      "#a = affine_map<(m, n, k) -> (m, k)>\n#b = affine_map<(m, n, k) -> (n, "
      "k)>\n#c = affine_map<(m, n, k) -> (m, n)>\n"
      "func.func @route(%x: tensor<?x{0}xf32> {{moe.name = \"x\", moe.dims = "
      "[\"T\"]}, %wr: tensor<{1}x{0}xf32> {{moe.name = \"router.weight\"}) -> "
      "(tensor<?x{2}xi32> {{moe.name = \"indices\", moe.dims = [\"T\"]}, "
      "tensor<?x{2}xf32> {{moe.name = \"weights\", moe.dims = [\"T\"]}, "
      "tensor<{3}xi32> {{moe.name = \"offsets\"}) {{\n",
      router.hidden, router.experts, router.slots, router.experts + 1);
  text += formatv("  %c0 = arith.constant 0 : index\n"
                  "  %zero = arith.constant 0.0 : f32\n"
                  "  %t = tensor.dim %x, %c0 : tensor<?x{0}xf32>\n"
                  "  %e = tensor.empty(%t) : {1}\n"
                  "  %f = linalg.fill ins(%zero : f32) outs(%e : {1}) -> {1}\n"
                  "  %z = linalg.matmul indexing_maps = [#a, #b, #c] ins(%x, "
                  "%wr : tensor<?x{0}xf32>, tensor<{2}x{0}xf32>) outs(%f : {1})"
                  " -> {1}\n",
                  router.hidden, z, router.experts);
  std::string weighing =
      grouped ? "[#moe.sigmoid, #moe.normalize<sum, eps = 1.0e-20>, "
                "#moe.scale<2.5>]"
              : "[#moe.softmax]";
  RoutingCase what;
  what.kind = grouped ? RoutingCase::GroupTopK : RoutingCase::TopK;
  what.slots = router.slots;
  what.groups = router.groups;
  what.keptGroups = router.keptGroups;
  text += formatv("  %r = moe.router {0} select(%z) weigh(%z) weighing {1} : "
                  "{2} -> {3}\n"
                  "  %i = moe.routing.indices %r : {3} -> tensor<?x{4}xi32>\n"
                  "  %w = moe.routing.weights %r : {3} -> tensor<?x{4}xf32>\n"
                  "  %o = moe.routing.offsets %r : {3} -> tensor<{5}xi32>\n"
                  "  return %i, %w, %o : tensor<?x{4}xi32>, tensor<?x{4}xf32>, "
                  "tensor<{5}xi32>\n}\n",
                  policyOf(what), weighing, z, routing, router.slots,
                  router.experts + 1);
  return text;
}

namespace {
/// One function, compiled and loaded.
struct Kernel {
  std::unique_ptr<ArtifactLibrary> library;
  ArtifactFunction function;
  HostTensor workspace;

  bool load(mlir::MLIRContext &context, const std::string &text,
            const std::string &base, std::string &error) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    CompileOptions options;
    options.object = options.library = options.header = false;
    if (!module || llvm::failed(compileToArtifact(*module, options, base))) {
      error = "cannot compile a kernel of the suite `routing`";
      return false;
    }
    library = ArtifactLibrary::open(base + ".json", error);
    return library && library->lookup("", function, error);
  }

  bool call(int threads, llvm::ArrayRef<int64_t> sizes,
            llvm::ArrayRef<void *> buffers, std::string &error) {
    int64_t bytes = function.workspaceBytes(sizes.data());
    if (bytes > 0 && (!workspace.data || workspace.numElements() < bytes))
      workspace = HostTensor::allocate(DType::U8, {bytes}, "workspace");
    moe_rt rt;
    moe_rt_init(&rt, threads);
    int status = function.invoke(&rt, sizes.data(), buffers.data(),
                                 workspace.data, bytes);
    if (status != MOE_OK)
      error = std::string("a kernel failed: ") + moe_status_string(status);
    return status == MOE_OK;
  }
};
} // namespace

/// Medians of two functions whose runs take turns, each of about `seconds`.
static std::pair<double, double> timeBoth(double seconds,
                                          llvm::function_ref<void()> ours,
                                          llvm::function_ref<void()> plain) {
  auto time = [](llvm::function_ref<void()> run, int64_t calls) {
    double begin = now();
    for (int64_t i = 0; i < calls; ++i)
      run();
    return (now() - begin) / calls;
  };
  ours();
  plain();
  // As many calls in a reading as take about a millisecond.
  int64_t oursCalls = std::max<int64_t>(1, 1e-3 / time(ours, 3));
  int64_t plainCalls = std::max<int64_t>(1, 1e-3 / time(plain, 3));
  std::vector<double> a, b;
  double end = now() + seconds;
  do {
    a.push_back(time(ours, oursCalls));
    b.push_back(time(plain, plainCalls));
  } while (now() < end || a.size() < 5);
  return {median(a), median(b)};
}

static std::vector<RoutingCase> makeCases(bool quick) {
  std::vector<RoutingCase> cases;
  auto any = [&](int64_t experts, int64_t firing) {
    RoutingCase what;
    what.name = formatv("top_any {0} of {1}", firing, experts);
    what.kind = RoutingCase::TopAny;
    what.experts = experts;
    what.firing = firing;
    what.tokens = quick ? 100 : 1024;
    cases.push_back(what);
  };
  auto top = [&](int64_t slots, int64_t experts, int64_t groups = 1,
                 int64_t kept = 1) {
    RoutingCase what;
    what.name =
        formatv(groups > 1 ? "group_top_k {0} of {1}" : "top_k {0} of {1}",
                slots, experts);
    what.kind = groups > 1 ? RoutingCase::GroupTopK : RoutingCase::TopK;
    what.experts = experts;
    what.slots = slots;
    what.groups = groups;
    what.keptGroups = kept;
    what.tokens = quick ? 100 : 1024;
    cases.push_back(what);
  };
  for (int64_t experts : {16, 64, 256})
    for (int64_t firing : {int64_t(0), int64_t(1), experts / 2, experts})
      any(experts, firing);
  for (int64_t slots : {1, 2})
    top(slots, 8);
  for (int64_t experts : {64, 128, 256, 512, 1024})
    top(8, experts);
  for (int64_t slots : {1, 2, 4, 16})
    top(slots, 128);
  top(8, 256, 8, 4);
  if (quick)
    cases = {cases[1], cases[12], cases.back()};
  return cases;
}

static bool runCase(mlir::MLIRContext &context, const RoutingCase &what,
                    const std::string &base, double clock, double seconds,
                    RoutingRow &row, std::string &error) {
  Kernel kernel;
  if (!kernel.load(context, kernelOf(what), base, error))
    return false;
  const int64_t n = what.tokens, e = what.experts;
  bool any = what.kind == RoutingCase::TopAny;
  HostTensor scores = HostTensor::allocate(
      DType::F32, any ? std::vector<int64_t>{e, n} : std::vector<int64_t>{n, e},
      "scores");
  fillRandom(scores, 7, 1.0);
  HostTensor thresholds = HostTensor::allocate(DType::F32, {e}, "thresholds");
  auto *s = static_cast<float *>(scores.data);
  auto *g = static_cast<float *>(thresholds.data);
  if (any) {
    // Which experts fire differs from token to token.
    std::fill(g, g + e, 0.5f);
    for (int64_t t = 0; t < n; ++t)
      for (int64_t i = 0; i < e; ++i) {
        float &value = s[i * n + t];
        bool fires = (i * 7 + t * 13) % e < what.firing;
        value = std::fabs(value) * 0.49f + (fires ? 0.505f : 0.0f);
      }
  }
  // Lists of the mask may be overwritten by what the next store replaces.
  int64_t room = n * (any ? e : what.slots) + 64;
  RoutingLists ours, plain;
  ours.offsets.resize(e + 1);
  ours.tokens.resize(room);
  std::vector<int32_t> unused(room);
  std::vector<void *> buffers{s, g, unused.data(), ours.offsets.data(),
                              ours.tokens.data()};
  auto run = [&] {
    if (!kernel.call(1, {n, room}, buffers, error))
      ours.offsets.assign(e + 1, -1);
  };
  auto runPlain = [&] { routePlainly(what, s, g, plain); };
  run();
  runPlain();
  if (!error.empty())
    return false;
  int64_t count = ours.offsets[e];
  if (ours.offsets != plain.offsets ||
      !std::equal(plain.tokens.begin(), plain.tokens.begin() + count,
                  ours.tokens.begin())) {
    error = what.name + ": our lists and those of plain C++ differ";
    return false;
  }
  auto [mine, other] = timeBoth(seconds, run, runPlain);
  row.what = what;
  row.nanoseconds = mine * 1e9;
  row.cyclesPerScore = mine * clock / static_cast<double>(n * e);
  row.plainOverOurs = other / mine;
  return error.empty();
}

/// The least time of the whole layer in bf16: weights of the experts that are
/// expected to be chosen once each, or the operations.
static double leastLayerSeconds(const Router &router, int64_t tokens,
                                double gflops, double gbytes) {
  double k = router.slots, e = router.experts;
  double perExpert = 3.0 * router.hidden * router.intermediate;
  double distinct = e * (1 - std::pow(1 - k / e, tokens)) + router.shared;
  double bytes = 2 * perExpert * distinct + 4.0 * e * router.hidden +
                 8.0 * tokens * router.hidden;
  double operations = 2 * perExpert * tokens * (k + router.shared) +
                      2.0 * tokens * e * router.hidden;
  return std::max(operations / (gflops * 1e9), bytes / (gbytes * 1e9));
}

static bool runShare(mlir::MLIRContext &context, const Router &router,
                     const std::string &base, bool quick, double gflops,
                     double gbytes, int threads, llvm::raw_ostream &os,
                     RoutingReport &report, std::string &error) {
  Kernel kernel;
  if (!kernel.load(context, routerOf(router), base, error))
    return false;
  HostTensor weight = HostTensor::allocate(
      DType::F32, {router.experts, router.hidden}, "router.weight");
  fillRandom(weight, 1, 1.0 / std::sqrt(router.hidden));
  HostTensor packed;
  const ArgumentDesc &argument = kernel.function.desc->arguments[1];
  auto lookup = [&](const std::string &) -> const HostTensor * {
    return &weight;
  };
  if (!argument.packed || !pack(*argument.packed, lookup, packed, error))
    return false;
  for (int64_t tokens :
       quick ? std::vector<int64_t>{16} : std::vector<int64_t>{16, 512}) {
    HostTensor x =
        HostTensor::allocate(DType::F32, {tokens, router.hidden}, "x");
    fillRandom(x, 2, 1.0);
    std::vector<int32_t> indices(tokens * router.slots);
    std::vector<float> weights(indices.size());
    std::vector<int32_t> offsets(router.experts + 1);
    std::vector<void *> buffers{x.data, packed.data, indices.data(),
                                weights.data(), offsets.data()};
    auto run = [&] { kernel.call(threads, {tokens}, buffers, error); };
    double seconds = timeBoth(quick ? 0.01 : 0.5, run, [] {}).first;
    if (!error.empty())
      return false;
    LayerShareRow row;
    row.model = router.model;
    row.tokens = tokens;
    row.threads = threads;
    row.microseconds = seconds * 1e6;
    row.share = seconds / leastLayerSeconds(router, tokens, gflops, gbytes);
    report.shares.push_back(row);
    os << format("%-16s %6lld %4d %10.1f %9.2f%%\n", row.model.c_str(),
                 static_cast<long long>(tokens), threads, row.microseconds,
                 100 * row.share);
    os.flush();
  }
  return true;
}

bool bench::runRoutingSuite(mlir::MLIRContext &context, bool quick,
                            llvm::raw_ostream &os, RoutingReport &report,
                            std::string &error) {
  TemporaryFolder folder;
  if (!folder.create("moe-bench", error))
    return false;
  std::string base = folder.path() + "/route";

  report.coreGHz = readCoreClock() / 1e9;
  os << format("core clock %.2f GHz\n\n", report.coreGHz);
  os << format("%-24s %6s %10s %13s %9s\n", "from scores to lists", "tokens",
               "us", "cycles/score", "plain C++");
  int index = 0;
  for (const RoutingCase &what : makeCases(quick)) {
    RoutingRow row;
    // The clock moves a little with the load, and others' load disturbs the
    // reading: the highest of the run counts.
    double clock = std::max(report.coreGHz * 1e9, readCoreClock());
    report.coreGHz = clock / 1e9;
    if (!runCase(context, what, base + std::to_string(index++), clock,
                 quick ? 0.01 : 0.3, row, error))
      return false;
    report.rows.push_back(row);
    os << format("%-24s %6lld %10.2f %13.3f %8.2fx\n", what.name.c_str(),
                 static_cast<long long>(what.tokens), row.nanoseconds / 1e3,
                 row.cyclesPerScore, row.plainOverOurs);
    os.flush();
  }

  int threads = maxThreads();
  PeakMeter peak(PeakMeter::BF16);
  DramReader dram(quick ? int64_t(64) << 20 : int64_t(1) << 30,
                  quick ? int64_t(16) << 20 : int64_t(384) << 20);
  double gflops = peak.best(threads, quick ? 1 : 15);
  double gbytes = dram.median(threads, quick ? 1 : 5);
  os << format("\n%.0f GFLOP/s bf16, %.1f GB/s\n\n", gflops, gbytes);
  os << format("%-16s %6s %4s %10s %10s\n", "router, x to lists", "tokens",
               "thr", "us", "of layer");
  for (const Router &router : kRouters)
    if (!runShare(context, router, base + std::to_string(index++), quick,
                  gflops, gbytes, threads, os, report, error))
      return false;
  return true;
}

void bench::printJson(llvm::raw_ostream &os, const RoutingReport &report) {
  llvm::json::OStream json(os, 2);
  json.object([&] {
    json.attribute("version", 1);
    json.attribute("core_ghz", report.coreGHz);
    json.attributeArray("routing", [&] {
      for (const RoutingRow &row : report.rows)
        json.object([&] {
          json.attribute("name", row.what.name);
          json.attribute("experts", row.what.experts);
          json.attribute("tokens", row.what.tokens);
          json.attribute("median_us", row.nanoseconds / 1e3);
          json.attribute("cycles_per_score", row.cyclesPerScore);
          json.attributeObject("baselines", [&] {
            json.attribute("plain_cpp", row.plainOverOurs);
          });
        });
    });
    json.attributeArray("shares", [&] {
      for (const LayerShareRow &row : report.shares)
        json.object([&] {
          json.attribute("model", row.model);
          json.attribute("tokens", row.tokens);
          json.attribute("threads", row.threads);
          json.attribute("median_us", row.microseconds);
          json.attribute("share_of_layer", row.share);
        });
    });
  });
  os << "\n";
}
