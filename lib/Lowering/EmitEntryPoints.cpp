//===- EmitEntryPoints.cpp - The C interface --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Wraps each entry function into one that a C program calls. All checks come
// before the body, so that a failed call has written nothing.
//
//===----------------------------------------------------------------------===//

#include "EntryChecks.h"

#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"

#include <cstddef>

namespace moe {
#define GEN_PASS_DEF_EMITENTRYPOINTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

std::string typeName(Type type) {
  if (type.isIndex())
    return "i64";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Builds one wrapper function.
class Wrapper : moe::EntryChecks {
public:
  Wrapper(ModuleOp module, func::FuncOp function, StringRef suffix,
          const LLVMTypeConverter &types)
      : EntryChecks(module, function, suffix), function(function),
        modelName(moe::getEntryName(function)), types(types) {}

  LogicalResult run() {
    FailureOr<moe::EntrySizes> found = moe::EntrySizes::get(function);
    if (failed(found))
      return failure();
    sizes = *found;
    for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
      StringRef role = moe::getArgumentRole(function, i);
      if (role == moe::kRuntimeRole || role == moe::kSizeRole ||
          role == moe::kWorkspaceRole)
        continue;
      Type type = function.getArgumentTypes()[i];
      auto name = function.getArgAttrOfType<StringAttr>(i, moe::kNameAttr);
      auto memref = dyn_cast<MemRefType>(type);
      if ((memref && !memref.getLayout().isIdentity()) ||
          (!memref && !type.isIntOrIndexOrFloat()))
        return function.emitError()
               << "argument " << i << " of type " << type
               << " has no C counterpart; entry points take row-major memrefs "
                  "and scalars";
      parameters.push_back(
          {name ? name.str() : ("arg" + Twine(i)).str(), type, i,
           function.getArgAttrOfType<DictionaryAttr>(i, moe::kPackedAttr),
           role == moe::kResultRole});
    }
    if (function.getNumResults() != 0)
      return function.emitOpError("returns values; run "
                                  "moek-results-to-arguments first");
    body = function;
    body.setName(entryName + "__body");
    body.setPrivate();
    hasWorkspace = moe::findArgument(body, moe::kWorkspaceRole).has_value();
    emitWorkspaceBytes();
    emitEntry();
    return success();
  }

  DictionaryAttr describe() {
    auto dims = [&](Type type, unsigned argument) {
      SmallVector<Attribute> shape;
      if (auto memref = dyn_cast<MemRefType>(type))
        for (auto [d, extent] : llvm::enumerate(memref.getShape())) {
          if (ShapedType::isDynamic(extent))
            shape.push_back(
                b.getStringAttr(sizes.names()[*sizes.lookup(argument, d)]));
          else
            shape.push_back(b.getI64IntegerAttr(extent));
        }
      return b.getArrayAttr(shape);
    };
    SmallVector<Attribute> arguments, results;
    for (Parameter &parameter : parameters) {
      SmallVector<NamedAttribute> attrs = {
          b.getNamedAttr("name", b.getStringAttr(parameter.name))};
      if (parameter.packed) {
        auto type = cast<MemRefType>(parameter.type);
        attrs.push_back(b.getNamedAttr("dtype", b.getStringAttr("u8")));
        attrs.push_back(b.getNamedAttr(
            "shape", b.getI64ArrayAttr(type.getNumElements() *
                                       type.getElementTypeBitWidth() / 8)));
        attrs.push_back(b.getNamedAttr("packed", parameter.packed));
        if (StringRef role = moe::getArgumentRole(function, parameter.argument);
            !role.empty())
          attrs.push_back(b.getNamedAttr("role", b.getStringAttr(role)));
      } else {
        attrs.push_back(b.getNamedAttr(
            "dtype",
            b.getStringAttr(typeName(getElementTypeOrSelf(parameter.type)))));
        attrs.push_back(
            b.getNamedAttr("shape", dims(parameter.type, parameter.argument)));
      }
      (parameter.isResult ? results : arguments)
          .push_back(b.getDictionaryAttr(attrs));
    }
    SmallVector<Attribute> sizeNames;
    for (StringRef name : sizes.names())
      sizeNames.push_back(b.getStringAttr(name));
    SmallVector<NamedAttribute> attrs = {
        b.getNamedAttr("name", b.getStringAttr(entryName)),
        b.getNamedAttr("entry", modelName),
        b.getNamedAttr("invoke", b.getStringAttr(entryName + "__invoke")),
        b.getNamedAttr("sizes", b.getArrayAttr(sizeNames)),
        b.getNamedAttr("arguments", b.getArrayAttr(arguments)),
        b.getNamedAttr("results", b.getArrayAttr(results)),
        b.getNamedAttr("workspace", describeWorkspace())};
    if (std::optional<int64_t> growth = getWorkspaceGrowth())
      attrs.push_back(
          b.getNamedAttr("workspace_growth", b.getI64IntegerAttr(*growth)));
    if (Attribute layer = body->getAttr(moe::kLayerAttr))
      attrs.push_back(b.getNamedAttr("layer", layer));
    if (Attribute checkpoint = body->getAttr(moe::kCheckpointAttr))
      attrs.push_back(b.getNamedAttr("checkpoint", checkpoint));
    if (Attribute model = body->getAttr(moe::kModelAttr))
      attrs.push_back(b.getNamedAttr("model", model));
    return b.getDictionaryAttr(attrs);
  }

private:
  func::FuncOp workspaceFunction() {
    return module.lookupSymbol<func::FuncOp>(entryName + "__workspace");
  }

  //===--------------------------------------------------------------------===//
  // What the workspace needs, for people
  //===--------------------------------------------------------------------===//

  /// The workspace function evaluated with every size `n`.
  std::optional<int64_t> evaluateWorkspace(int64_t n) {
    func::FuncOp function = workspaceFunction();
    if (!function)
      return 0;
    llvm::DenseMap<Value, Attribute> values;
    for (Value argument : function.getArguments())
      values[argument] = b.getIndexAttr(n);
    for (Operation &op : function.getBody().front()) {
      if (auto ret = dyn_cast<func::ReturnOp>(op)) {
        auto value =
            dyn_cast_or_null<IntegerAttr>(values.lookup(ret.getOperand(0)));
        return value ? std::optional<int64_t>(value.getInt()) : std::nullopt;
      }
      SmallVector<Attribute> operands;
      for (Value operand : op.getOperands())
        operands.push_back(values.lookup(operand));
      SmallVector<OpFoldResult> folded;
      if (failed(op.fold(operands, folded)) ||
          folded.size() != op.getNumResults())
        return std::nullopt;
      for (auto [result, value] : llvm::zip_equal(op.getResults(), folded))
        values[result] = isa<Attribute>(value)
                             ? cast<Attribute>(value)
                             : values.lookup(cast<Value>(value));
    }
    return std::nullopt;
  }

  ArrayAttr describeWorkspace() {
    SmallVector<Attribute> table;
    for (int64_t n : {1, 4, 16, 64, 512, 4096, 65536}) {
      std::optional<int64_t> bytes = evaluateWorkspace(n);
      if (!bytes)
        break;
      if (*bytes < 0)
        continue;
      table.push_back(b.getI64ArrayAttr({n, *bytes}));
      if (sizes.names().empty())
        break;
    }
    return b.getArrayAttr(table);
  }

  /// Bytes for each more of the only size, once it is large: sums of the
  /// largest of some buffers grow fastest then.
  std::optional<int64_t> getWorkspaceGrowth() {
    constexpr int64_t n = int64_t(1) << 24;
    if (sizes.names().size() != 1)
      return std::nullopt;
    std::optional<int64_t> less = evaluateWorkspace(n),
                           more = evaluateWorkspace(2 * n);
    if (!less || !more || *less < 0 || *more < *less)
      return std::nullopt;
    return llvm::divideCeil(*more - *less, n);
  }

  //===--------------------------------------------------------------------===//
  // The functions
  //===--------------------------------------------------------------------===//

  Value callWorkspace(ArrayRef<Value> sizeValues) {
    func::FuncOp callee = workspaceFunction();
    if (!callee)
      return constant(i64, 0);
    SmallVector<Value> operands;
    for (Value value : sizeValues)
      operands.push_back(
          arith::IndexCastOp::create(b, loc, b.getIndexType(), value));
    Value bytes = func::CallOp::create(b, loc, callee, operands).getResult(0);
    return arith::IndexCastOp::create(b, loc, i64, bytes);
  }

  void emitWorkspaceBytes() {
    SmallVector<Type> inputs(sizes.names().size(), i64);
    auto wrapper = createFunction(entryName + "_workspace_bytes", i64, inputs);
    SmallVector<Value> values(wrapper.getArguments());
    if (Value bad = badSizes(values)) {
      Region &region = wrapper.getBody();
      Block *from = b.getBlock();
      Block *fail = b.createBlock(&region, region.end());
      LLVM::ReturnOp::create(b, loc, constant(i64, 0));
      Block *next = b.createBlock(&region, region.end());
      b.setInsertionPointToEnd(from);
      LLVM::CondBrOp::create(b, loc, bad, fail, ValueRange(), next,
                             ValueRange());
      b.setInsertionPointToStart(next);
    }
    Value bytes = callWorkspace(values), none = constant(i64, 0);
    Value bad = compare(LLVM::ICmpPredicate::slt, bytes, none);
    bytes = LLVM::SelectOp::create(b, loc, bad, none, bytes);
    LLVM::ReturnOp::create(b, loc, bytes);
    if (auto callee = workspaceFunction())
      callee->setAttr(
          "llvm.linkage",
          LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  }

  void emitEntry() {
    SmallVector<Type> inputs = {pointer};
    inputs.append(sizes.names().size(), i64);
    inputs.append(parameters.size(), pointer);
    inputs.append({pointer, i64});
    auto wrapper = createFunction(entryName, i32, inputs);
    SmallVector<Value> arguments(wrapper.getArguments());
    ArrayRef<Value> rest(arguments);
    rt = rest.front();
    ArrayRef<Value> sizeValues = rest.slice(1, sizes.names().size());
    ArrayRef<Value> buffers =
        rest.slice(1 + sizes.names().size(), parameters.size());
    Value workspace = rest[rest.size() - 2], workspaceBytes = rest.back();

    // rt ? rt : moe_rt_default()
    {
      Region &region = wrapper.getBody();
      Block *from = b.getBlock();
      Block *missing = b.createBlock(&region, region.end());
      auto getDefault = declare("moe_rt_default", pointer, {});
      Value standard =
          LLVM::CallOp::create(b, loc, getDefault, ValueRange()).getResult();
      Block *next = b.createBlock(&region, region.end(), {pointer}, {loc});
      b.setInsertionPointToEnd(from);
      LLVM::CondBrOp::create(b, loc, isNull(rt), missing, ValueRange(), next,
                             ValueRange(rt));
      b.setInsertionPointToEnd(missing);
      LLVM::BrOp::create(b, loc, ValueRange(standard), next);
      b.setInsertionPointToStart(next);
      rt = next->getArgument(0);
    }
    // Before the first use of a hook; so there is no message.
    {
      Value abi = load(i32, rt, offsetof(moe_rt, abi));
      Value size = load(i64, rt, offsetof(moe_rt, size));
      Value isOther =
          compare(LLVM::ICmpPredicate::ne, abi, constant(i32, MOE_RT_ABI));
      Value isSmall = compare(LLVM::ICmpPredicate::ult, size,
                              constant(i64, MOE_RT_LEAST_SIZE));
      Value bad = either(isOther, isSmall);
      Region &region = wrapper.getBody();
      Block *from = b.getBlock();
      Block *fail = b.createBlock(&region, region.end());
      LLVM::ReturnOp::create(b, loc, constant(i32, MOE_ERR_BAD_ABI));
      Block *next = b.createBlock(&region, region.end());
      b.setInsertionPointToEnd(from);
      LLVM::CondBrOp::create(b, loc, bad, fail, ValueRange(), next,
                             ValueRange());
      b.setInsertionPointToStart(next);
    }
    check(isNull(load(pointer, rt, offsetof(moe_rt, parallel_for))),
          MOE_ERR_NULL_ARGUMENT, "the parallel_for hook of `rt` is null");
    check(compare(LLVM::ICmpPredicate::slt,
                  load(i32, rt, offsetof(moe_rt, num_threads)),
                  constant(i32, 1)),
          MOE_ERR_BAD_SIZE, "num_threads of `rt` is less than 1");

    for (auto [name, value] : llvm::zip_equal(sizes.names(), sizeValues))
      check(compare(LLVM::ICmpPredicate::ugt, value, constant(i64, kMaxSize)),
            MOE_ERR_BAD_SIZE,
            "size '" + name + "' is negative or above 2147483647");
    if (sizeValues.size() > 1)
      check(exceeds(sizeValues, kMaxProduct), MOE_ERR_BAD_SIZE,
            "the product of all sizes is above 2^40");
    for (Parameter &parameter : parameters) {
      SmallVector<unsigned> dims;
      int64_t most = boundElements(parameter, dims);
      if (!dims.empty())
        check(exceeds(pick(sizeValues, dims), most), MOE_ERR_BAD_SIZE,
              Twine(parameter.isResult ? "result '" : "argument '") +
                  parameter.name + "' would have more than 2^56 bytes");
    }

    // A pointer may be null when nothing is behind it.
    DataLayout layout = DataLayout::closest(body);
    Value allResultsEmpty;
    for (auto [parameter, value] : llvm::zip_equal(parameters, buffers)) {
      Value bad = isNull(value);
      auto memref = dyn_cast<MemRefType>(parameter.type);
      Value empty = constant(b.getI1Type(), 0);
      if (memref)
        for (int64_t d = 0; d < memref.getRank(); ++d) {
          if (!memref.isDynamicDim(d))
            continue;
          Value extent = sizeValues[*sizes.lookup(parameter.argument, d)];
          Value isZero =
              compare(LLVM::ICmpPredicate::eq, extent, constant(i64, 0));
          empty = either(empty, isZero);
          bad = both(
              bad, compare(LLVM::ICmpPredicate::ne, extent, constant(i64, 0)));
        }
      if (parameter.isResult)
        allResultsEmpty =
            allResultsEmpty ? both(allResultsEmpty, empty) : empty;
      check(bad, MOE_ERR_NULL_ARGUMENT,
            Twine(parameter.isResult ? "result '" : "argument '") +
                parameter.name + "' is null");
      int64_t alignment = parameter.packed
                              ? moe::kBufferAlignment
                              : static_cast<int64_t>(layout.getTypeSize(
                                    getElementTypeOrSelf(parameter.type)));
      if (alignment > 1)
        check(misaligned(value, alignment), MOE_ERR_ALIGNMENT,
              Twine(parameter.isResult ? "result '" : "argument '") +
                  parameter.name + "' is not aligned to " + Twine(alignment) +
                  " bytes");
    }
    if (hasWorkspace) {
      Value needed = callWorkspace(sizeValues);
      check(compare(LLVM::ICmpPredicate::eq, needed,
                    constant(i64, moe::kTooManyBytes)),
            MOE_ERR_BAD_SIZE,
            "the workspace for these sizes would have more than 2^56 bytes");
      // The body refuses what has kRefusedSizes, and says why.
      Value wanted =
          compare(LLVM::ICmpPredicate::sgt, needed, constant(i64, 0));
      check(both(wanted,
                 compare(LLVM::ICmpPredicate::ult, workspaceBytes, needed)),
            MOE_ERR_WORKSPACE,
            "the workspace is too small; " + entryName +
                "_workspace_bytes() tells what it needs");
      check(both(isNull(workspace), wanted), MOE_ERR_NULL_ARGUMENT,
            "the workspace is null");
      check(misaligned(workspace, moe::kBufferAlignment), MOE_ERR_ALIGNMENT,
            "the workspace is not aligned to " + Twine(moe::kBufferAlignment) +
                " bytes");
    }
    if (allResultsEmpty) {
      Region &region = wrapper.getBody();
      Block *from = b.getBlock();
      Block *done = b.createBlock(&region, region.end());
      LLVM::ReturnOp::create(b, loc, constant(i32, MOE_OK));
      Block *next = b.createBlock(&region, region.end());
      b.setInsertionPointToEnd(from);
      LLVM::CondBrOp::create(b, loc, allResultsEmpty, done, ValueRange(), next,
                             ValueRange());
      b.setInsertionPointToStart(next);
    }

    SmallVector<Value> operands(body.getNumArguments());
    for (auto [parameter, value] : llvm::zip_equal(parameters, buffers))
      operands[parameter.argument] = materialize(parameter, value, sizeValues);
    if (auto index = moe::findArgument(body, moe::kRuntimeRole))
      operands[*index] = rt;
    for (unsigned i = 0, e = body.getNumArguments(); i != e; ++i)
      if (StringRef name = moe::getSizeName(body, i); !name.empty())
        operands[i] = arith::IndexCastOp::create(
            b, loc, b.getIndexType(),
            sizeValues[llvm::find(sizes.names(), name) -
                       sizes.names().begin()]);
    if (auto index = moe::findArgument(body, moe::kWorkspaceRole)) {
      auto type = cast<MemRefType>(body.getArgumentTypes()[*index]);
      operands[*index] = makeMemRef(type, workspace, {workspaceBytes});
    }
    bool hasChecks = returnStatus();
    auto call = func::CallOp::create(b, loc, body, operands);
    LLVM::ReturnOp::create(b, loc,
                           hasChecks ? call.getResult(0)
                                     : constant(i32, MOE_OK));
    body->setAttr("llvm.linkage", LLVM::LinkageAttr::get(
                                      b.getContext(), LLVM::Linkage::Internal));
  }

  /// Makes the body return a status if it has checks of its own.
  bool returnStatus() {
    bool hasChecks = false;
    body.walk([&](moert::CheckOp) { hasChecks = true; });
    if (!hasChecks)
      return false;
    reporter();
    body.setFunctionType(
        b.getFunctionType(body.getFunctionType().getInputs(), {i32}));
    body.walk([&](func::ReturnOp ret) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(ret);
      ret->setOperands(constant(i32, MOE_OK));
    });
    return true;
  }

  Value materialize(Parameter &parameter, Value address,
                    ArrayRef<Value> sizeValues) {
    auto memref = dyn_cast<MemRefType>(parameter.type);
    if (!memref) {
      Type type = parameter.type.isIndex() ? Type(i64) : parameter.type;
      Value value = LLVM::LoadOp::create(b, loc, type, address);
      if (!parameter.type.isIndex())
        return value;
      return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
    }
    SmallVector<Value> dynamic;
    for (int64_t d = 0; d < memref.getRank(); ++d)
      if (memref.isDynamicDim(d))
        dynamic.push_back(sizeValues[*sizes.lookup(parameter.argument, d)]);
    return makeMemRef(memref, address, dynamic);
  }

  Value makeMemRef(MemRefType type, Value address, ArrayRef<Value> dynamic) {
    auto descriptor = MemRefDescriptor::poison(b, loc, types.convertType(type));
    descriptor.setAllocatedPtr(b, loc, address);
    descriptor.setAlignedPtr(b, loc, address);
    descriptor.setConstantOffset(b, loc, 0);
    SmallVector<Value> extents;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (type.isDynamicDim(d)) {
        extents.push_back(dynamic.front());
        dynamic = dynamic.drop_front();
      } else {
        extents.push_back(constant(i64, type.getDimSize(d)));
      }
      descriptor.setSize(b, loc, d, extents.back());
    }
    Value stride = constant(i64, 1);
    for (int64_t d = type.getRank() - 1; d >= 0; --d) {
      descriptor.setStride(b, loc, d, stride);
      if (d > 0)
        stride = LLVM::MulOp::create(b, loc, stride, extents[d]);
    }
    return UnrealizedConversionCastOp::create(b, loc, type, Value(descriptor))
        .getResult(0);
  }

