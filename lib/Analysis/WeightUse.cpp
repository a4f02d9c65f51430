//===- WeightUse.cpp - Which weights are packed ahead of time ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Follows a weight up to what is known before the function runs, and computes
// on the way back where its elements are. A tensor is a list of boxes, and each
// view makes other boxes of them.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using moe::WeightPiece;
using moe::WeightUse;

/// Beyond these nobody wrote a weight by hand, and following it takes long.
static constexpr size_t kMaxPieces = 4096;
static constexpr unsigned kMaxDepth = 256;

namespace {

/// A range of one dimension, and how far apart its elements are in the root.
struct Extent {
  int64_t begin, size, stride;
  int64_t end() const { return begin + size; }
};

/// A WeightPiece of a tensor of any rank.
struct Box {
  Value root;
  ElementsAttr constant;
  int64_t offset = 0;
  SmallVector<Extent, 4> dims;
};
using Boxes = SmallVector<Box, 1>;

/// Where the boxes of `value` and of what it is made of are.
class Follower {
public:
  explicit Follower(std::string &why) : why(why) {}
  FailureOr<Boxes> follow(Value value, unsigned depth = 0);

private:
  FailureOr<Boxes> compute(Value value, unsigned depth);
  FailureOr<Boxes> getRoot(Value value, ElementsAttr constant);
  FailureOr<Boxes> store(moe::DequantizeOp op);
  FailureOr<Boxes> slice(tensor::ExtractSliceOp op, Boxes boxes);
  FailureOr<Boxes> expand(tensor::ExpandShapeOp op, Boxes boxes);
  FailureOr<Boxes> collapse(tensor::CollapseShapeOp op, Boxes boxes);
  FailureOr<Boxes> concat(tensor::ConcatOp op, unsigned depth);
  FailureOr<Boxes> insert(tensor::InsertSliceOp op, unsigned depth);

  /// It is computed by `op`, `how`.
  LogicalResult fail(Operation *op, const Twine &how = "") {
    why = ("it is computed by " + op->getName().getStringRef() + how).str();
    return failure();
  }
  LogicalResult append(Boxes &to, Boxes more) {
    llvm::append_range(to, std::move(more));
    if (to.size() <= kMaxPieces)
      return success();
    why = "it is made of more than " + std::to_string(kMaxPieces) + " tensors";
    return failure();
  }

  std::string &why;
  /// A tensor may be a part of many.
  DenseMap<Value, Boxes> known;
};

} // namespace

//===----------------------------------------------------------------------===//
// Views of one tensor
//===----------------------------------------------------------------------===//

std::optional<SmallVector<int64_t>> moe::getPermutation(Operation *op) {
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return SmallVector<int64_t>(transpose.getPermutation());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !generic.hasPureTensorSemantics() ||
      generic.getNumDpsInputs() != 1 || generic.getNumDpsInits() != 1 ||
      generic.getNumParallelLoops() != generic.getNumLoops())
    return std::nullopt;
  Block &body = *generic.getBlock();
  AffineMap from = generic.getIndexingMapsArray()[0];
  AffineMap to = generic.getIndexingMapsArray()[1];
  if (!body.without_terminator().empty() ||
      body.getTerminator()->getOperand(0) != body.getArgument(0) ||
      !from.isPermutation() || !to.isPermutation())
    return std::nullopt;
  SmallVector<int64_t> permutation;
  for (AffineExpr loop : to.getResults())
    permutation.push_back(
        llvm::find(from.getResults(), loop) - from.getResults().begin());
  return permutation;
}

