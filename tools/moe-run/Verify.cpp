//===- Verify.cpp - Comparing with the interpreter -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A layer treats tokens one by one, so that a few rows of all activations can
// stand for the whole. Where a token's choice of experts hangs on a rounding
// error, the two may choose differently and both be right: the scores of each
// router come along, and such tokens are left out.
//
//===----------------------------------------------------------------------===//

#include "Verify.h"

#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/WithColor.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using namespace moe::run;
using moe::HostTensor;

/// Below this gap between a chosen and an unchosen expert, an f32 score says
/// nothing about which is better.
static constexpr double minGap = 1e-5;

static LogicalResult fail(const Twine &message) {
  llvm::WithColor::error(llvm::errs(), "moe-run") << message << "\n";
  return failure();
}

//===----------------------------------------------------------------------===//
// Which tokens
//===----------------------------------------------------------------------===//

/// Why tokens of `function` depend on each other, or an empty string. Helper
/// functions count, too, whoever calls them.
static std::string findCoupling(func::FuncOp function) {
  std::string reason;
  auto module = function->getParentOfType<ModuleOp>();
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    auto other = dyn_cast<func::FuncOp>(op);
    if (other && other.isPublic() && other != function)
      return WalkResult::skip();
    if (isa<moe::RoutingLimitOp, moe::RoutingOffsetsOp, moe::RoutingTokensOp,
            moe::RoutingNumTokensOp, moe::BalanceOp>(op))
      reason = "it has " + op->getName().getStringRef().str();
    if (auto router = dyn_cast<moe::RouterOp>(op);
        router && router.getPolicy().seesAllTokens())
      reason = "its router sees all of them";
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      SmallVector<int64_t> ranges = linalgOp.getStaticLoopRanges();
      for (auto [kind, range] :
           llvm::zip_equal(linalgOp.getIteratorTypesArray(), ranges))
        if (kind != utils::IteratorType::parallel &&
            ShapedType::isDynamic(range))
          reason = "it reduces over tokens";
    }
    for (Type type : op->getResultTypes())
      if (auto shaped = dyn_cast<ShapedType>(type))
        if (shaped.hasRank() && shaped.getNumDynamicDims() > 1)
          reason = "it compares tokens with each other";
    return reason.empty() ? WalkResult::advance() : WalkResult::interrupt();
  });
  return reason;
}

/// Evenly spread, with the first and the last one.
static SmallVector<int64_t> chooseTokens(int64_t tokens, int64_t wanted) {
  SmallVector<int64_t> chosen;
  if (wanted <= 0 || wanted >= tokens) {
    for (int64_t i = 0; i < tokens; ++i)
      chosen.push_back(i);
    return chosen;
  }
  for (int64_t i = 0; i < wanted; ++i)
    chosen.push_back(wanted == 1 ? tokens / 2
                                 : i * (tokens - 1) / (wanted - 1));
  return chosen;
}

static HostTensor takeRows(const HostTensor &tensor, ArrayRef<int64_t> rows) {
  std::vector<int64_t> shape = tensor.shape;
  shape[0] = static_cast<int64_t>(rows.size());
  HostTensor taken = HostTensor::allocate(tensor.dtype, shape, tensor.name);
  if (!taken.data || rows.empty())
    return taken;
  size_t rowBytes = taken.numBytes() / rows.size();
  for (auto [i, row] : llvm::enumerate(rows))
    std::memcpy(taken.dataAs<char>() + i * rowBytes,
                tensor.dataAs<char>() + row * rowBytes, rowBytes);
  return taken;
}

//===----------------------------------------------------------------------===//
// Scores of the routers
//===----------------------------------------------------------------------===//

namespace {

/// A router whose scores and operands are further results of its function.
struct TracedRouter {
  moe::RouterOp router;
  unsigned firstResult;
};

} // namespace

/// Makes what the routers of `function` select by further results of it.
static SmallVector<TracedRouter> traceRouters(func::FuncOp function) {
  SmallVector<TracedRouter> traced;
  Block &body = function.getBody().front();
  auto returnOp = cast<func::ReturnOp>(body.getTerminator());
  for (auto router : body.getOps<moe::RouterOp>()) {
    unsigned first = function.getNumResults();
    SmallVector<Value> values(router.getPolicyOperands());
    if (router.getSelect())
      values.insert(values.begin(), router.getSelect());
    SmallVector<unsigned> places(values.size(), first);
    if (failed(
            function.insertResults(places, TypeRange(ValueRange(values)),
                                   SmallVector<DictionaryAttr>(values.size()))))
      continue;
    returnOp.getOperandsMutable().append(values);
    traced.push_back({router, first});
  }
  return traced;
}

