//===- Layouts.cpp - How packed weights lie in memory ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_cpu/MoeCpu.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moecpu;

//===----------------------------------------------------------------------===//
// PanelsAttr
//===----------------------------------------------------------------------===//

LogicalResult PanelsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t kBlock) {
  if (kBlock != 1 && kBlock != 2 && kBlock != 4)
    return emitError() << "k_block must be 1, 2 or 4, got " << kBlock;
  return success();
}

LogicalResult
PanelsAttr::verifyLayout(function_ref<InFlightDiagnostic()> emitError,
                         RankedTensorType logical) const {
  Type element = logical.getElementType();
  if (getKBlock() == 1 ? element.isF32() : element.isBF16())
    return success();
  return emitError() << "panels with k_block = " << getKBlock()
                     << " do not fit weights of " << element
                     << "; 1 is for f32, 2 and 4 for bf16";
}

int64_t PanelsAttr::getSteps(int64_t k) const {
  // Blocks of 1024 bytes, which micro-kernels work on at a time.
  return llvm::alignTo(k, std::min<int64_t>(16, 8 * getKBlock())) / getKBlock();
}

RankedTensorType PanelsAttr::getPackedType(RankedTensorType logical) const {
  ArrayRef<int64_t> shape = logical.getShape();
  return logical.clone(
      {shape[0], llvm::divideCeilSigned(shape[2], getColumnsOfPart(shape[1])),
       getSteps(shape[3]), kColumns, getKBlock()});
}

DictionaryAttr PanelsAttr::getPacking(RankedTensorType logical) const {
  ArrayRef<int64_t> packed = getPackedType(logical).getShape();
  int64_t parts = logical.getDimSize(1);
  Builder b(getContext());
  auto integer = [&](StringRef key, int64_t value) {
    return b.getNamedAttr(key, b.getI64IntegerAttr(value));
  };
  return b.getDictionaryAttr(
      {b.getNamedAttr("layout", b.getStringAttr("panels")),
       integer("columns", kColumns),
       integer("interleave", parts > 1 ? getColumnsOfPart(parts) : 0),
       integer("k_block", getKBlock()),
       integer("k_padded", packed[2] * getKBlock()),
       integer("n_padded", packed[1] * kColumns)});
}

//===----------------------------------------------------------------------===//
// BlocksAttr
//===----------------------------------------------------------------------===//

LogicalResult
BlocksAttr::verifyLayout(function_ref<InFlightDiagnostic()> emitError,
                         RankedTensorType logical) const {
  if (!logical.getElementType().isF32())
    return emitError() << "blocks of " << getFormat()
                       << " are values of f32, not "
                       << logical.getElementType();
  return getFormat().verifyFormat(emitError, logical.getDimSize(3));
}

/// The order of fields in a panel: shorter ones, such as scales, are needed
/// first, and what is read by ascending addresses a CPU has fetched before.
static SmallVector<int64_t> getOrder(ArrayRef<moe::BlockField> fields) {
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, fields.size()));
  llvm::stable_sort(order, [&](int64_t a, int64_t b) {
    return fields[a].getBytes() < fields[b].getBytes();
  });
  return order;
}

int64_t BlocksAttr::getFieldOffset(int64_t k, int64_t field) const {
  SmallVector<moe::BlockField> fields = getFormat().getFields(k);
  int64_t offset = 0;
  for (int64_t before : getOrder(fields)) {
    if (before == field)
      break;
    offset += fields[before].getBytes() * kColumns;
  }
  return offset;
}

int64_t BlocksAttr::getBlockBytes(int64_t k) const {
  int64_t bytes = 0;
  for (const moe::BlockField &field : getFormat().getFields(k))
    bytes += field.getBytes() * kColumns;
  return bytes;
}

RankedTensorType BlocksAttr::getPackedType(RankedTensorType logical) const {
  ArrayRef<int64_t> shape = logical.getShape();
  return RankedTensorType::get(
      {shape[0],
       llvm::divideCeilSigned(shape[2], PanelsAttr::getColumnsOfPart(shape[1])),
       shape[3] / getFormat().getBlockSize(shape[3]), getBlockBytes(shape[3])},
      IntegerType::get(getContext(), 8));
}

DictionaryAttr BlocksAttr::getPacking(RankedTensorType logical) const {
  ArrayRef<int64_t> packed = getPackedType(logical).getShape();
  int64_t parts = logical.getDimSize(1), k = logical.getDimSize(3);
  moe::WeightFormatAttrInterface format = getFormat();
  Builder b(getContext());
  auto integer = [&](StringRef key, int64_t value) {
    return b.getNamedAttr(key, b.getI64IntegerAttr(value));
  };
  SmallVector<Attribute> fields, storage;
  SmallVector<moe::BlockField> logicalFields = format.getFields(k);
  for (int64_t index : getOrder(logicalFields)) {
    const moe::BlockField &field = logicalFields[index];
    SmallVector<NamedAttribute> entry = {
        integer("storage", field.storage), integer("offset", field.offset),
        integer("bytes", field.getBytes()),
        integer("unit", field.isWords() ? 4 : field.getBytes() / field.count)};
    auto type = [&](StringRef key, Type element) {
      std::string name;
      llvm::raw_string_ostream(name) << element;
      return b.getNamedAttr(key, b.getStringAttr(name));
    };
    // What is not finite is refused.
    if (isa<FloatType>(field.getStored()))
      entry.push_back(type("float", field.getStored()));
    // For who makes weights up.
    if (std::optional<moe::MadeUpRange> range =
            moe::getMadeUpRange(format, field, k))
      entry.push_back(b.getNamedAttr(
          "range",
          b.getDictionaryAttr(
              {type("dtype", field.getStored()),
               b.getNamedAttr("center", b.getF64FloatAttr(range->center)),
               b.getNamedAttr("spread", b.getF64FloatAttr(range->spread)),
               integer("has_size", range->hasSize)})));
    fields.push_back(b.getDictionaryAttr(entry));
  }
  for (const moe::StorageTensor &tensor : format.getStorage(k))
    storage.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(tensor.name)),
         integer("bytes", tensor.getBytes()), integer("rows", tensor.rows),
         integer("blocks", tensor.blocks)}));
  return b.getDictionaryAttr(
      {b.getNamedAttr("layout", b.getStringAttr("blocks")),
       integer("columns", kColumns),
       integer("interleave",
               parts > 1 ? PanelsAttr::getColumnsOfPart(parts) : 0),
       integer("block", format.getBlockSize(k)), integer("k_padded", k),
       integer("n_padded", packed[1] * kColumns),
       b.getNamedAttr("fields", b.getArrayAttr(fields)),
       b.getNamedAttr("storage", b.getArrayAttr(storage))});
}

BlocksAttr moecpu::getBlocks(moek::GroupedMatmulOp op) {
  moe::WeightFormatAttrInterface format = op.getFormatAttr();
  if (!format)
    return {};
  auto blocks = BlocksAttr::get(op.getContext(), format);
  RankedTensorType logical = op.getLogicalRhsType();
  if (cast<ShapedType>(op.getRhs().getType()).getShape() !=
      blocks.getPackedType(logical).getShape())
    return {};
  return blocks;
}

PanelsAttr moecpu::getPanels(ShapedType packed, RankedTensorType logical) {
  for (int64_t kBlock : {1, 2, 4}) {
    auto panels = PanelsAttr::get(logical.getContext(), kBlock);
    // Silently: not every element type goes with every k_block.
    if ((kBlock == 1) == logical.getElementType().isF32() &&
        packed.getShape() == panels.getPackedType(logical).getShape())
      return panels;
  }
  return {};
}
