//===- ConvertMoeToMoek.cpp - One kernel per moe op -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Converts `moe` to `moek` without any fusion: what comes out is correct, and
// the fusion passes only ever merge neighbours. A value of type !moe.routing
// becomes seven tensors (1:N conversion), so routings may also cross calls and
// structured control flow.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"
#include "ExpertBody.h"
#include "Patterns.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/RegionUtils.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOETOMOEK
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "convert-moe-to-moek";

void moe::populateMoeToMoekPatterns(const TypeConverter &converter,
                                    RewritePatternSet &patterns) {
  populateRoutingPatterns(converter, patterns);
  populateRowPatterns(converter, patterns);
  populateExpertPatterns(converter, patterns);
  populateBatchRouterPatterns(converter, patterns);
  populateSinkhornPatterns(converter, patterns);
  populateReweighPatterns(converter, patterns);
}

namespace {
struct ConvertMoeToMoek : moe::impl::ConvertMoeToMoekBase<ConvertMoeToMoek> {
  void runOnOperation() override {
    Operation *root = getOperation();
    narrowScores(root);
    if (failed(decomposeInBodies(root)) || failed(checkOnlyKernels(root)))
      return signalPassFailure();

    MLIRContext *ctx = &getContext();
    TypeConverter converter;
    converter.addConversion([](Type type) { return type; });
    populateRoutingTypeConversion(converter);
    ConversionTarget target(*ctx);
    RewritePatternSet patterns(ctx);
    populateMoeToMoekPatterns(converter, patterns);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns,
                                                                   converter);
    populateCallOpTypeConversionPattern(patterns, converter);
    populateReturnOpTypeConversionPattern(patterns, converter);
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns,
                                                         target);
    target.addIllegalDialect<MoeDialect>();
    // A name for how weights are stored, which goes when they are packed.
    target.addLegalOp<DequantizeOp>();
    target.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp op) {
      return converter.isSignatureLegal(op.getFunctionType());
    });
    target.addDynamicallyLegalOp<func::CallOp, func::ReturnOp>(
        [&](Operation *op) { return converter.isLegal(op); });
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    if (failed(applyPartialConversion(root, target, std::move(patterns))))
      return signalPassFailure();

    // Routers whose routing was extended are still there in their first form.
    SmallVector<Operation *> dead;
    root->walk([&](moek::RouteOp op) {
      if (op->getNumResults() != 0 && op->use_empty())
        dead.push_back(op);
    });
    for (Operation *op : dead)
      op->erase();

    // Kernels are isolated: constants of a router's region move along.
    OpBuilder b(ctx);
    WalkResult result = root->walk([&](moek::RouteOp op) {
      sinkConstants(b, op.getWeigh());
      SetVector<Value> captured;
      getUsedValuesDefinedAbove(op.getWeigh(), captured);
      if (captured.empty())
        return WalkResult::advance();
      op.emitError("the region that computes weights uses a value from outside "
                   "of it that is not a constant; only constants and its "
                   "argument can be used there");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  /// Whether `op` calls a C function that ends the call of the layer if it fails.
  static bool endsCall(Operation *op) {
    auto call = dyn_cast<func::CallOp>(op);
    return call && getExternal(SymbolTable::lookupNearestSymbolFrom(
                                   call, call.getCalleeAttr()))
                           .getOnFailure() == OnFailure::End;
  }

  /// What has to be a kernel, and is not.
  static LogicalResult checkOnlyKernels(Operation *root) {
    WalkResult result = root->walk([](Operation *op) {
      if (!isOnlyKernel(op))
        return WalkResult::advance();
      auto expert = dyn_cast<ExpertOp>(op->getParentOp());
      std::string why = "it is not in the body of a moe.expert";
      if (expert) {
        unsigned group = op->getParentRegion()->getRegionNumber();
        why = "";
        if (endsCall(op))
          if (Operation *obstacle =
                  moert::CheckOp::findObstacle(expert->getBlock()))
            why = "it may end the call, which cannot be done in '" +
                  obstacle->getName().getStringRef().str() + "'";
        if (why.empty() &&
            succeeded(ExpertBody::get(*op->getBlock(),
                                      expert.getWeightCounts()[group], why)))
          return WalkResult::advance();
      }
      op->emitOpError() << "has no kernels: " << why;
      return WalkResult::interrupt();
    });
    return failure(result.wasInterrupted());
  }

  /// Whether `op` is arithmetic on tensors.
  static bool isElementwise(Operation *op) {
    return OpTrait::hasElementwiseMappableTraits(op) &&
           op->getNumOperands() &&
           llvm::all_of(op->getOperandTypes(),
                        llvm::IsaPred<RankedTensorType>) &&
           llvm::all_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
  }

  /// Writes softmax in the bodies of experts as what it does to each row, and
  /// arithmetic on tensors as what it does to each element.
  static LogicalResult decomposeInBodies(Operation *root) {
    SmallVector<linalg::SoftmaxOp> ops;
    SmallVector<Operation *> elementwise;
    root->walk([&](ExpertOp expert) {
      expert->walk([&](Operation *op) {
        if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
          ops.push_back(softmax);
        else if (isElementwise(op))
          elementwise.push_back(op);
      });
    });
    RewritePatternSet patterns(root->getContext());
    linalg::populateElementwiseToLinalgConversionPatterns(patterns);
    ConversionTarget target(*root->getContext());
    target.markUnknownOpDynamicallyLegal(
        [](Operation *op) { return !isElementwise(op); });
    if (failed(applyPartialConversion(elementwise, target,
                                      std::move(patterns))))
      return failure();
    for (linalg::SoftmaxOp op : ops) {
      // Of other elements it is an error, which is reported with all others.
      if (!isa<FloatType>(getElementTypeOrSelf(op.getInput().getType())))
        continue;
      OpBuilder b(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(b);
      if (failed(values))
        return failure();
      op->replaceAllUsesWith(*values);
      op.erase();
    }
    return success();
  }

  /// Gives and takes f32, and computes in f64 as before.
  static void narrowWeights(OpBuilder &b, Block &body) {
    BlockArgument values = body.getArgument(0);
    Operation *yield = body.getTerminator();
    Type wide = values.getType();
    Type narrow = cast<VectorType>(wide).clone(b.getF32Type());
    values.setType(narrow);
    b.setInsertionPointToStart(&body);
    auto extended = arith::ExtFOp::create(b, values.getLoc(), wide, values);
    values.replaceAllUsesExcept(extended, extended);
    b.setInsertionPoint(yield);
    yield->setOperand(0, arith::TruncFOp::create(b, yield->getLoc(), narrow,
                                                 yield->getOperand(0)));
  }

  /// Routers compute in f32; what is in a routing has no other type.
  static void narrowScores(Operation *root) {
    root->walk([](Operation *op) {
      if (!isa_and_nonnull<MoeDialect>(op->getDialect()) ||
          op->getNumResults() != 1 ||
          !isa<RoutingType>(op->getResult(0).getType()))
        return;
      OpBuilder b(op);
      bool some = false;
      for (OpOperand &operand : op->getOpOperands()) {
        auto type = dyn_cast<RankedTensorType>(operand.get().getType());
        if (!type || !type.getElementType().isF64())
          continue;
        operand.set(
            convertElements(b, op->getLoc(), operand.get(), b.getF32Type()));
        some = true;
      }
      if (auto router = dyn_cast<RouterOp>(op);
          some && router && !router.getWeightsRegion().empty())
        narrowWeights(b, router.getWeightsRegion().front());
      if (some)
        remarkMissed(op, kPassName)
            << "operands of f64 are rounded to f32, in which kernels select "
               "and weigh";
    });
  }
};
} // namespace