/// How far each token is from another choice of `traced`; `results` are those
/// of its function. Infinite for policies that do not say.
static std::vector<double> findGaps(const TracedRouter &traced,
                                    ArrayRef<HostTensor> results) {
  moe::RouterOp router = traced.router;
  auto policy = dyn_cast<moe::reference::ReferencePolicyAttrInterface>(
      Attribute(router.getPolicy()));
  moe::reference::PolicyInputs inputs;
  inputs.experts = router.getNumExperts();
  inputs.slots = router.getNumSlots();
  results = results.drop_front(traced.firstResult);
  auto read = [](const HostTensor &tensor) {
    std::vector<double> values(tensor.numElements());
    for (auto [i, value] : llvm::enumerate(values))
      value = tensor.get(i);
    return values;
  };
  if (router.getSelect()) {
    inputs.tokens = results.front().shape[0];
    inputs.scores = read(results.front());
    results = results.drop_front();
  }
  for (unsigned i = 0; i < router.getPolicyOperands().size(); ++i) {
    const HostTensor &tensor = results[i];
    if (!router.getSelect() && router.getPolicy().isTokenOperand(i))
      inputs.tokens = tensor.shape[0];
    moe::reference::PolicyOperand operand;
    operand.shape.assign(tensor.shape.begin(), tensor.shape.end());
    operand.data = read(tensor);
    inputs.operands.push_back(std::move(operand));
  }
  std::vector<double> gaps(inputs.tokens,
                           std::numeric_limits<double>::infinity());
  if (policy)
    policy.choiceGaps(inputs, gaps);
  return gaps;
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

namespace {

/// How far results may be off, relative to the largest value of a row or 1.
struct Tolerance {
  double value;
  std::string reason;
};

struct Comparison {
  double error = 0.0;
  int64_t row = 0, column = 0;
  double got = 0.0, expected = 0.0;
};

} // namespace

static Tolerance chooseTolerance(func::FuncOp function) {
  int64_t extent = 64;
  bool isNarrow = false;
  for (Type type : function.getArgumentTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getRank() < 2)
      continue;
    isNarrow |=
        tensor.getElementType().isBF16() || tensor.getElementType().isF16();
    for (int64_t size : tensor.getShape().take_back(2))
      if (!ShapedType::isDynamic(size))
        extent = std::max(extent, size);
  }
  if (isNarrow)
    return {2e-2, "weights of 16 bits"};
  return {5e-6 * std::sqrt(static_cast<double>(extent) / 64.0),
          "f32, sums of up to " + std::to_string(extent)};
}

/// Row `row` of `got` against row `expectedRow` of `expected`.
static Comparison compareRow(const HostTensor &got, int64_t row,
                             const HostTensor &expected, int64_t expectedRow,
                             int64_t width) {
  double largest = 1.0;
  for (int64_t i = 0; i < width; ++i) {
    double value = std::fabs(expected.get(expectedRow * width + i));
    if (std::isfinite(value))
      largest = std::max(largest, value);
  }
  Comparison worst;
  worst.row = row;
  for (int64_t i = 0; i < width; ++i) {
    double a = got.get(row * width + i);
    double b = expected.get(expectedRow * width + i);
    bool isSame = a == b || (std::isnan(a) && std::isnan(b));
    double error = isSame ? 0.0 : std::fabs(a - b) / largest;
    if (!isSame && (!isFloat(got.dtype) || !std::isfinite(error)))
      error = std::numeric_limits<double>::infinity();
    if (error > worst.error)
      worst = {error, row, i, a, b};
  }
  return worst;
}

/// The arguments of the function, rows of the chosen tokens only where
/// `tokenSize` is their first dimension.
static LogicalResult
makeArguments(func::FuncOp function, const moe::FunctionDesc &desc,
              const std::vector<int64_t> &sizeValues,
              const moe::FunctionInputs &inputs, StringRef tokenSize,
              ArrayRef<int64_t> chosen, std::vector<HostTensor> &arguments) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(function.getArgumentTypes()[i]);
    auto name = function.getArgAttrOfType<StringAttr>(i, "moe.name");
    if (!type || !name)
      return fail("argument " + Twine(i) + " of the model's '" +
                  function.getName() + "' is no tensor with a moe.name");
    moe::DType dtype;
    std::string element;
    llvm::raw_string_ostream(element) << type.getElementType();
    if (!moe::parseDType(element, dtype))
      return fail("argument '" + name.getValue() + "' has elements of type " +
                  element);
    auto dims = function.getArgAttrOfType<ArrayAttr>(i, "moe.dims");
    std::vector<int64_t> shape;
    unsigned dynamic = 0;
    bool isRows = false;
    for (auto [position, size] : llvm::enumerate(type.getShape())) {
      if (!ShapedType::isDynamic(size)) {
        shape.push_back(size);
        continue;
      }
      StringRef dim = dims && dynamic < dims.size()
                          ? cast<StringAttr>(dims[dynamic]).getValue()
                          : "";
      ++dynamic;
      auto *it = llvm::find_if(desc.sizes, [&](const std::string &known) {
                   return dim == known;
                 }).base();
      size_t index = it - desc.sizes.data();
      if (index == desc.sizes.size())
        return fail("argument '" + name.getValue() +
                    "' of the model has a "
                    "size '" +
                    dim + "' that the artifact does not have");
      shape.push_back(sizeValues[index]);
      isRows |= position == 0 && dim == tokenSize;
    }
    std::optional<HostTensor> tensor =
        inputs.find(desc, name.str(), dtype, shape,
                    /*isActivation=*/dynamic != 0, /*describeOnly=*/false);
    if (!tensor || !tensor->data)
      return fail("verifying needs tensor '" + name.getValue() + "' of " +
                  moe::describeType(dtype, shape) +
                  (tensor ? ": no memory"
                          : ": give it with --inputs, or the "
                            "--random it was made from"));
    if (tensor->shape != shape)
      return fail("tensor '" + name.getValue() + "' is " + tensor->describe() +
                  ", but the model wants " + moe::describeType(dtype, shape));
    arguments.push_back(isRows ? takeRows(*tensor, chosen) : *tensor);
  }
  return success();
}

