//===- KernelConverter.cpp - Ops of moek become kernels ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"

#include "moe_gpu/MoeGpu.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace moe;
using gpu::kElementwiseBlocks;
using gpu::KernelConverter;

static constexpr StringLiteral kKernels = "kernels";
static Type getElement(Value value) {
  return getElementTypeOrSelf(value.getType());
}

KernelConverter::KernelConverter(ModuleOp module,
                                 const ConverterOptions &options)
    : module(module), options(options) {
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  std::string name = kKernels.str();
  for (int i = 1; module.lookupSymbol(name); ++i)
    name = (kKernels + "_" + Twine(i)).str();
  kernels = ModuleOp::create(b, module.getLoc(), name);
}

KernelConverter::~KernelConverter() = default;

/// Drops checks of what is on the device, which the host cannot make, and what
/// they read. Kernels keep to tables whatever they are given.
static void dropChecks(ModuleOp module) {
  SmallVector<moert::CheckOp> checks;
  module.walk([&](moert::CheckOp check) {
    Operation *made = check.getOk().getDefiningOp();
    if (made && made->getNumRegions() &&
        made->walk([](memref::LoadOp) { return WalkResult::interrupt(); })
            .wasInterrupted())
      checks.push_back(check);
  });
  for (moert::CheckOp check : checks) {
    Operation *made = check.getOk().getDefiningOp();
    check.erase();
    if (isOpTriviallyDead(made))
      made->erase();
  }
}

LogicalResult KernelConverter::convert() {
  dropChecks(module);
  SmallVector<Operation *> ops;
  for (auto func : module.getOps<func::FuncOp>()) {
    // What has no kernel for good is told before what has none yet.
    WalkResult calls = func.walk([&](moek::ExternalCallOp op) {
      op.emitOpError("calls a C function, and C functions are called from "
                     "CPUs, not from ")
          << options.device;
      return WalkResult::interrupt();
    });
    if (calls.wasInterrupted())
      return failure();
    func.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
      ops.push_back(op);
      auto loop = dyn_cast<scf::ForOp>(op);
      return isa<moek::MoekDialect, linalg::LinalgDialect>(op->getDialect()) ||
                     (loop && isRowLoop(loop))
                 ? WalkResult::skip()
                 : WalkResult::advance();
    });
  }
  SmallVector<Operation *> loads;
  for (Operation *op : ops) {
    // Kernels compute what they need of single elements by themselves.
    if (isa<memref::LoadOp>(op))
      loads.push_back(op);
    else if (failed(convert(op)))
      return failure();
  }
  for (Operation *load : loads)
    if (failed(eraseDead(load)))
      return failure();
  return success();
}

LogicalResult KernelConverter::eraseDead(Operation *op) {
  while (!op->use_empty()) {
    Operation *user = *op->getUsers().begin();
    if (!isa<arith::ArithDialect, math::MathDialect>(user->getDialect()))
      return refuse(op, "the host cannot read memory of the device");
    if (failed(eraseDead(user)))
      return failure();
  }
  op->erase();
  return success();
}

LogicalResult KernelConverter::refuse(Operation *op, const Twine &why) {
  return op->emitOpError("has no kernel for ")
         << options.device << " yet: " << why;
}

/// Whether rows follow one another, as kernels of `moek` read them.
static bool isDense(Value value) {
  auto type = dyn_cast<MemRefType>(value.getType());
  if (!type || type.getLayout().isIdentity())
    return true;
  SmallVector<int64_t> strides;
  int64_t offset, expected = 1;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  for (int64_t dim = type.getRank(); dim-- > 0;) {
    if (strides[dim] != expected)
      return false;
    if (dim && type.isDynamicDim(dim))
      return false;
    expected *= type.getDimSize(dim);
  }
  return true;
}

