//===- ConvertMoekToNVVM.cpp - Kernels and their launches -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "Kernels/Emitter.h"
#include "Kernels/Kernels.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"

#include <limits>

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTONVVM
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::nvidia;

static constexpr StringLiteral kKernels = "kernels";
/// Blocks up to which a kernel is set up while the ones before it end: that
/// takes a few microseconds off a call of few tokens, and costs more with many.
static constexpr int64_t kFewBlocks = 512;

namespace {
class Converter {
public:
  Converter(ModuleOp module) : module(module) {
    OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
    kernels = ModuleOp::create(b, module.getLoc(), kKernels);
    auto chip = dyn_cast_or_null<moenvidia::TargetAttr>(
        Attribute(moek::getTarget(module)));
    overlaps = chip && chip.getWgmma();
    if (overlaps)
      kernels->setAttr(kOverlapsAttr, b.getUnitAttr());
  }

  /// Fails with an error where `op` would need memory that is on the device.
  LogicalResult convert(Operation *op) {
    if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op))
      return convertMatmul(matmul);
    if (auto index = dyn_cast<moek::IndexOp>(op))
      return convertIndex(index);
    if (auto route = dyn_cast<moek::RouteOp>(op))
      return convertRoute(route);
    if (auto combine = dyn_cast<moek::CombineOp>(op))
      return convertCombine(combine);
    if (auto verify = dyn_cast<moek::VerifyRoutingOp>(op)) {
      // The host cannot see it. An expert out of range counts as none, and one
      // that is there twice gets its token twice.
      OpBuilder b(op);
      op->getResult(0).replaceAllUsesWith(
          arith::ConstantIntOp::create(b, op->getLoc(), 1, 1));
      op->erase();
      return success();
    }
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return convertElementwise(generic);
    if (isa<moert::MoeRtDialect, arith::ArithDialect, scf::SCFDialect>(
            op->getDialect()) ||
        isa<memref::AllocOp, memref::DimOp, memref::CastOp, func::ReturnOp>(op))
      return success();
    return op->emitOpError("has no kernel for NVIDIA's GPUs yet");
  }

