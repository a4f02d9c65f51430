//===- SkipZeroActivations.cpp - Products of zeros --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The decision alone: whether a product may leave out what meets zeros is an
// attribute of it, and how that is done a target's matter.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Sparsity/Passes.h"

#include "moe-mlir/Analysis/ExactZeros.h"
#include "moe-mlir/Analysis/RowProduct.h"
#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Artifact/Profile.h"
#include "moe/SkipZeros.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/Format.h"

namespace moe {
#define GEN_PASS_DEF_SKIPZEROACTIVATIONS
#include "moe-mlir/Sparsity/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {

/// A product whose rows the same body makes.
struct Product {
  Operation *op;
  Value weight;
  bool hasZeros;
};

} // namespace

static std::optional<Product> matchProduct(Operation *op) {
  if (auto ffn = dyn_cast<FFNOp>(op))
    return Product{op, ffn.getDown(), makesZeros(ffn)};
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !op->getParentOfType<ExpertOp>())
    return std::nullopt;
  std::optional<RowProduct> product = RowProduct::match(linalgOp);
  if (!product)
    return std::nullopt;
  // Of the rows of tokens nothing is known.
  Value rows = op->getOperand(product->rows);
  if (isa<BlockArgument>(rows))
    return std::nullopt;
  return Product{op, op->getOperand(product->matrix), makesZeros(rows)};
}

/// `weight` as the layer has it, if it is an argument of an expert's body.
static Value getOfLayer(Value weight) {
  auto argument = dyn_cast<BlockArgument>(weight);
  auto expert =
      argument ? dyn_cast_or_null<ExpertOp>(argument.getOwner()->getParentOp())
               : ExpertOp();
  if (!expert)
    return weight;
  unsigned group = argument.getOwner()->getParent()->getRegionNumber();
  return expert.getGroupWeights(group)[argument.getArgNumber() - 1];
}

namespace {
struct SkipZeroActivations
    : moe::impl::SkipZeroActivationsBase<SkipZeroActivations> {
  using SkipZeroActivationsBase::SkipZeroActivationsBase;

  void runOnOperation() override;

private:
  std::optional<double> findDensity(const Product &product,
                                    const Profile &seen) const;
  std::string whyNot(const Product &product, const Profile *seen) const;
};
} // namespace

/// The share of values other than 0 that the weight of `product` was multiplied
/// with; nothing if `seen` does not tell.
std::optional<double>
SkipZeroActivations::findDensity(const Product &product,
                                 const Profile &seen) const {
  std::string why;
  FailureOr<WeightUse> use = WeightUse::get(getOfLayer(product.weight), why);
  auto function = product.op->getParentOfType<FunctionOpInterface>();
  if (failed(use) || !function)
    return std::nullopt;
  double values = 0, nonzero = 0;
  for (const Profile::Function &known : seen.functions) {
    if (known.name != function.getName())
      continue;
    for (const WeightPiece &piece : use->pieces)
      for (const Profile::Weight &weight : known.weights) {
        if (weight.name != nameWeight(piece.root))
          continue;
        for (const ActivationStatistics &expert : weight.experts) {
          if (!expert.nonzero)
            return std::nullopt;
          values += double(expert.rows) * weight.columns;
          nonzero += *expert.nonzero;
        }
      }
  }
  return values > 0 ? std::optional(nonzero / values) : std::nullopt;
}

/// Why zeros are multiplied; empty if they are not.
std::string SkipZeroActivations::whyNot(const Product &product,
                                        const Profile *seen) const {
  if (!product.hasZeros)
    return "nothing that its rows are computed by makes exact zeros, as a "
           "maximum with 0 does";
  if (!finiteWeights)
    return "a weight that is an infinity or NaN would make its product with 0 "
           "NaN; finite-weights=true says that there is none";
  if (!seen)
    return {};
  std::optional<double> density = findDensity(product, *seen);
  if (!density)
    return "the profile does not tell how many values its weight met are 0";
  if (*density <= maxDensity)
    return {};
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::format("%.3g %% of the values in the profile are not 0, and "
                      "max-density is %.3g %%",
                      100 * *density, 100 * maxDensity);
  return text;
}

void SkipZeroActivations::runOnOperation() {
  Operation *root = getOperation();
  auto fail = [&](const Twine &message) {
    root->emitError() << getArgument() << ": " << message;
    signalPassFailure();
  };
  if (!(maxDensity > 0.0 && maxDensity <= 1.0))
    return fail("max-density has to be a share of values, above 0 and at most "
                "1");
  Profile seen;
  std::string error;
  if (!profile.empty() && !readProfile(profile, seen, error))
    return fail(error);
  SmallVector<Product> products;
  root->walk([&](Operation *op) {
    if (std::optional<Product> product = matchProduct(op))
      products.push_back(*product);
  });
  auto opts = [](StringRef name) {
    return remark::RemarkOpts::name(name).category("moe-skip-zero-activations");
  };
  for (const Product &product : products) {
    if (product.op->hasAttr(kSkipZerosAttrName))
      continue;
    std::string why = whyNot(product, profile.empty() ? nullptr : &seen);
    if (!why.empty()) {
      remark::missed(product.op->getLoc(), opts("not-skipped"))
          << ("all weights of this product are read: " + why);
      continue;
    }
    product.op->setAttr(
        kSkipZerosAttrName,
        FloatAttr::get(Float64Type::get(&getContext()), maxDensity));
    remark::passed(product.op->getLoc(), opts("skips"))
        << "weights that meet zeros alone need not be read";
  }
}