LogicalResult moe::run::verify(func::FuncOp function, const FunctionDesc &desc,
                               const std::vector<int64_t> &sizeValues,
                               const FunctionInputs &inputs,
                               const std::vector<HostTensor> &results,
                               const VerifyOptions &options) {
  if (function.getNumResults() != results.size() || function.isExternal())
    return fail("the model's '" + function.getName() +
                "' is not what the artifact was compiled from");
  // The size that most rows are counted by is the first one.
  std::string tokenSize = desc.sizes.empty() ? "" : desc.sizes.front();
  int64_t tokens = sizeValues.empty() ? 0 : sizeValues.front();
  int64_t wanted = options.tokens;
  std::string coupling = wanted ? findCoupling(function) : "";
  if (!coupling.empty()) {
    llvm::outs() << "verify: all tokens, because " << coupling << "\n";
    wanted = 0;
  }
  SmallVector<int64_t> chosen = chooseTokens(tokens, wanted);
  std::vector<HostTensor> arguments;
  if (failed(makeArguments(function, desc, sizeValues, inputs, tokenSize,
                           chosen, arguments)))
    return failure();

  auto module = function->getParentOfType<ModuleOp>();
  OwningOpRef<ModuleOp> copy = module.clone();
  auto traced = copy->lookupSymbol<func::FuncOp>(function.getName());
  SmallVector<TracedRouter> routers = traceRouters(traced);
  reference::Options interpreterOptions;
  interpreterOptions.numThreads = options.threads;
  FailureOr<std::vector<HostTensor>> expected =
      reference::interpret(traced, arguments, interpreterOptions);
  if (failed(expected))
    return fail("the interpreter failed");

  llvm::SmallSet<int64_t, 8> undecided;
  for (const TracedRouter &router : routers) {
    std::vector<double> gaps = findGaps(router, *expected);
    if (gaps.size() != chosen.size())
      continue;
    for (auto [token, gap] : llvm::enumerate(gaps))
      if (gap < minGap)
        undecided.insert(token);
  }

  Tolerance tolerance = chooseTolerance(function);
  bool isGood = true;
  for (auto [i, result] : llvm::enumerate(results)) {
    const ArgumentDesc &value = desc.results[i];
    bool isRows =
        !value.shape.empty() && value.shape[0].name == tokenSize && tokens;
    int64_t rows = isRows ? static_cast<int64_t>(chosen.size()) : 1;
    int64_t width =
        isRows ? result.numElements() / tokens : result.numElements();
    if ((*expected)[i].numElements() != rows * width)
      return fail("result '" + value.name + "' of the model is " +
                  (*expected)[i].describe() + ", of the artifact " +
                  result.describe());
    Comparison worst;
    int64_t skipped = 0;
    for (int64_t row = 0; row < rows; ++row) {
      if (isRows && undecided.contains(row)) {
        ++skipped;
        continue;
      }
      Comparison found = compareRow(result, isRows ? chosen[row] : 0,
                                    (*expected)[i], row, width);
      if (found.error > worst.error)
        worst = found;
    }
    bool isResultGood = worst.error <= tolerance.value;
    isGood &= isResultGood;
    llvm::outs() << "verify " << value.name << ": " << rows - skipped
                 << (isRows ? " tokens" : " value") << ", largest error "
                 << llvm::format("%.3g", worst.error) << ", tolerance "
                 << llvm::format("%.3g", tolerance.value) << " ("
                 << tolerance.reason << ")";
    if (skipped)
      llvm::outs() << ", " << skipped << " tokens between two experts left out";
    llvm::outs() << (isResultGood ? ": PASS" : ": FAIL");
    if (!isResultGood)
      llvm::outs() << " at [" << worst.row << ", " << worst.column
                   << "]: " << llvm::format("%.9g", worst.got) << " instead of "
                   << llvm::format("%.9g", worst.expected);
    llvm::outs() << "\n";
  }
  return success(isGood);
}