LogicalResult KernelConverter::convert(Operation *op) {
  if (isa<moek::MoekDialect, linalg::LinalgDialect>(op->getDialect()) &&
      llvm::any_of(op->getOperandTypes(), llvm::IsaPred<TensorType>))
    return refuse(op, "it is on tensors; bufferize it first");
  if (isa<moek::MoekDialect>(op->getDialect()) &&
      !llvm::all_of(op->getOperands(), isDense))
    return refuse(op, "it wants rows that follow one another in memory");
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op)) {
    // Pipelines need not have verified it, and what a kernel does not know
    // would be left out.
    if (moek::ScheduleAttrInterface schedule = matmul.getScheduleAttr();
        schedule && failed(schedule.verifySchedule(op)))
      return failure();
    auto getLength = [](Value rows) {
      return cast<MemRefType>(rows.getType()).getDimSize(1);
    };
    if (getLength(matmul.getLhs()) != int64_t(matmul.getK()) ||
        getLength(matmul.getOutputs()[0]) != int64_t(matmul.getN()))
      return refuse(op, "it wants rows without padding");
    return convertMatmul(matmul);
  }
  if (auto index = dyn_cast<moek::IndexOp>(op))
    return convertIndex(index);
  if (auto route = dyn_cast<moek::RouteOp>(op))
    return convertRoute(route);
  if (auto combine = dyn_cast<moek::CombineOp>(op))
    return convertCombine(combine);
  if (auto choice = dyn_cast<moek::ExpertChoiceOp>(op))
    return convertExpertChoice(choice);
  if (auto limit = dyn_cast<moek::LimitOp>(op))
    return convertLimit(limit);
  if (auto sinkhorn = dyn_cast<moek::SinkhornOp>(op))
    return convertSinkhorn(sinkhorn);
  if (auto map = dyn_cast<moek::RowMapOp>(op))
    return convertRowMap(map);
  if (auto verify = dyn_cast<moek::VerifyRoutingOp>(op)) {
    // The host cannot see it. An expert out of range counts as none, and one
    // that is there twice gets its token twice.
    OpBuilder b(op);
    op->getResult(0).replaceAllUsesWith(
        arith::ConstantIntOp::create(b, op->getLoc(), 1, 1));
    op->erase();
    return success();
  }
  if (auto ordinary = dyn_cast<linalg::LinalgOp>(op))
    return convertLinalg(ordinary);
  if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    Builder b(op->getLoc(), op);
    auto same = linalg::CopyOp::create(b, copy.getSource(), copy.getTarget());
    op->erase();
    return convertLinalg(same);
  }
  if (auto loop = dyn_cast<scf::ForOp>(op); loop && isRowLoop(loop))
    return convertRowLoop(loop);
  if (auto store = dyn_cast<memref::StoreOp>(op))
    return convertStore(store);
  if (isa<moert::MoeRtDialect, arith::ArithDialect, math::MathDialect,
          scf::SCFDialect>(op->getDialect()) ||
      isa<memref::AllocOp, memref::DimOp, memref::CastOp,
          memref::CollapseShapeOp, memref::ExpandShapeOp, memref::SubViewOp,
          func::ReturnOp>(op))
    return success();
  return op->emitOpError("has no kernel for ") << options.device << " yet";
}

std::string KernelConverter::getName(Operation *op, StringRef what) {
  auto func = op->getParentOfType<func::FuncOp>();
  std::string name = (func.getName() + "_" + what).str(), unique = name;
  for (int i = 1; kernels.lookupSymbol(unique); ++i)
    unique = name + "_" + std::to_string(i);
  return unique;
}

void KernelConverter::launch(Builder &b, LLVM::LLVMFuncOp kernel, Value blocks,
                             ValueRange arguments, int64_t each,
                             int64_t overlaps, ArrayRef<int64_t> boxes) {
  auto how = moegpu::getKernel(kernel);
  SmallVector<int64_t> all(boxes);
  all.resize(arguments.size(), 0);
  auto optional = [&](int64_t value) {
    return value ? b.getI64IntegerAttr(value) : IntegerAttr();
  };
  moert::LaunchOp::create(b, FlatSymbolRefAttr::get(kernels),
                          b.getStringAttr(kernel.getName()), blocks,
                          optional(each), b.getI64IntegerAttr(how.getThreads()),
                          b.getI64IntegerAttr(how.getShared()),
                          options.overlaps ? optional(overlaps) : IntegerAttr(),
                          arguments, b.getDenseI64ArrayAttr(all));
}