private:
  Type getElement(Value value) { return getElementTypeOrSelf(value.getType()); }

  std::string getName(Operation *op, StringRef what) {
    auto func = op->getParentOfType<func::FuncOp>();
    std::string name = (func.getName() + "_" + what).str(), unique = name;
    for (int i = 1; kernels.lookupSymbol(unique); ++i)
      unique = name + "_" + std::to_string(i);
    return unique;
  }

  void launch(ImplicitLocOpBuilder &b, StringRef kernel, Value blocks,
              std::optional<int64_t> each, int64_t threads, int64_t shared,
              ValueRange arguments, ArrayRef<int64_t> boxes,
              int64_t mostOverlapping = kFewBlocks) {
    moert::LaunchOp::create(
        b, FlatSymbolRefAttr::get(b.getContext(), kKernels),
        b.getStringAttr(kernel), blocks,
        each ? b.getI64IntegerAttr(*each) : IntegerAttr(),
        b.getI64IntegerAttr(threads), b.getI64IntegerAttr(shared),
        overlaps && mostOverlapping ? b.getI64IntegerAttr(mostOverlapping)
                                    : IntegerAttr(),
        arguments, b.getDenseI64ArrayAttr(boxes));
  }

  Value constant(ImplicitLocOpBuilder &b, int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }

  /// Blocks for `elements`, so many each.
  Value divide(ImplicitLocOpBuilder &b, Value elements, int64_t each) {
    return arith::CeilDivUIOp::create(b, elements, constant(b, each));
  }

  LogicalResult convertMatmul(moek::GroupedMatmulOp op) {
    auto schedule = moenvidia::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of one of NVIDIA's GPUs");
    ImplicitLocOpBuilder b(op.getLoc(), op);
    MatmulShape shape{op.getNumExperts(),   int64_t(op.getN()),
                      int64_t(op.getK()),   int64_t(op.getParts()),
                      bool(op.getGather()), getElement(op.getOutputs()[0])};
    for (Value parameter : op.getParameters())
      shape.parameters.push_back(
          {getElement(parameter),
           cast<MemRefType>(parameter.getType()).getRank() == 2});
    if (!shape.out.isBF16())
      return op.emitOpError("writes ") << shape.out << ", and kernels bf16";
    StringRef phase = op.getPhase().value_or("matmul");
    Value rows = memref::DimOp::create(b, op.getOutputs()[0], 0);
    auto build = [&](bool few) {
      Launch how;
      std::string name = getName(op, (phase + (few ? "_few" : "")).str());
      (few ? buildWarpMatmul : buildWarpgroupMatmul)(kernels, name, shape,
                                                     op.getEpilogue(), how);
      // No more tiles than rows, nor than full ones and one of each expert.
      Value tiles = arith::MinUIOp::create(
          b, rows,
          arith::AddIOp::create(b, divide(b, rows, how.rows),
                                constant(b, shape.experts)));
      int64_t columns = (shape.n + how.columns - 1) / how.columns;
      Value blocks = arith::MulIOp::create(b, tiles, constant(b, columns));
      SmallVector<Value> arguments{op.getRhs(), op.getLhs()};
      SmallVector<int64_t> boxes(how.boxes.begin(), how.boxes.end());
      if (shape.gather)
        arguments.push_back(op.getGather());
      arguments.push_back(op.getOffsets());
      llvm::append_range(arguments, op.getParameters());
      arguments.push_back(op.getOutputs()[0]);
      boxes.resize(arguments.size(), 0);
      launch(b, name, blocks, how.each, how.threads, how.shared, arguments,
             boxes, few ? std::numeric_limits<int32_t>::max() : 0);
    };
    if (schedule.getFew() > 0) {
      Value isFew = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, rows,
                                          constant(b, schedule.getFew()));
      auto branch = scf::IfOp::create(b, isFew, /*withElseRegion=*/true);
      b.setInsertionPointToStart(branch.thenBlock());
      build(true);
      b.setInsertionPointToStart(branch.elseBlock());
      build(false);
    } else {
      build(schedule.getFew() < 0);
    }
    op.erase();
    return success();
  }

  LogicalResult convertIndex(moek::IndexOp op) {
    ImplicitLocOpBuilder b(op.getLoc(), op);
    if (failed(launchIndex(b, op, op.getRouting(), op.getExperts())))
      return failure();
    op.erase();
    return success();
  }

  /// Makes the lists of a routing from its indices.
  LogicalResult launchIndex(ImplicitLocOpBuilder &b, Operation *op,
                            const moek::RoutingParts &parts, int64_t experts) {
    // Kernels here know the active experts from the offsets, and slots' weights
    // from the routing.
    for (Value part : {parts.active, parts.rowWeights})
      for (Operation *user : part.getUsers())
        if (user != op && !isa<moek::GroupedMatmulOp, moert::LaunchOp>(user))
          return op->emitOpError("makes no list of active experts and no "
                                 "weights of rows on NVIDIA's GPUs, but '")
                 << user->getName() << "' reads one";
    auto indices = cast<MemRefType>(parts.indices.getType());
    std::string name = getName(op, "index");
    int64_t threads, shared;
    buildIndex(kernels, name, experts, indices.getDimSize(1), threads, shared);
    Value tokens = memref::DimOp::create(b, parts.indices, 0);
    launch(
        b, name, constant(b, experts), std::nullopt, threads, shared,
        {parts.indices, parts.offsets, parts.tokens, parts.positions, tokens},
        {0, 0, 0, 0, 0});
    return success();
  }

  LogicalResult convertRoute(moek::RouteOp op) {
    if (!op.getColumns().empty() || !op.getScalars().empty() ||
        !op.getPolicyOperands().empty() || op.getAlwaysWeights() ||
        op.getCapacity())
      return op.emitOpError("has no kernel for NVIDIA's GPUs yet: it wants no "
                            "columns or scalars, no operands of the policy, no "
                            "weights of experts that every token takes, and no "
                            "capacity");
    ImplicitLocOpBuilder b(op.getLoc(), op);
    moek::RoutingParts parts = op.getRouting();
    Value tokens = memref::DimOp::create(b, parts.indices, 0);
    int64_t experts = op.getExperts();
    SmallVector<Value> arguments;
    if (Value x = op.getX()) {
      int64_t depth = cast<MemRefType>(x.getType()).getDimSize(1);
      if (!getElement(x).isF32() || !getElement(op.getRouter()).isF32() || depth % 4)
        return op.emitOpError("has no kernel for NVIDIA's GPUs yet: it wants "
                              "tokens and router of f32 in rows of a multiple "
                              "of 4");
      Value logits = memref::AllocOp::create(
          b, MemRefType::get({ShapedType::kDynamic, experts}, b.getF32Type()),
          ValueRange{tokens}, b.getI64IntegerAttr(64));
      // Few tokens: a warp for two experts, so that all of the device reads the
      // router.
      auto build = [&](StringRef what, int64_t ofTokens, int64_t ofExperts) {
        std::string name = getName(op, what);
        int64_t threads;
        buildLogits(kernels, name, experts, depth, ofTokens, ofExperts,
                    threads);
        int64_t groups = (experts + ofExperts - 1) / ofExperts;
        Value warps = arith::MulIOp::create(b, divide(b, tokens, ofTokens),
                                            constant(b, groups));
        launch(b, name, divide(b, warps, threads / 32), std::nullopt, threads,
               0, {x, op.getRouter(), logits, tokens}, {0, 0, 0, 0});
      };
      Value isFew = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, tokens,
                                          constant(b, 64));
      auto branch = scf::IfOp::create(b, isFew, /*withElseRegion=*/true);
      b.setInsertionPointToStart(branch.thenBlock());
      build("logits_few", 1, 2);
      b.setInsertionPointToStart(branch.elseBlock());
      build("logits", 8, 8);
      b.setInsertionPoint(op);
      arguments.push_back(logits);
    }
    for (ValueRange values :
         {ValueRange(op.getRows()), ValueRange(op.getVectors()),
          ValueRange(op.getPerExpert())})
      for (Value value : values) {
        if (!getElement(value).isF32())
          return op.emitOpError("has no kernel for NVIDIA's GPUs yet: it wants "
                                "scores of f32");
        arguments.push_back(value);
      }
    std::string name = getName(op, "select");
    int64_t ofBlock, threads;
    if (failed(buildSelect(kernels, name, op, ofBlock, threads)))
      return failure();
    arguments.append({parts.indices, parts.weights, tokens});
    launch(b, name, divide(b, tokens, ofBlock), std::nullopt, threads, 0,
           arguments, SmallVector<int64_t>(arguments.size(), 0));
    if (failed(launchIndex(b, op, parts, op.getTotalExperts())))
      return failure();
    op.erase();
    return success();
  }

  LogicalResult convertCombine(moek::CombineOp op) {
    Value out = op.getOutputs()[0];
    auto type = cast<MemRefType>(out.getType());
    int64_t n = type.getDimSize(1);
    if (op.getInit() || op.getFirstRow() || !op.getSlotWeights() || n % 8 ||
        !getElement(op.getRows()).isBF16() ||
        !(type.getElementType().isF32() || type.getElementType().isBF16()))
      return op.emitOpError(
          "has no kernel for NVIDIA's GPUs yet: it wants rows "
          "of bf16, weights of slots, no initial values, no "
          "window, and rows of a multiple of 8");
    ImplicitLocOpBuilder b(op.getLoc(), op);
    std::string name = getName(op, "combine");
    int64_t threads;
    buildCombine(kernels, name,
                 cast<MemRefType>(op.getPositions().getType()).getDimSize(1), n,
                 type.getElementType(), threads);
    Value tokens = memref::DimOp::create(b, out, 0);
    Value chunks = arith::MulIOp::create(b, tokens, constant(b, n / 8));
    launch(b, name, divide(b, chunks, threads), 8, threads, 0,
           {op.getRows(), op.getPositions(), op.getSlotWeights(), out, tokens},
           {0, 0, 0, 0, 0});
    op.erase();
    return success();
  }

  LogicalResult convertElementwise(linalg::GenericOp op) {
    bool isPlain =
        op.getNumDpsInits() == 1 &&
        op.getNumLoops() == op.getNumParallelLoops() &&
        llvm::all_of(op.getIndexingMapsArray(),
                     [](AffineMap map) { return map.isIdentity(); }) &&
        llvm::all_of(op->getOperands(), [](Value v) {
          auto type = dyn_cast<MemRefType>(v.getType());
          return type && type.getLayout().isIdentity() && type.getRank() &&
                 !llvm::any_of(type.getShape().drop_front(),
                               ShapedType::isDynamic);
        });
    // Constants of the function around come along; indices do not.
    SetVector<Value> captured;
    getUsedValuesDefinedAbove(op.getRegion(), captured);
    for (Value value : captured) {
      Operation *constant = value.getDefiningOp();
      isPlain &= constant && matchPattern(constant, m_Constant());
    }
    for (Operation &inner : op.getRegion().front().without_terminator())
      isPlain &=
          isa<arith::ArithDialect, math::MathDialect>(inner.getDialect());
    if (!isPlain)
      return op.emitOpError("has no kernel for NVIDIA's GPUs yet: it is not of "
                            "one element at a time");
    OpBuilder front = OpBuilder::atBlockBegin(&op.getRegion().front());
    for (Value value : captured)
      replaceAllUsesInRegionWith(
          value, front.clone(*value.getDefiningOp())->getResult(0),
          op.getRegion());
    ImplicitLocOpBuilder b(op.getLoc(), op);
    Value out = op.getDpsInits()[0];
    auto type = cast<MemRefType>(out.getType());
    SmallVector<Type> types;
    for (Value input : op.getDpsInputs())
      types.push_back(getElement(input));
    std::string name = getName(op, "elementwise");
    int64_t threads;
    int64_t rowLength = 1;
    for (int64_t size : type.getShape().drop_front())
      rowLength *= size;
    buildElementwise(kernels, name, types, type.getElementType(), rowLength,
                     op.getRegion(), threads);
    Value rows = memref::DimOp::create(b, out, 0);
    Value elements =
        arith::MulIOp::create(b, rows, constant(b, rowLength));
    SmallVector<Value> arguments(op.getDpsInputs());
    arguments.append({out, rows});
    launch(b, name, divide(b, elements, threads), 8, threads, 0, arguments,
           SmallVector<int64_t>(arguments.size(), 0));
    op.erase();
    return success();
  }

  ModuleOp module, kernels;
  /// Whether kernels wait for those before by themselves.
  bool overlaps;
};

struct ConvertMoekToNVVM : moe::impl::ConvertMoekToNVVMBase<ConvertMoekToNVVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<Operation *> ops;
    for (auto func : module.getOps<func::FuncOp>())
      func.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
        ops.push_back(op);
        return isa<moek::MoekDialect, linalg::LinalgDialect>(op->getDialect())
                   ? WalkResult::skip()
                   : WalkResult::advance();
      });
    Converter converter(module);
    for (Operation *op : ops)
      if (failed(converter.convert(op)))
        return signalPassFailure();
  }
};
} // namespace