FailureOr<Boxes> Follower::slice(tensor::ExtractSliceOp op, Boxes boxes) {
  if (ShapedType::isDynamicShape(op.getStaticOffsets()) ||
      ShapedType::isDynamicShape(op.getStaticSizes()) ||
      ShapedType::isDynamicShape(op.getStaticStrides()) ||
      llvm::any_of(op.getStaticStrides(), [](int64_t s) { return s < 1; }))
    return fail(op, " whose offsets, sizes or strides are no constants");
  llvm::SmallBitVector dropped = op.getDroppedDims();
  Boxes result;
  for (Box &box : boxes) {
    Box part = box;
    part.dims.clear();
    bool isEmpty = false;
    for (auto [d, dim] : llvm::enumerate(box.dims)) {
      int64_t first = op.getStaticOffset(d), step = op.getStaticStride(d);
      // The elements first + i * step that are in the box.
      int64_t low = std::max<int64_t>(
          llvm::divideCeilSigned(dim.begin - first, step), 0);
      int64_t high = std::min(llvm::divideCeilSigned(dim.end() - first, step),
                              op.getStaticSize(d));
      isEmpty |= low >= high;
      part.offset += (first + low * step - dim.begin) * dim.stride;
      if (!dropped.test(d))
        part.dims.push_back({low, high - low, step * dim.stride});
    }
    if (!isEmpty)
      result.push_back(std::move(part));
  }
  return result;
}

FailureOr<Boxes> Follower::expand(tensor::ExpandShapeOp op, Boxes boxes) {
  ArrayRef<int64_t> shape = op.getResultType().getShape();
  SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
  for (Box &box : boxes) {
    SmallVector<Extent, 4> dims;
    for (auto [dim, group] : llvm::zip_equal(box.dims, groups)) {
      int64_t inner = 1;
      for (int64_t d : group)
        inner *= shape[d];
      if (group.empty() && dim.size != 1)
        return fail(op);
      Extent rest = dim;
      for (int64_t d : group) {
        inner /= shape[d];
        int64_t first = rest.begin / inner, last = (rest.end() - 1) / inner;
        if (rest.begin % inner == 0 && rest.end() % inner == 0) {
          dims.push_back({first, last + 1 - first, rest.stride * inner});
          rest = {0, inner, rest.stride};
        } else if (first == last) {
          dims.push_back({first, 1, 0});
          rest.begin -= first * inner;
        } else {
          return fail(op, " of tensors that were put together at other places");
        }
      }
    }
    box.dims = std::move(dims);
  }
  return boxes;
}

FailureOr<Boxes> Follower::collapse(tensor::CollapseShapeOp op, Boxes boxes) {
  ArrayRef<int64_t> shape = op.getSrcType().getShape();
  for (Box &box : boxes) {
    SmallVector<Extent, 4> dims;
    for (const ReassociationIndices &group : op.getReassociationIndices()) {
      Extent merged{0, 1, 0};
      int64_t inner = 1;
      for (int64_t d : llvm::reverse(group)) {
        Extent dim = box.dims[d];
        bool isAll = merged.begin == 0 && merged.size == inner;
        bool isEven = inner == 1 || dim.stride == merged.stride * inner;
        if (dim.size == 1) {
          merged.begin += dim.begin * inner;
        } else if (isAll && isEven) {
          merged = {dim.begin * inner, dim.size * inner,
                    inner == 1 ? dim.stride : merged.stride};
        } else {
          return fail(op, " of dimensions whose elements are not evenly spaced "
                          "together");
        }
        inner *= shape[d];
      }
      dims.push_back(merged);
    }
    box.dims = std::move(dims);
  }
  return boxes;
}

//===----------------------------------------------------------------------===//
// Tensors that are put together
//===----------------------------------------------------------------------===//

FailureOr<Boxes> Follower::concat(tensor::ConcatOp op, unsigned depth) {
  Boxes result;
  int64_t begin = 0, dim = op.getDim();
  for (Value input : op.getInputs()) {
    FailureOr<Boxes> boxes = follow(input, depth + 1);
    if (failed(boxes))
      return failure();
    for (Box &box : *boxes)
      box.dims[dim].begin += begin;
    begin += cast<RankedTensorType>(input.getType()).getDimSize(dim);
    if (failed(append(result, std::move(*boxes))))
      return failure();
  }
  return result;
}