  func::FuncOp function;
  /// Its name in the model.
  StringAttr modelName;
  const LLVMTypeConverter &types;
  bool hasWorkspace = false;
};

struct EmitEntryPoints : moe::impl::EmitEntryPointsPassBase<EmitEntryPoints> {
  using EmitEntryPointsPassBase::EmitEntryPointsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    LowerToLLVMOptions options(&getContext());
    options.overrideIndexBitwidth(64);
    LLVMTypeConverter types(&getContext(), options);
    auto internal =
        LLVM::LinkageAttr::get(&getContext(), LLVM::Linkage::Internal);
    SmallVector<func::FuncOp> entries;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (moe::isEntryFunction(function))
        entries.push_back(function);
      else if (!function.isExternal())
        function->setAttr("llvm.linkage", internal);
    }
    SmallVector<Attribute> interfaces;
    for (func::FuncOp function : entries) {
      if (auto uses = SymbolTable::getSymbolUses(function, module);
          uses && !uses->empty()) {
        function.emitError("an entry function cannot be called by another "
                           "function; call a private one from both");
        return signalPassFailure();
      }
      Wrapper wrapper(module, function, suffix, types);
      if (failed(wrapper.run()))
        return signalPassFailure();
      interfaces.push_back(wrapper.describe());
      // Said all they had to; LLVM's translation knows none of them.
      for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
        for (StringRef name :
             {moe::kNameAttr, moe::kDimsAttr, moe::kPackedAttr, moe::kRoleAttr})
          function.removeArgAttr(i, StringAttr::get(&getContext(), name));
    }
    module->setAttr(moe::kInterfacesAttr,
                    ArrayAttr::get(&getContext(), interfaces));
  }
};

} // namespace
