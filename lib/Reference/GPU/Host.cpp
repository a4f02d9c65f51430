//===- Host.cpp - The function that starts kernels --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Reference/GPU/KernelInterpreter.h"

#include "../Scalars.h"
#include "../Values.h"
#include "Arguments.h"
#include "Block.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe_gpu/MoeGpu.h"
#include "moe_rt/MoeRt.h"
#include "llvm/ADT/TypeSwitch.h"
#include <limits>
#include <numeric>

using namespace mlir;
using namespace moe;
using namespace moe::reference;
using namespace moe::reference::simt;

void reference::registerKernelDialects(DialectRegistry &registry) {
  registry.insert<LLVM::LLVMDialect, NVVM::NVVMDialect, ROCDL::ROCDLDialect,
                  memref::MemRefDialect, moegpu::MoeGpuDialect,
                  moert::MoeRtDialect, vector::VectorDialect>();
}

namespace {
/// A memref in row-major order, or a number.
struct Datum {
  int64_t number = 0;
  Buffer *buffer = nullptr;
  std::vector<int64_t> shape = {};
};

class Host {
public:
  Host(func::FuncOp function, const KernelOptions &options)
      : function(function), options(options) {
    addArithInstructions(table);
    addLLVMInstructions(table);
    addMemRefInstructions(table);
    addNVVMThreadInstructions(table);
    addNVVMCopyInstructions(table);
    addNVVMProductInstructions(table);
    addNVVMBitInstructions(table);
    addROCDLThreadInstructions(table);
    addROCDLProductInstructions(table);
    addMoeGpuInstructions(table);
  }

  FailureOr<std::vector<HostTensor>> run(func::FuncOp model,
                                         ArrayRef<HostTensor> arguments);

private:
  LogicalResult runBlock(mlir::Block &block);
  LogicalResult runOperation(Operation *op);
  LogicalResult runIf(scf::IfOp op);
  LogicalResult runFor(scf::ForOp op);
  LogicalResult runAlloc(memref::AllocOp op);
  LogicalResult runLaunch(moert::LaunchOp op);
  LogicalResult runScalar(Operation *op);
  const Program *getProgram(moert::LaunchOp op);
  FailureOr<HostTensor> getResult(unsigned argument);

  func::FuncOp function;
  KernelOptions options;
  InstructionTable table;
  GlobalMemory memory;
  llvm::DenseMap<Value, Datum> values;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Program>>
      programs;
  unsigned numAllocations = 0, numLaunches = 0;
};
} // namespace

LogicalResult Host::runBlock(mlir::Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(runOperation(&op)))
      return failure();
  return success();
}

LogicalResult Host::runOperation(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<scf::IfOp>([&](auto op) { return runIf(op); })
      .Case<scf::ForOp>([&](auto op) { return runFor(op); })
      .Case<memref::AllocOp>([&](auto op) { return runAlloc(op); })
      .Case<memref::DeallocOp, moert::TraceOp>([](auto) { return success(); })
      .Case<memref::CastOp>([&](memref::CastOp op) {
        values[op.getResult()] = Datum(values[op.getSource()]);
        return success();
      })
      .Case<memref::DimOp>([&](memref::DimOp op) {
        const Datum &of = values[op.getSource()];
        int64_t dim = values[op.getIndex()].number;
        values[op.getResult()] = Datum{of.shape[dim]};
        return success();
      })
      .Case<moert::NumThreadsOp>([&](moert::NumThreadsOp op) {
        values[op.getResult()] = Datum{1};
        return success();
      })
      .Case<moert::CheckOp>([&](moert::CheckOp op) -> LogicalResult {
        if (values[op.getOk()].number)
          return success();
        return emitError(op.getLoc()) << op.getMessage();
      })
      .Case<moert::LaunchOp>([&](auto op) { return runLaunch(op); })
      .Default([&](Operation *op) { return runScalar(op); });
}

LogicalResult Host::runScalar(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto integer = dyn_cast<IntegerAttr>(constant.getValue())) {
      values[constant.getResult()] = Datum{integer.getInt()};
      return success();
    }
    if (auto number = dyn_cast<FloatAttr>(constant.getValue())) {
      values[constant.getResult()] =
          Datum{makeFloat(number.getValueAsDouble()).i};
      return success();
    }
  }
  // Numbers of 64 bits are as they are; others would have to be rounded.
  auto isKnown = [](Type type) {
    return !isa<FloatType>(type) || type.isF64();
  };
  std::optional<ScalarOp> scalarOp =
      op->getNumResults() == 1 ? ScalarOp::get(op) : std::nullopt;
  if (!scalarOp || op->getNumOperands() > 4 ||
      !llvm::all_of(op->getOperandTypes(), isKnown) ||
      !llvm::all_of(op->getResultTypes(), isKnown))
    return emitError(op->getLoc())
           << "'" << op->getName()
           << "' is not known to the interpreter of host functions";
  Scalar operands[4], result;
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    operands[i] = makeInt(values[operand].number);
  if (!scalarOp->fn(*scalarOp, operands, result))
    return emitError(op->getLoc()) << "the divisor is zero";
  values[op->getResult(0)] = Datum{result.i};
  return success();
}