/// Whether `box` has elements within `region`, and then whether all are.
static bool overlaps(const Box &box, ArrayRef<Extent> region, bool &isWithin) {
  isWithin = true;
  for (auto [dim, limits] : llvm::zip_equal(box.dims, region)) {
    if (dim.begin >= limits.end() || limits.begin >= dim.end())
      return false;
    isWithin &= dim.begin >= limits.begin && dim.end() <= limits.end();
  }
  return true;
}

static int64_t countElements(const Boxes &boxes) {
  int64_t count = 0;
  for (const Box &box : boxes) {
    int64_t size = 1;
    for (const Extent &dim : box.dims)
      size *= dim.size;
    count += size;
  }
  return count;
}

FailureOr<Boxes> Follower::insert(tensor::InsertSliceOp op, unsigned depth) {
  Boxes result;
  // Of what was written before, only what nothing later wrote over is there. A
  // stack is a long chain, so this is no recursion.
  SmallVector<SmallVector<Extent, 4>> written;
  auto add = [&](Boxes boxes) -> LogicalResult {
    bool isWithin = false;
    for (const auto &region : written)
      for (Box &box : boxes)
        if (!box.dims.empty() && overlaps(box, region, isWithin)) {
          if (!isWithin)
            return fail(op, " that writes over a part of another");
          box.dims.clear();
        }
    llvm::erase_if(boxes, [](const Box &box) { return box.dims.empty(); });
    return append(result, std::move(boxes));
  };
  Value dest = op.getResult();
  while (auto next = dest.getDefiningOp<tensor::InsertSliceOp>()) {
    op = next;
    dest = op.getDest();
    if (ShapedType::isDynamicShape(op.getStaticOffsets()) ||
        ShapedType::isDynamicShape(op.getStaticSizes()) ||
        !op.hasUnitStride())
      return fail(op, " whose offsets or sizes are no constants, or with "
                      "strides");
    FailureOr<Boxes> boxes = follow(op.getSource(), depth + 1);
    if (failed(boxes))
      return failure();
    llvm::SmallBitVector dropped = op.getDroppedDims();
    for (Box &box : *boxes) {
      SmallVector<Extent, 4> dims;
      const Extent *next = box.dims.begin();
      for (unsigned d = 0; d < dropped.size(); ++d) {
        Extent dim = dropped.test(d) ? Extent{0, 1, 0} : *next++;
        dim.begin += op.getStaticOffset(d);
        dims.push_back(dim);
      }
      box.dims = std::move(dims);
    }
    if (failed(add(std::move(*boxes))))
      return failure();
    if (written.size() == kMaxPieces) {
      why = "it is made of more than " + std::to_string(kMaxPieces) +
            " tensors";
      return failure();
    }
    written.emplace_back();
    for (auto [first, size] :
         llvm::zip_equal(op.getStaticOffsets(), op.getStaticSizes()))
      written.back().push_back({first, size, 0});
  }
  // What was there does not matter when nothing is left of it.
  if (dest.getDefiningOp<tensor::EmptyOp>() ||
      countElements(result) == op.getResultType().getNumElements())
    return result;
  FailureOr<Boxes> boxes = follow(dest, depth + 1);
  if (failed(boxes) || failed(add(std::move(*boxes))))
    return failure();
  return result;
}

//===----------------------------------------------------------------------===//
// All of them
//===----------------------------------------------------------------------===//

FailureOr<Boxes> Follower::getRoot(Value value, ElementsAttr constant) {
  if (cast<RankedTensorType>(value.getType()).getNumElements() == 0)
    return Boxes();
  Box box;
  box.root = value;
  box.constant = constant;
  int64_t stride = 1;
  for (int64_t size :
       llvm::reverse(cast<RankedTensorType>(value.getType()).getShape())) {
    box.dims.insert(box.dims.begin(), {0, size, stride});
    stride *= size;
  }
  return Boxes{box};
}

FailureOr<Boxes> Follower::store(moe::DequantizeOp op) {
  unsigned constants = 0;
  for (Value tensor : op.getStorage()) {
    ElementsAttr constant;
    constants += matchPattern(tensor, m_Constant(&constant));
    // Anything else but these two is followed only to say what it is.
    FailureOr<Boxes> boxes = Follower(why).follow(tensor);
    if (failed(boxes))
      return failure();
    if (boxes->size() != 1 || boxes->front().root != tensor)
      return fail(op, " of views of tensors; dequantize them as they are and "
                      "take the views of the weights");
  }
  if (constants != 0 && constants != op.getStorage().size())
    return fail(op, " of constants and arguments");
  return getRoot(op.getWeights(), {});
}

