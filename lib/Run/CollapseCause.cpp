//===- CollapseCause.cpp - What made a router collapse -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/CollapseCause.h"
#include "ModelArguments.h"

#include "moe-mlir/Analysis/Routings.h"
#include "moe-mlir/Reference/Interpreter.h"

#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/Support/Format.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace moe;
using namespace moe::run;

/// How many of the most suspicious entries, rows and columns are tried.
static constexpr size_t kMostTried = 4;

namespace {

/// What one matrix of the router is multiplied with.
class MeanRows : public reference::ProductHook {
public:
  void onProduct(Value weights, std::optional<int64_t>, const double *rows,
                 int64_t count, int64_t depth) override {
    std::vector<double> &sums = meanOf[weights];
    sums.assign(depth, 0.0);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t k = 0; k < depth; ++k)
        sums[k] += rows[r * depth + k] / count;
  }

  DenseMap<Value, std::vector<double>> meanOf;
};

/// The last routing that one value had.
class LastRouting : public reference::RouterHook {
public:
  explicit LastRouting(Value routing) : routing(routing) {}
  LogicalResult onDecision(Operation *, ArrayRef<double>, Decide,
                           reference::Decision &) override {
    return success();
  }
  void onRouting(Value value, const reference::Decision &decision) override {
    if (value == routing)
      last = decision;
  }

  Value routing;
  std::optional<reference::Decision> last;
};

/// A change of one argument.
struct Change {
  size_t argument;
  HostTensor tensor;
  /// How many numbers it changes.
  int64_t size;
  /// What is changed, and into what: "entry 3 of 'bias', which is 9 and ...".
  std::string what;
};

class Explainer {
public:
  /// `router` is one of the function's own.
  Explainer(func::FuncOp function, size_t router,
            std::vector<HostTensor> arguments, unsigned threads);

  std::string explain();

private:
  std::optional<RoutingHealth> route(ArrayRef<HostTensor> given,
                                     MeanRows *rows = nullptr);
  void addVector(size_t argument);
  void addMatrix(size_t argument, const MeanRows &rows);

  OwningOpRef<ModuleOp> module;
  func::FuncOp slice;
  Value routing;
  int64_t experts = 0;
  std::vector<HostTensor> arguments;
  unsigned threads;
  std::vector<Change> changes;
};

} // namespace

static SmallVector<RouterOp> findRouters(func::FuncOp function) {
  SmallVector<RouterOp> routers;
  function.walk([&](RouterOp router) { routers.push_back(router); });
  return routers;
}

/// Leaves of the function what the router's routing is computed by.
Explainer::Explainer(func::FuncOp function, size_t router,
                     std::vector<HostTensor> given, unsigned threads)
    : module(cast<ModuleOp>(function->getParentOp()).clone()),
      slice(module->lookupSymbol<func::FuncOp>(function.getSymName())),
      arguments(std::move(given)), threads(threads) {
  RouterOp op = findRouters(slice)[router];
  routing = getRoutingOf(op);
  experts = op.getNumExperts();
  Operation *end = slice.getBody().front().getTerminator();
  OpBuilder b(end);
  auto indices = RoutingIndicesOp::create(
      b, op.getLoc(),
      RankedTensorType::get({ShapedType::kDynamic, op.getNumSlots()},
                            b.getI32Type()),
      routing);
  end->setOperands(indices.getResult());
  slice.removeResAttrsAttr();
  slice.setType(b.getFunctionType(slice.getArgumentTypes(), indices.getType()));
  slice.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
}

std::optional<RoutingHealth> Explainer::route(ArrayRef<HostTensor> given,
                                              MeanRows *rows) {
  LastRouting last(routing);
  reference::Options options;
  options.numThreads = threads;
  options.routerHook = &last;
  options.productHook = rows;
  if (failed(reference::interpret(slice, given, options)) || !last.last)
    return std::nullopt;
  const reference::Decision &decision = *last.last;
  return RoutingHealth::of(RoutingRecord::fromIndices(
      "", decision.tokens, decision.experts, decision.slots,
      decision.expertOf.data(), decision.experts));
}