LogicalResult Host::runIf(scf::IfOp op) {
  Region &region = values[op.getCondition()].number ? op.getThenRegion()
                                                    : op.getElseRegion();
  if (region.empty())
    return success();
  if (failed(runBlock(region.front())))
    return failure();
  for (auto [result, own] : llvm::zip(
           op.getResults(), region.front().getTerminator()->getOperands()))
    values[result] = Datum(values[own]);
  return success();
}

LogicalResult Host::runFor(scf::ForOp op) {
  std::vector<Datum> carried;
  for (Value value : op.getInitArgs())
    carried.push_back(values[value]);
  int64_t end = values[op.getUpperBound()].number;
  int64_t step = values[op.getStep()].number;
  for (int64_t i = values[op.getLowerBound()].number; i < end; i += step) {
    values[op.getInductionVar()] = Datum{i};
    for (auto [argument, value] : llvm::zip(op.getRegionIterArgs(), carried))
      values[argument] = value;
    if (failed(runBlock(*op.getBody())))
      return failure();
    for (auto [value, own] :
         llvm::zip(carried, op.getBody()->getTerminator()->getOperands()))
      value = values[own];
  }
  for (auto [result, value] : llvm::zip(op.getResults(), carried))
    values[result] = value;
  return success();
}

LogicalResult Host::runAlloc(memref::AllocOp op) {
  MemRefType type = op.getType();
  Datum datum;
  unsigned next = 0;
  uint64_t bytes = getWidth(type.getElementType()) / 8;
  for (int64_t size : type.getShape()) {
    if (ShapedType::isDynamic(size))
      size = values[op.getDynamicSizes()[next++]].number;
    datum.shape.push_back(size);
    bytes *= size;
  }
  std::string name = "buffer " + std::to_string(++numAllocations) + ", ";
  llvm::raw_string_ostream(name) << type;
  datum.buffer = &memory.add(name, bytes);
  values[op.getResult()] = datum;
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

const Program *Host::getProgram(moert::LaunchOp op) {
  std::unique_ptr<Program> &program =
      programs[{op.getImage().str(), op.getKernel().str()}];
  if (program)
    return program.get();
  auto image = SymbolTable::lookupNearestSymbolFrom<ModuleOp>(
      op, op.getImageAttr().getAttr());
  auto kernel =
      image ? image.lookupSymbol<LLVM::LLVMFuncOp>(op.getKernel()) : nullptr;
  if (!kernel) {
    emitError(op.getLoc()) << "there is no kernel '" << op.getKernel()
                           << "' in a module @" << op.getImage();
    return nullptr;
  }
  program = std::make_unique<Program>();
  if (failed(Decoder(table, *program, options.subgroup).decode(kernel)))
    program = nullptr;
  return program.get();
}

LogicalResult Host::runLaunch(moert::LaunchOp op) {
  ++numLaunches;
  int64_t blocks = values[op.getBlocks()].number;
  if (blocks == 0)
    return success();
  const Program *program = getProgram(op);
  if (!program)
    return failure();
  auto fail = [&]() {
    return emitError(op.getLoc()) << "kernel '" << op.getKernel() << "' ";
  };
  int64_t threads = op.getThreads();
  constexpr int64_t kMostThreads = 1024;
  if (threads > int64_t(kMaxWarps) * program->numLanes)
    return fail() << "is started with blocks of " << threads
                  << " threads, and the interpreter has room for " << kMaxWarps
                  << " subgroups of " << program->numLanes;
  if (threads < 1 || threads > kMostThreads ||
      (program->threads && program->threads != threads))
    return fail() << "is made for blocks of " << program->threads
                  << " threads, and started with " << threads;
  if (blocks < 0 || blocks > std::numeric_limits<int32_t>::max())
    return fail() << "is started with " << blocks << " blocks";
  // That of the largest device that there is; others have less.
  constexpr int64_t kMostShared = 227 << 10;
  if (program->shared && *program->shared != int64_t(op.getShared()))
    return fail() << "is made for blocks that share " << *program->shared
                  << " bytes, and started with " << op.getShared();
  if (int64_t(op.getShared()) > kMostShared)
    return fail() << "is started with " << op.getShared()
                  << " bytes of shared memory, and a block has at most "
                  << kMostShared;
  bool overlaps = op.getOverlaps() && blocks <= int64_t(*op.getOverlaps());
  if (std::optional<uint64_t> each = op.getEach())
    blocks = std::min<int64_t>(blocks, *each * options.multiprocessors);
  static constexpr Moment kMoments[] = {Moment::Late, Moment::Early,
                                        Moment::Any};
  Launch launch{memory,
                *program,
                numLaunches,
                blocks,
                threads,
                int64_t(op.getShared()),
                overlaps,
                {},
                {},
                kMoments[options.seed % 3],
                options.seed * 1000003 + numLaunches};
  if (op.getArguments().size() != program->arguments.size())
    return fail() << "takes " << program->arguments.size()
                  << " arguments, and is given " << op.getArguments().size();
  for (auto [i, value] : llvm::enumerate(op.getArguments())) {
    const Datum &datum = values[value];
    const Program::Argument &argument = program->arguments[i];
    int64_t box = op.getBoxes()[i];
    if (bool(datum.buffer) != argument.isWide || bool(box) != argument.isMap)
      return fail() << "takes something else as argument " << i;
    if (!datum.buffer) {
      if (datum.number < 0 ||
          datum.number > std::numeric_limits<int32_t>::max())
        return fail() << "is given " << datum.number << " as argument " << i
                      << ", which is no i32";
      launch.arguments.push_back(datum.number);
    } else if (!box) {
      launch.arguments.push_back(datum.buffer->base);
    } else {
      int64_t columns = datum.shape.back();
      int64_t rows = std::accumulate(datum.shape.begin(), datum.shape.end() - 1,
                                     int64_t(1), std::multiplies<int64_t>());
      if (columns * 2 % 16)
        return fail() << "copies boxes of argument " << i << ", whose rows of "
                      << columns * 2 << " bytes are no multiple of 16";
      launch.arguments.push_back(kFirstMap + launch.maps.size());
      launch.maps.push_back({datum.buffer->base, rows, columns, box});
    }
  }
  // Blocks depend on each other in no way, so their order is any.
  std::vector<int64_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(launch.seed);
  for (int64_t i = blocks - 1; i > 0; --i)
    std::swap(order[i], order[random() % (i + 1)]);
  for (int64_t block : order)
    if (!ThreadBlock(launch, block).run())
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

FailureOr<HostTensor> Host::getResult(unsigned argument) {
  const Datum &datum = values[function.getArgument(argument)];
  std::string name = argumentName(function, argument);
  auto type = cast<MemRefType>(function.getArgumentTypes()[argument]);
  HostTensor tensor =
      HostTensor::allocate(*dtypeOf(type.getElementType()), datum.shape, name);
  const std::vector<uint8_t> &isSet = datum.buffer->isSet;
  auto unset = std::find(isSet.begin(), isSet.end(), 0);
  if (unset != isSet.end()) {
    int64_t element = (unset - isSet.begin()) / dtypeSize(tensor.dtype);
    emitError(function.getLoc())
        << "no kernel has written element " << element << " of the result '"
        << name << "', " << tensor.describe();
    return failure();
  }
  std::copy_n(datum.buffer->bytes, datum.buffer->size,
              tensor.dataAs<uint8_t>());
  return tensor;
}

FailureOr<std::vector<HostTensor>> Host::run(func::FuncOp model,
                                             ArrayRef<HostTensor> arguments) {
  llvm::StringMap<HostTensor> tensors;
  for (auto [i, tensor] : llvm::enumerate(arguments))
    tensors[argumentName(model, i)] = tensor;
  std::map<std::string, int64_t> sizes;
  SmallVector<unsigned> results;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (isResult(function, i)) {
      results.push_back(i);
      continue;
    }
    FailureOr<HostTensor> tensor = makeArgument(function, i, tensors);
    if (failed(tensor))
      return failure();
    auto shape = simt::getShape(function, i, &*tensor, sizes);
    if (failed(shape))
      return failure();
    values[function.getArgument(i)] =
        Datum{0,
              &memory.addInput(argumentName(function, i), tensor->storage,
                               tensor->dataAs<uint8_t>(), tensor->numBytes()),
              *shape};
  }
  for (unsigned i : results) {
    auto shape = simt::getShape(function, i, nullptr, sizes);
    if (failed(shape))
      return failure();
    auto type = cast<MemRefType>(function.getArgumentTypes()[i]);
    uint64_t bytes = getWidth(type.getElementType()) / 8;
    for (int64_t size : *shape)
      bytes *= size;
    values[function.getArgument(i)] =
        Datum{0, &memory.add(argumentName(function, i), bytes), *shape};
  }
  if (!function.getBody().hasOneBlock())
    return emitError(function.getLoc())
           << "'" << function.getSymName()
           << "' has branches; the interpreter runs structured control flow";
  if (failed(runBlock(function.getBody().front())))
    return failure();
  std::vector<HostTensor> tensorsOfResults;
  for (unsigned i : results) {
    FailureOr<HostTensor> tensor = getResult(i);
    if (failed(tensor))
      return failure();
    tensorsOfResults.push_back(*tensor);
  }
  return tensorsOfResults;
}

FailureOr<std::vector<HostTensor>>
reference::interpretKernels(func::FuncOp host, func::FuncOp model,
                            ArrayRef<HostTensor> arguments,
                            const KernelOptions &options) {
  unsigned width = options.subgroup;
  if (width < 4 || width > kMostLanes || (width & (width - 1)))
    return emitError(host.getLoc())
           << "a subgroup has 4, 8, 16, 32 or 64 threads, not " << width;
  return Host(host, options).run(model, arguments);
}
