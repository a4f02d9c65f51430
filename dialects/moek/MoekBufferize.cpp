//===- MoekBufferize.cpp - Bufferization of the kernel-level ops -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every op is in destination style, so its buffers are those of its operands;
// only the rebuilding on memrefs is ours.
//
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dialect.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace moek;

/// A buffer of its own, of the size that `like` has.
static Value allocateLike(OpBuilder &builder, Operation *op, Value like) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  auto type = cast<MemRefType>(like.getType());
  SmallVector<Value> sizes;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (type.isDynamicDim(dim))
      sizes.push_back(
          memref::DimOp::create(builder, op->getLoc(), like, dim).getResult());
  return memref::AllocOp::create(
      builder, op->getLoc(),
      MemRefType::get(type.getShape(), type.getElementType()), sizes,
      builder.getI64IntegerAttr(64));
}

/// Kernels read and write vectors of what is side by side in a row.
static bool hasContiguousRows(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return type.getRank() == 0 || type.getDimSize(type.getRank() - 1) == 1 ||
         type.isLastDimUnitStride();
}

/// C functions are told of no strides.
static bool hasIdentityLayout(Value buffer) {
  return cast<MemRefType>(buffer.getType()).getLayout().isIdentity();
}

namespace {
template <typename OpTy>
struct DstModel : public DstBufferizableOpInterfaceExternalModel<DstModel<OpTy>,
                                                                 OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    // A kernel of some of the experts leaves the rows of the others as they
    // are, a sum of some of the rows goes on; all else is written whole
    // (unwritten rows are undefined).
    auto combine = dyn_cast<CombineOp>(op);
    return cast<DestinationStyleOpInterface>(op).isDpsInput(&operand) ||
           ((isa<GroupedMatmulOp, RowMapOp, ExternalCallOp>(op) ||
             (combine && combine.getFirstRow())) &&
            !operand.get().getDefiningOp<tensor::EmptyOp>());
  }

  // The kernels read inputs (the gathered x, the routing) after they have
  // begun to write their outputs.
  bool bufferizesToElementwiseAccess(Operation *, const AnalysisState &,
                                     ArrayRef<OpOperand *>) const {
    return false;
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dst = cast<DestinationStyleOpInterface>(op);
    if (!dst.hasPureTensorSemantics())
      return op->emitOpError("mixes tensors and memrefs");
    SmallVector<Value> operands, inits;
    SmallVector<std::pair<Value, Value>> copiesBack;
    llvm::SmallPtrSet<Value, 8> initTensors;
    for (OpOperand &operand : op->getOpOperands()) {
      Value v = operand.get();
      if (isa<TensorType>(v.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, v, options, state);
        if (failed(buffer))
          return failure();
        v = *buffer;
      }
      if (dst.isDpsInit(&operand)) {
        // Results that nobody reads may have been given one buffer, but the
        // trace of a routing reads them all.
        if (!initTensors.insert(operand.get()).second)
          v = allocateLike(rewriter, op, v);
        inits.push_back(v);
      }
      if (isa<MemRefType>(v.getType()) &&
          (isa<ExternalCallOp>(op) ? !hasIdentityLayout(v)
                                   : !hasContiguousRows(v))) {
        Value own = allocateLike(rewriter, op, v);
        rewriter.setInsertionPoint(op);
        if (dst.isDpsInit(&operand))
          copiesBack.emplace_back(own, v);
        else
          memref::CopyOp::create(rewriter, op->getLoc(), v, own);
        v = own;
      }
      operands.push_back(v);
    }
    rewriter.setInsertionPoint(op);
    OperationState newState(op->getLoc(), op->getName(), operands,
                            TypeRange(), op->getAttrs());
    newState.propertiesAttr = op->getPropertiesAsAttribute();
    for (unsigned i = 0; i < op->getNumRegions(); ++i)
      newState.addRegion();
    Operation *created = rewriter.create(newState);
    for (auto [from, to] : llvm::zip(op->getRegions(), created->getRegions()))
      rewriter.inlineRegionBefore(from, to, to.begin());
    for (auto [own, init] : copiesBack)
      memref::CopyOp::create(rewriter, op->getLoc(), own, init);
    replaceOpWithBufferizedValues(rewriter, op, inits);
    return success();
  }
};
} // namespace

namespace {
/// Reads a buffer and yields a bit.
struct VerifyRoutingModel
    : public BufferizableOpInterface::ExternalModel<VerifyRoutingModel,
                                                    VerifyRoutingOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto verify = cast<VerifyRoutingOp>(op);
    FailureOr<Value> buffer =
        getBuffer(rewriter, verify.getIndices(), options, state);
    if (failed(buffer))
      return failure();
    rewriter.replaceOpWithNewOp<VerifyRoutingOp>(op, rewriter.getI1Type(),
                                                 *buffer, verify.getExperts());
    return success();
  }
};
} // namespace

void moek::registerBufferizableModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, MoekDialect *) {
    RouteOp::attachInterface<DstModel<RouteOp>>(*context);
    IndexOp::attachInterface<DstModel<IndexOp>>(*context);
    WindowOp::attachInterface<DstModel<WindowOp>>(*context);
    LimitOp::attachInterface<DstModel<LimitOp>>(*context);
    SinkhornOp::attachInterface<DstModel<SinkhornOp>>(*context);
    ExpertChoiceOp::attachInterface<DstModel<ExpertChoiceOp>>(*context);
    GroupedMatmulOp::attachInterface<DstModel<GroupedMatmulOp>>(*context);
    GatherOp::attachInterface<DstModel<GatherOp>>(*context);
    RowMapOp::attachInterface<DstModel<RowMapOp>>(*context);
    CombineOp::attachInterface<DstModel<CombineOp>>(*context);
    ExternalCallOp::attachInterface<DstModel<ExternalCallOp>>(*context);
    VerifyRoutingOp::attachInterface<VerifyRoutingModel>(*context);
  });
}