Value KernelConverter::constant(Builder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value KernelConverter::divide(Builder &b, Value elements, int64_t each) {
  return arith::CeilDivUIOp::create(b, elements, constant(b, each));
}

void KernelConverter::enter(Builder &b, Operation *op) {
  Value isDone = unless.lookup(op);
  if (!isDone)
    return;
  Value yes = arith::ConstantIntOp::create(b, 1, 1);
  auto branch = scf::IfOp::create(b, arith::XOrIOp::create(b, isDone, yes),
                                  /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
}

gpu::MatmulShape KernelConverter::getShape(moek::GroupedMatmulOp op) {
  MatmulShape shape{op.getNumExperts(),      int64_t(op.getN()),
                    int64_t(op.getK()),      int64_t(op.getParts()),
                    bool(op.getGather()),    getElement(op.getLhs()),
                    getElement(op.getRhs()), getElement(op.getOutputs()[0])};
  auto add = [](ValueRange values, auto &parameters) {
    for (Value value : values)
      parameters.push_back({getElement(value),
                            cast<MemRefType>(value.getType()).getRank() == 2});
  };
  add(op.getParameters(), shape.parameters);
  add(op.getGathered(), shape.ofRows);
  add(op.getRows(), shape.ofRows);
  shape.gathered = op.getGathered().size();
  shape.weighs = bool(op.getGatherWeights());
  shape.blocks = moegpu::getBlocks(op);
  return shape;
}

void KernelConverter::launchMatmul(moek::GroupedMatmulOp op, int64_t few,
                                   MatmulBuilder build, RowQuantizer quantize) {
  Builder b(op.getLoc(), op);
  enter(b, op);
  MatmulShape shape = getShape(op);
  StringRef phase = op.getPhase().value_or("matmul");
  Value rows = memref::DimOp::create(b, op.getOutputs()[0], 0);
  auto launchOne = [&](bool few) {
    Launch how;
    QuantizedRows quantized;
    MatmulShape own = shape;
    if (quantize && !few) {
      quantized = quantize(b);
      own.rows = getElement(quantized.values);
      own.scales = true;
    }
    LLVM::LLVMFuncOp kernel =
        build(getName(op, (phase + (few ? "_few" : "")).str()), few, own, how);
    // No more tiles than rows, nor than full ones and one of each expert.
    Value tiles = arith::MinUIOp::create(
        b, rows,
        arith::AddIOp::create(b, divide(b, rows, how.rows),
                              constant(b, shape.experts)));
    int64_t columns = (shape.n + how.columns - 1) / how.columns;
    Value blocks = arith::MulIOp::create(b, tiles, constant(b, columns));
    SmallVector<Value> arguments{op.getRhs(),
                                 own.scales ? quantized.values : op.getLhs()};
    for (Value value :
         {quantized.scales, op.getGather(), op.getGatherWeights(),
          shape.gathered ? op.getTokens() : Value(), op.getOffsets()})
      if (value)
        arguments.push_back(value);
    for (ValueRange values :
         {ValueRange(op.getGathered()), ValueRange(op.getRows()),
          ValueRange(op.getParameters())})
      llvm::append_range(arguments, values);
    arguments.push_back(op.getOutputs()[0]);
    launch(b, kernel, blocks, arguments, how.each,
           few ? std::numeric_limits<int32_t>::max() : 0, how.boxes);
  };
  if (few > 0) {
    Value isFew = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, rows,
                                        constant(b, few));
    auto branch = scf::IfOp::create(b, isFew, /*withElseRegion=*/true);
    b.setInsertionPointToStart(branch.thenBlock());
    launchOne(true);
    b.setInsertionPointToStart(branch.elseBlock());
    launchOne(false);
  } else {
    launchOne(few < 0);
  }
  op.erase();
}

LogicalResult KernelConverter::convertIndex(moek::IndexOp op) {
  Builder b(op.getLoc(), op);
  if (failed(launchIndex(b, op, op.getRouting(), op.getExperts())))
    return failure();
  op.erase();
  return success();
}

LogicalResult KernelConverter::launchIndex(Builder &b, Operation *op,
                                           const moek::RoutingParts &parts,
                                           int64_t experts) {
  // Kernels here know the active experts from the offsets.
  for (Operation *user : parts.active.getUsers())
    if (!isa<moek::GroupedMatmulOp, moek::IndexOp, moek::RouteOp,
             moert::LaunchOp>(user))
      return op->emitOpError("makes no list of active experts on ")
             << options.device << ", but '" << user->getName() << "' reads one";
  auto indices = cast<MemRefType>(parts.indices.getType());
  if (experts > UINT16_MAX)
    return refuse(op, "it has more than 65535 experts");
  bool weighs = parts.rowWeights && !parts.rowWeights.hasOneUse();
  LLVM::LLVMFuncOp kernel =
      buildIndex(kernels, getName(op, "index"), experts, indices.getDimSize(1),
                 options.indexTeams, weighs);
  OpBuilder::InsertionGuard guard(b);
  enter(b, op);
  SmallVector<Value> arguments{parts.indices, parts.offsets, parts.tokens,
                               parts.positions};
  if (weighs)
    arguments.append({parts.weights, parts.rowWeights});
  arguments.push_back(memref::DimOp::create(b, parts.indices, 0));
  launch(b, kernel, constant(b, experts), arguments, 0, options.overlaps);
  return success();
}

LogicalResult KernelConverter::convertRoute(moek::RouteOp op) {
  bool shares = canSelect(op);
  if (!shares && !canRouteInLanes(op))
    return refuse(op,
                  "its policy has a form neither for the lanes of a team nor "
                  "for a thread");
  Builder b(op.getLoc(), op);
  moek::RoutingParts parts = op.getRouting();
  Value tokens = memref::DimOp::create(b, parts.indices, 0);
  int64_t experts = op.getExperts();
  SmallVector<Value> arguments;
  if (Value x = op.getX()) {
    int64_t depth = cast<MemRefType>(x.getType()).getDimSize(1);
    if (!getElement(x).isF32() || !getElement(op.getRouter()).isF32())
      return refuse(op, "it wants tokens and router of f32");
    Value logits = memref::AllocOp::create(
        b, MemRefType::get({ShapedType::kDynamic, experts}, b.getF32Type()),
        ValueRange{tokens}, b.getI64IntegerAttr(64));
    // Few tokens: a block for two experts, so that all of the device reads the
    // router.
    auto build = [&](StringRef what, int64_t ofTokens, int64_t ofExperts,
                     int64_t ofBlock) {
      LLVM::LLVMFuncOp kernel =
          buildLogits(kernels, getName(op, what), experts, depth, ofTokens,
                      ofExperts, ofBlock);
      int64_t groups = (experts + ofExperts - 1) / ofExperts;
      Value teams = arith::MulIOp::create(b, divide(b, tokens, ofTokens),
                                          constant(b, groups));
      launch(b, kernel, divide(b, teams, ofBlock),
             {x, op.getRouter(), logits, tokens}, 0, options.overlaps);
    };
    Value isFew = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, tokens,
                                        constant(b, 64));
    auto branch = scf::IfOp::create(b, isFew, /*withElseRegion=*/true);
    b.setInsertionPointToStart(branch.thenBlock());
    build("logits_few", 1, 2, 1);
    b.setInsertionPointToStart(branch.elseBlock());
    build("logits", options.logitTile, options.logitTile, options.logitTeams);
    b.setInsertionPoint(op);
    arguments.push_back(logits);
  }
  Value logits = arguments.empty() ? Value() : arguments.front();
  for (Value value : op->getOperands())
    if (auto type = dyn_cast<MemRefType>(value.getType());
        type && !type.getElementType().isF32() &&
        !type.getElementType().isInteger(32))
      return refuse(op, "it wants scores of f32");
  FailureOr<LLVM::LLVMFuncOp> kernel = failure();
  std::string name = getName(op, "select");
  if (shares) {
    for (ValueRange values :
         {ValueRange(op.getRows()), ValueRange(op.getVectors()),
          ValueRange(op.getPerExpert())})
      llvm::append_range(arguments, values);
    kernel = buildSelect(kernels, name, op, options.selectTeams);
    arguments.append({parts.indices, parts.weights});
  } else {
    arguments.clear();
    kernel = buildRouteLanes(kernels, name, op, logits, arguments);
  }
  if (failed(kernel))
    return failure();
  arguments.push_back(tokens);
  int64_t ofBlock =
      shares ? options.selectTeams : moegpu::getKernel(*kernel).getThreads();
  launch(b, *kernel, divide(b, tokens, ofBlock), arguments, 0,
         options.overlaps);
  if (op.getCapacity()) {
    int64_t most = std::min<int64_t>(*op.getCapacity(), INT32_MAX);
    LLVM::LLVMFuncOp drop =
        buildCapacity(kernels, getName(op, "capacity"), op.getSelectedSlots(),
                      op.getTotalSlots(), most);
    launch(b, drop, constant(b, op.getTotalExperts()),
           {parts.indices, parts.weights, tokens}, 0, options.overlaps);
  }
  if (failed(launchIndex(b, op, parts, op.getTotalExperts())))
    return failure();
  op.erase();
  return success();
}