FailureOr<Boxes> Follower::follow(Value value, unsigned depth) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  FailureOr<Boxes> boxes = compute(value, depth);
  if (succeeded(boxes))
    known[value] = *boxes;
  return boxes;
}

FailureOr<Boxes> Follower::compute(Value value, unsigned depth) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.hasStaticShape()) {
    why = "it is made of a tensor without a static shape";
    return failure();
  }
  if (depth == kMaxDepth) {
    why = "it is behind too many views";
    return failure();
  }
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto function = dyn_cast_or_null<FunctionOpInterface>(
        argument.getOwner()->getParentOp());
    if (function && argument.getOwner()->isEntryBlock() && function.isPublic())
      return getRoot(value, {});
    why = function ? "it is an argument of a private function"
                   : "it changes from iteration to iteration";
    return failure();
  }
  Operation *op = value.getDefiningOp();
  ElementsAttr constant;
  if (matchPattern(op, m_Constant(&constant))) {
    if (isa<DenseElementsAttr, DenseResourceElementsAttr>(constant))
      return getRoot(value, constant);
    return fail(op, " whose elements are not side by side");
  }
  if (auto dequantize = dyn_cast<moe::DequantizeOp>(op))
    return store(dequantize);
  if (auto join = dyn_cast<tensor::ConcatOp>(op))
    return concat(join, depth);
  if (auto write = dyn_cast<tensor::InsertSliceOp>(op))
    return insert(write, depth);
  std::optional<SmallVector<int64_t>> permutation = moe::getPermutation(op);
  if (!permutation &&
      !isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
           tensor::CollapseShapeOp, tensor::CastOp>(op))
    return fail(op);
  FailureOr<Boxes> boxes = follow(op->getOperand(0), depth + 1);
  if (failed(boxes))
    return failure();
  if (auto view = dyn_cast<tensor::ExtractSliceOp>(op))
    return slice(view, std::move(*boxes));
  if (auto view = dyn_cast<tensor::ExpandShapeOp>(op))
    return expand(view, std::move(*boxes));
  if (auto view = dyn_cast<tensor::CollapseShapeOp>(op))
    return collapse(view, std::move(*boxes));
  if (permutation)
    for (Box &box : *boxes)
      applyPermutationToVector(box.dims, *permutation);
  return boxes;
}

/// Whether numbers of `a` and `b` are found in the same way.
static bool haveSameBlocks(moe::WeightFormatAttrInterface format, int64_t a,
                           int64_t b) {
  auto isSame = [](const moe::BlockField &x, const moe::BlockField &y) {
    return x.element == y.element && x.count == y.count &&
           x.storage == y.storage && x.offset == y.offset;
  };
  return a == b ||
         (format.getBlockSize(a) == format.getBlockSize(b) &&
          llvm::equal(format.getFields(a), format.getFields(b), isSame));
}

/// Why `piece` of a weight with rows of `k` is not whole blocks of rows of a
/// moe.dequantize; empty if it is.
static std::string findCut(const WeightPiece &piece, int64_t k) {
  moe::DequantizeOp op = piece.getDequantize();
  auto type = cast<RankedTensorType>(op.getWeights().getType());
  int64_t rowLength = type.getShape().back();
  moe::WeightFormatAttrInterface format = op.getFormat();
  int64_t block = format.getBlockSize(rowLength);
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "it is a view of moe.dequantize " << format << " ";
  if (piece.sizes[2] != 1 && piece.strides[2] != 1) {
    os << "whose rows are not those that it is stored by";
    return text;
  }
  int64_t first = piece.offset % rowLength;
  if (piece.strides[0] % rowLength || piece.strides[1] % rowLength ||
      piece.sizes[2] > rowLength - first) {
    os << "with rows of " << k << " that are not parts of its rows of "
       << rowLength;
    return text;
  }
  if (first % block || piece.sizes[2] % block || piece.begin[2] % block) {
    os << "that cuts its blocks of " << block << ": columns " << first << " to "
       << first + piece.sizes[2] << ", used from column " << piece.begin[2]
       << " on";
    return text;
  }
  if (!haveSameBlocks(format, k, rowLength)) {
    os << "whose blocks differ in rows of " << k << " and of " << rowLength;
    return text;
  }
  return {};
}