/// The positions of the largest values, at most `kMostTried`.
static std::vector<size_t> findLargest(const std::vector<double> &values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::stable_sort(order,
                    [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(std::min(order.size(), kMostTried));
  return order;
}

static HostTensor copy(const HostTensor &tensor) {
  HostTensor changed =
      HostTensor::allocate(tensor.dtype, tensor.shape, tensor.name);
  for (int64_t i = 0, n = changed.data ? tensor.numElements() : 0; i < n; ++i)
    changed.set(i, tensor.get(i));
  return changed;
}

static std::string write(double number) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.3g", number);
  return text;
}

/// A bias: each entry, or all of them.
void Explainer::addVector(size_t argument) {
  const HostTensor &bias = arguments[argument];
  double sum = 0;
  for (int64_t e = 0; e < experts; ++e)
    sum += bias.get(e);
  auto meanOfOthers = [&](int64_t e) {
    return (sum - bias.get(e)) / static_cast<double>(experts - 1);
  };
  std::vector<double> distances;
  for (int64_t e = 0; e < experts; ++e)
    distances.push_back(std::fabs(bias.get(e) - meanOfOthers(e)));
  for (size_t e : findLargest(distances)) {
    Change change{argument, copy(bias), 1, ""};
    change.tensor.set(e, meanOfOthers(e));
    change.what = "entry " + std::to_string(e) + " of '" + bias.name +
                  "', which is " + write(bias.get(e)) +
                  " where the mean of the others is " + write(meanOfOthers(e));
    changes.push_back(std::move(change));
  }
  Change all{argument, copy(bias), experts, ""};
  for (int64_t e = 0; e < experts; ++e)
    all.tensor.set(e, sum / static_cast<double>(experts));
  all.what = "'" + bias.name + "' as a whole";
  changes.push_back(std::move(all));
}

/// A projection: rows of experts by their norms, columns of inputs by what
/// their means do to the scores, and the direction of the mean row.
void Explainer::addMatrix(size_t argument, const MeanRows &rows) {
  const HostTensor &weight = arguments[argument];
  bool isTransposed = weight.shape[0] != experts;
  int64_t hidden = weight.shape[isTransposed ? 0 : 1];
  auto at = [&](int64_t e, int64_t h) {
    return isTransposed ? h * experts + e : e * hidden + h;
  };
  std::vector<double> norms(experts), means(hidden), spreads(hidden);
  for (int64_t e = 0; e < experts; ++e) {
    for (int64_t h = 0; h < hidden; ++h) {
      double w = weight.get(at(e, h));
      norms[e] += w * w;
      means[h] += w / static_cast<double>(experts);
    }
    norms[e] = std::sqrt(norms[e]);
  }
  double allNorms = std::accumulate(norms.begin(), norms.end(), 0.0);
  for (size_t e : findLargest(norms)) {
    double others = (allNorms - norms[e]) / static_cast<double>(experts - 1);
    if (!(norms[e] > 0))
      continue;
    Change change{argument, copy(weight), hidden, ""};
    for (int64_t h = 0; h < hidden; ++h)
      change.tensor.set(at(e, h), weight.get(at(e, h)) * others / norms[e]);
    change.what = "the weights of expert " + std::to_string(e) + " in '" +
                  weight.name + "', whose norm is " + write(norms[e]) +
                  " where the mean of the others is " + write(others);
    changes.push_back(std::move(change));
  }

  // What a column is multiplied with is known of products with rows of weights.
  Value value = slice.getArgument(argument);
  auto it = rows.meanOf.find(value);
  if (it == rows.meanOf.end() ||
      static_cast<int64_t>(it->second.size()) != hidden)
    return;
  const std::vector<double> &mean = it->second;
  double squares = 0;
  for (int64_t h = 0; h < hidden; ++h) {
    squares += mean[h] * mean[h];
    double variance = 0;
    for (int64_t e = 0; e < experts; ++e) {
      double gap = weight.get(at(e, h)) - means[h];
      variance += gap * gap / static_cast<double>(experts);
    }
    spreads[h] = std::fabs(mean[h]) * std::sqrt(variance);
  }
  for (size_t h : findLargest(spreads)) {
    Change change{argument, copy(weight), experts, ""};
    for (int64_t e = 0; e < experts; ++e)
      change.tensor.set(at(e, h), means[h]);
    change.what = "the weights of input " + std::to_string(h) + " in '" +
                  weight.name + "', an input whose mean is " + write(mean[h]);
    changes.push_back(std::move(change));
  }
  if (!(squares > 0))
    return;
  Change direction{argument, copy(weight), experts * hidden, ""};
  for (int64_t e = 0; e < experts; ++e) {
    double product = 0;
    for (int64_t h = 0; h < hidden; ++h)
      product += weight.get(at(e, h)) * mean[h];
    for (int64_t h = 0; h < hidden; ++h)
      direction.tensor.set(at(e, h),
                           weight.get(at(e, h)) - product * mean[h] / squares);
  }
  direction.what = "what '" + weight.name +
                   "' makes of the mean row, which all tokens have in common";
  changes.push_back(std::move(direction));
}

std::string Explainer::explain() {
  MeanRows rows;
  std::optional<RoutingHealth> before = route(arguments, &rows);
  if (!before || before->collapse <= 0 || experts < 2)
    return "";
  for (auto [i, tensor] : llvm::enumerate(arguments)) {
    BlockArgument argument = slice.getArgument(i);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    // What is stored in a format is no number of its own.
    if (argument.use_empty() || !type || !type.hasStaticShape() ||
        !isa<Float32Type, Float64Type, BFloat16Type, Float16Type>(
            type.getElementType()))
      continue;
    if (type.getRank() == 1 && type.getDimSize(0) == experts)
      addVector(i);
    else if (type.getRank() == 2 &&
             (type.getDimSize(0) == experts || type.getDimSize(1) == experts))
      addMatrix(i, rows);
  }
  llvm::stable_sort(changes, [](const Change &a, const Change &b) {
    return a.size < b.size;
  });
  auto describe = [&](const Change &change, const RoutingHealth &after) {
    return change.what + ": without it effective experts " +
           write(before->effectiveExperts) + " -> " +
           write(after.effectiveExperts) + " of " + std::to_string(experts);
  };
  std::string best, most;
  double effective = before->effectiveExperts, largest = effective;
  int64_t size = 0;
  for (const Change &change : changes) {
    if (!best.empty() && change.size > size)
      break;
    std::vector<HostTensor> given = arguments;
    given[change.argument] = change.tensor;
    std::optional<RoutingHealth> after = route(given);
    if (!after || after->effectiveExperts <= effective)
      continue;
    if (after->effectiveExperts > largest) {
      largest = after->effectiveExperts;
      most = describe(change, *after);
    }
    if (after->collapse != 0)
      continue;
    effective = after->effectiveExperts;
    size = change.size;
    best = describe(change, *after);
  }
  if (!best.empty())
    return best;
  return "no bias or weight alone" +
         (most.empty() ? std::string() : "; most does " + most);
}

void moe::run::explainCollapses(RoutingReport &report, size_t first,
                                const Call &call, func::FuncOp model,
                                const FunctionInputs &inputs) {
  if (!model || model.isExternal() || !isa<ModuleOp>(model->getParentOp()))
    return;
  SmallVector<RouterOp> routers = findRouters(model);
  if (report.records.size() - first != routers.size())
    return;
  std::vector<HostTensor> arguments;
  for (auto [i, router] : llvm::enumerate(routers)) {
    RoutingRecord &record = report.records[first + i];
    if (router->getParentOp() != model ||
        RoutingHealth::of(record).collapse <= 0)
      continue;
    std::string error;
    if (arguments.empty() &&
        !makeModelArguments(model, call.function(), call.sizes(), inputs,
                            /*tokenSize=*/"", /*chosen=*/{}, arguments, error))
      return;
    record.cause = Explainer(model, i, arguments, call.threads()).explain();
  }
}