/// Whether a kernel reads and writes it.
static bool isFloat(Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

gpu::CombineShape KernelConverter::getShape(moek::CombineOp op) {
  auto type = cast<MemRefType>(op.getOutputs()[0].getType());
  Value init = op.getInit();
  return {cast<MemRefType>(op.getPositions().getType()).getDimSize(1),
          type.getDimSize(1),
          getElement(op.getRows()),
          type.getElementType(),
          bool(op.getSlotWeights()),
          init ? getElement(init) : Type()};
}

LogicalResult KernelConverter::convertCombine(moek::CombineOp op) {
  Value out = op.getOutputs()[0];
  auto type = cast<MemRefType>(out.getType());
  int64_t n = type.getDimSize(1);
  Value init = op.getInit(), weights = op.getSlotWeights();
  if (op.getFirstRow() || !isFloat(getElement(op.getRows())) ||
      !isFloat(type.getElementType()) || (init && !isFloat(getElement(init))))
    return refuse(op, "it wants rows of floats and no window");
  Builder b(op.getLoc(), op);
  enter(b, op);
  CombineShape shape = getShape(op);
  LLVM::LLVMFuncOp kernel =
      buildCombine(kernels, getName(op, "combine"), shape);
  SmallVector<Value> arguments{op.getRows(), op.getPositions()};
  for (Value value : {weights, init})
    if (value)
      arguments.push_back(value);
  Value tokens = memref::DimOp::create(b, out, 0);
  Value chunks =
      arith::MulIOp::create(b, tokens, constant(b, n / getCombinedColumns(n)));
  arguments.append({out, tokens});
  launch(b, kernel, divide(b, chunks, moegpu::getKernel(kernel).getThreads()),
         arguments, kElementwiseBlocks, options.overlaps);
  op.erase();
  return success();
}

/// A number that the host has, such as that of all tokens.
LogicalResult KernelConverter::convertStore(memref::StoreOp op) {
  if (!op.getValue().getType().isInteger(32) ||
      op.getMemRefType().getRank() != 1 ||
      !op.getMemRefType().getLayout().isIdentity() ||
      op->getParentOfType<scf::ForOp>())
    return refuse(op, "the host writes no more to the device than single i32");
  Builder b(op.getLoc(), op);
  constexpr StringLiteral kName = "store_number";
  auto kernel = kernels.lookupSymbol<LLVM::LLVMFuncOp>(kName);
  if (!kernel)
    kernel = buildStore(kernels, kName);
  Value value = arith::IndexCastOp::create(b, b.getIndexType(), op.getValue());
  launch(b, kernel, constant(b, 1), {op.getMemRef(), op.getIndices()[0], value},
         0, options.overlaps);
  op.erase();
  return success();
}

LogicalResult KernelConverter::convertLinalg(linalg::LinalgOp op) {
  if (StringRef why = whyNoKernel(op); !why.empty())
    return refuse(op, why);
  Builder b(op.getLoc(), op);
  enter(b, op);
  SmallVector<Value> arguments;
  LLVM::LLVMFuncOp kernel =
      buildLinalg(kernels, getName(op, "elementwise"), op, arguments);
  Value elements = constant(b, 1);
  for (auto [loop, size] : llvm::enumerate(op.getStaticLoopRanges())) {
    Value own = ShapedType::isDynamic(size) ? getLoopSize(b, op, loop)
                                            : constant(b, size);
    if (ShapedType::isDynamic(size))
      arguments.push_back(own);
    if (op.getIteratorTypesArray()[loop] == utils::IteratorType::parallel)
      elements = arith::MulIOp::create(b, elements, own);
  }
  launch(b, kernel, divide(b, elements, moegpu::getKernel(kernel).getThreads()),
         arguments, kElementwiseBlocks, options.overlaps);
  op->erase();
  return success();
}

Value KernelConverter::getLoopSize(Builder &b, linalg::LinalgOp op,
                                   int64_t loop) {
  for (OpOperand &operand : op->getOpOperands())
    for (auto [dim, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto at = dyn_cast<AffineDimExpr>(expr);
          at && int64_t(at.getPosition()) == loop)
        return memref::DimOp::create(b, operand.get(), dim);
  llvm_unreachable("a loop has the size of a dimension");
}