static std::string nameFormat(moe::WeightFormatAttrInterface format) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (format)
    os << format;
  else
    os << "plain numbers";
  return text;
}

bool WeightPiece::isConstant() const {
  if (moe::DequantizeOp op = getDequantize())
    return matchPattern(op.getStorage().front(), m_Constant());
  return bool(constant);
}

bool WeightUse::isView(Operation *op) {
  return isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::CastOp, tensor::ConcatOp,
             tensor::InsertSliceOp>(op) ||
         getPermutation(op).has_value();
}

FailureOr<WeightUse> WeightUse::get(Value weight, std::string &why) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  if (!type || !type.hasStaticShape() || type.getRank() < 2 ||
      type.getRank() > 3) {
    why = "it has no static shape [E, N, K] or [N, K]";
    return failure();
  }
  if (!type.getElementType().isF32() && !type.getElementType().isBF16()) {
    why = "its elements are neither f32 nor bf16";
    return failure();
  }
  FailureOr<Boxes> boxes = Follower(why).follow(weight);
  if (failed(boxes))
    return failure();
  WeightUse use;
  for (const Box &box : *boxes) {
    WeightPiece piece;
    piece.root = box.root;
    piece.constant = box.constant;
    piece.offset = box.offset;
    piece.sizes[0] = 1;
    size_t d = 3 - box.dims.size();
    for (const Extent &dim : box.dims) {
      piece.begin[d] = dim.begin;
      piece.sizes[d] = dim.size;
      piece.strides[d] = dim.size == 1 ? 0 : dim.stride;
      ++d;
    }
    use.pieces.push_back(piece);
  }
  // Boxes do not overlap.
  if (countElements(*boxes) != type.getNumElements()) {
    why = "it has elements that nothing writes";
    return failure();
  }
  if (use.pieces.empty()) {
    why = "it has no elements";
    return failure();
  }
  auto getFormat = [](const WeightPiece &piece) {
    moe::DequantizeOp op = piece.getDequantize();
    return op ? op.getFormat() : moe::WeightFormatAttrInterface();
  };
  use.format = getFormat(use.pieces.front());
  for (const WeightPiece &piece : use.pieces) {
    if (piece.isConstant() != use.isConstant()) {
      why = "it is made of constants and arguments";
      return failure();
    }
    if (moe::WeightFormatAttrInterface other = getFormat(piece);
        other != use.format) {
      why = "it is made of weights that are stored in different formats, " +
            nameFormat(use.format) + " and " + nameFormat(other);
      return failure();
    }
    if (use.format)
      if (std::string cut = findCut(piece, type.getShape().back());
          !cut.empty()) {
        why = cut;
        return failure();
      }
  }
  llvm::stable_sort(use.pieces, [](const WeightPiece &a, const WeightPiece &b) {
    return a.begin < b.begin;
  });
  return use;
}

bool moe::canPackTogether(ValueRange weights, std::string &why) {
  unsigned constants = 0;
  std::optional<WeightFormatAttrInterface> format;
  for (Value weight : weights) {
    FailureOr<WeightUse> use = WeightUse::get(weight, why);
    if (failed(use))
      return false;
    constants += use->isConstant();
    if (!format)
      format = use->format;
    if (*format != use->format) {
      why = "its parts are stored in different formats, " +
            nameFormat(*format) + " and " + nameFormat(use->format);
      return false;
    }
  }
  if (constants == 0 || constants == weights.size())
    return true;
  why = "some of its parts are constants and others arguments";
  return false;
}
