//===- StableHLOIndexing.cpp - Sorts, gathers and scatters upstream -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "StableHLO.h"

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Sorts
//===----------------------------------------------------------------------===//

bool moe::raise::isIota(Value tensor, int64_t dim) {
  Elements elements(tensor.getContext());
  SmallVector<const Expr *> indices;
  for (int64_t size : Upstream::typeOf(tensor).getShape())
    indices.push_back(elements.variable(size));
  return elements.element(tensor, indices) == indices[dim];
}

/// The same of a comparator whose ops jaxlib has made upstream's: one
/// comparison, in a linalg.generic of scalars.
static StringRef getLoweredOrder(Block &body) {
  if (body.getNumArguments() < 2 || body.back().getNumOperands() != 1)
    return {};
  auto generic = body.back().getOperand(0).getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumLoops() || generic.getNumDpsInputs() != 2 ||
      generic.getDpsInputOperand(0)->get() != body.getArgument(0) ||
      generic.getDpsInputOperand(1)->get() != body.getArgument(1))
    return {};
  Block &scalars = *generic.getBlock();
  Operation &compare = scalars.front();
  if (compare.getNumOperands() != 2 ||
      compare.getOperand(0) != scalars.getArgument(0) ||
      compare.getOperand(1) != scalars.getArgument(1) ||
      scalars.back().getOperand(0).getDefiningOp() != &compare)
    return {};
  using Ints = arith::CmpIPredicate;
  using Floats = arith::CmpFPredicate;
  if (auto ints = dyn_cast<arith::CmpIOp>(compare))
    return ints.getPredicate() == Ints::slt   ? "LT"
           : ints.getPredicate() == Ints::sgt ? "GT"
                                              : "";
  if (auto floats = dyn_cast<arith::CmpFOp>(compare))
    return floats.getPredicate() == Floats::OLT   ? "LT"
           : floats.getPredicate() == Floats::OGT ? "GT"
                                                  : "";
  return {};
}

/// What the comparator of a sort compares first, `GT` or `LT` and so on, if it
/// is its first operands alone.
static StringRef getOrder(ForeignOp &sort) {
  Block &body = sort.getOperation()->getRegion(0).front();
  if (!llvm::hasSingleElement(getBodyOps(body)))
    return getLoweredOrder(body);
  Operation &compare = body.front();
  if (compare.getName().getStringRef() != "stablehlo.compare" ||
      compare.getOperand(0) != body.getArgument(0) ||
      compare.getOperand(1) != body.getArgument(1))
    return {};
  ForeignOp nested(&compare, sort.upstream, sort.table);
  return nested.getKeyword("comparison_direction");
}

/// How many of the first elements along `dim` anybody reads.
static int64_t countRead(ForeignOp &sort, int64_t dim, int64_t size) {
  int64_t read = 0;
  for (Operation *user : sort.getOperation()->getUsers()) {
    ForeignOp slice(user, sort.upstream, sort.table);
    auto starts = slice.getInts("start_indices"),
         limits = slice.getInts("limit_indices"),
         strides = slice.getInts("strides");
    if (user->getName().getStringRef() != "stablehlo.slice" || !starts ||
        !limits || !strides)
      return size;
    read = std::max(read, (*limits)[dim]);
  }
  return read;
}

static LogicalResult convertSort(ForeignOp &op) {
  auto dim = op.getInt("dimension");
  RankedTensorType type = op.getResultType();
  if (!dim || op.getOperation()->getNumRegions() != 1 ||
      op.getNumOperands() > 2)
    return op.leave(
        "only sorts of one tensor, and of places with it, are known");
  if (*dim < 0)
    *dim += type.getRank();
  bool hasPlaces = op.getNumOperands() == 2;
  if (hasPlaces && !isIota(op.getOperand(1), *dim))
    return op.leave("it sorts a tensor by another that does not count");
  StringRef order = getOrder(op);
  Type element = op.getElementType();
  Upstream &up = op.upstream;
  if (order.starts_with("G") && isa<FloatType>(element)) {
    if (*dim != type.getRank() - 1 || type.isDynamicDim(*dim))
      return op.leave("it does not sort the last dimension");
    int64_t k = countRead(op, *dim, type.getDimSize(*dim));
    if (k == 0)
      return op.leave("nobody reads it");
    Type index =
        hasPlaces ? op.getElementType(1) : up.getBuilder().getI32Type();
    auto [values, places] = up.topK(op.getOperand(0), k, getSignless(index));
    if (hasPlaces)
      return op.replace({values, places});
    return op.replace(values);
  }
  if (order.starts_with("L") && !isa<FloatType>(element) && hasPlaces &&
      type.getRank() == 1) {
    Value ranks = up.ranks(op.getOperand(0));
    Value places = up.order(ranks, getSignless(op.getElementType(1)));
    Value values = up.generate(
        up.sizesOf(places), element, [&](OpBuilder &b, ValueRange indices) {
          Value place =
              tensor::ExtractOp::create(b, op.getLoc(), places, indices);
          place = arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(),
                                             place);
          return tensor::ExtractOp::create(b, op.getLoc(), op.getOperand(0),
                                           place);
        });
    return op.replace({values, places});
  }
  return op.leave("only sorts of floats, the largest first, and of a row of "
                  "integers, the smallest first, are known");
}

static LogicalResult convertTopK(ForeignOp &op) {
  auto k = op.getInt("k");
  RankedTensorType type = op.getResultType();
  if (!k || !type || !isa<FloatType>(type.getElementType()) ||
      Upstream::typeOf(op.getOperand(0)).isDynamicDim(type.getRank() - 1))
    return op.leave("it is not the K largest of rows of floats");
  auto [values, places] =
      op.upstream.topK(op.getOperand(0), *k, getSignless(op.getElementType(1)));
  return op.replace({values, places});
}

/// jax.export wraps ops of chlo.
static LogicalResult convertComposite(ForeignOp &op) {
  auto attributes =
      dyn_cast_or_null<DictionaryAttr>(op.getAttr("composite_attributes"));
  auto k = attributes ? attributes.getAs<IntegerAttr>("k") : IntegerAttr();
  if (op.getString("name") != "chlo.top_k" || !k ||
      op.getOperation()->getNumResults() != 2)
    return op.leave("of composites only chlo.top_k is known");
  auto [values, places] = op.upstream.topK(op.getOperand(0), k.getInt(),
                                           getSignless(op.getElementType(1)));
  return op.replace({values, places});
}

LogicalResult moe::raise::convertArgMax(ForeignOp &op, ArrayRef<int64_t> dims) {
  RankedTensorType type = Upstream::typeOf(op.getOperand(0));
  if (dims.size() != 1 || dims[0] != type.getRank() - 1 ||
      !isa<FloatType>(type.getElementType()) ||
      !isIota(op.getOperand(1), dims[0]))
    return op.leave("of two tensors at once only the largest of a row and its "
                    "place are known");
  Block &body = op.getOperation()->getRegion(0).front();
  bool isLargest = false;
  for (Operation &inner : getBodyOps(body)) {
    ForeignOp nested(&inner, op.upstream, op.table);
    if (inner.getName().getStringRef() != "stablehlo.compare" ||
        inner.getOperand(0) != body.getArgument(0) ||
        inner.getOperand(1) != body.getArgument(2))
      continue;
    StringRef direction = nested.getKeyword("comparison_direction");
    isLargest |= direction.starts_with("G");
    if (direction.starts_with("L"))
      return op.leave("the smallest of a row is not known");
  }
  if (!isLargest)
    return op.leave("its region does not look for the largest");
  auto [values, places] =
      op.upstream.topK(op.getOperand(0), 1, getSignless(op.getElementType(1)));
  Sizes sizes = op.upstream.sizesOf(values);
  sizes.pop_back();
  return op.replace(
      {op.upstream.reshape(values, sizes), op.upstream.reshape(places, sizes)});
}

//===----------------------------------------------------------------------===//
// Gathers
//===----------------------------------------------------------------------===//

/// An element of a tensor as an index.
static Value loadIndex(OpBuilder &b, Location loc, Value tensor,
                       ValueRange indices) {
  Value value = tensor::ExtractOp::create(b, loc, tensor, indices);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
}

static LogicalResult convertGather(ForeignOp &op) {
  StringRef numbers = "dimension_numbers";
  auto offsetDims = op.getField(numbers, "offset_dims"),
       collapsed = op.getField(numbers, "collapsed_slice_dims"),
       batching = op.getField(numbers, "operand_batching_dims"),
       indexBatching = op.getField(numbers, "start_indices_batching_dims"),
       startMap = op.getField(numbers, "start_index_map"),
       vectorDims = op.getField(numbers, "index_vector_dim");
  auto sliceSizes = op.getInts("slice_sizes");
  RankedTensorType operand = Upstream::typeOf(op.getOperand(0)),
                   starts = Upstream::typeOf(op.getOperand(1));
  if (!sliceSizes || vectorDims.size() > 1 || failed(needStatic(op)) ||
      !operand.hasStaticShape())
    return op.leave("its dimension numbers or sizes are no constants");
  int64_t vectorDim = vectorDims.empty() ? 0 : vectorDims.front();
  Location loc = op.getLoc();
  Value result = op.upstream.generate(
      getStaticSizes(op.getResultType()), operand.getElementType(),
      [&](OpBuilder &b, ValueRange out) -> Value {
        SmallVector<Value> batch, offset;
        for (auto [d, index] : llvm::enumerate(out))
          (llvm::is_contained(offsetDims, static_cast<int64_t>(d)) ? offset
                                                                   : batch)
              .push_back(index);
        Upstream scalars(b, loc);
        auto number = [&](int64_t value) {
          return scalars.scalar(b.getIndexType(), value);
        };
        // Where in the tensor of starts: with a component along vectorDim.
        auto startAt = [&](int64_t component) {
          SmallVector<Value> at(batch);
          if (vectorDim < starts.getRank())
            at.insert(at.begin() + vectorDim, number(component));
          return loadIndex(b, loc, op.getOperand(1), at);
        };
        SmallVector<Value> from;
        unsigned nextOffset = 0;
        for (int64_t d = 0; d < operand.getRank(); ++d) {
          Value index;
          auto mapped = llvm::find(startMap, d);
          if (mapped != startMap.end()) {
            index = startAt(mapped - startMap.begin());
            // Starts are clamped so that slices stay inside.
            index = arith::MinSIOp::create(
                b, loc, index,
                number(operand.getDimSize(d) - (*sliceSizes)[d]));
            index = arith::MaxSIOp::create(b, loc, index, number(0));
          }
          auto shared = llvm::find(batching, d);
          if (shared != batching.end()) {
            int64_t at = indexBatching[shared - batching.begin()];
            index = batch[at - (at > vectorDim)];
          } else if (!llvm::is_contained(collapsed, d)) {
            Value inside = offset[nextOffset++];
            index = index ? Value(arith::AddIOp::create(b, loc, index, inside))
                          : inside;
          }
          from.push_back(index ? index : number(0));
        }
        return tensor::ExtractOp::create(b, loc, op.getOperand(0), from);
      });
  return op.replace(result);
}

//===----------------------------------------------------------------------===//
// Scatters
//===----------------------------------------------------------------------===//

/// Each element of the result looks for the updates that are for it. A
/// dimension of the updates whose index is its own place is not looked through.
static LogicalResult convertScatter(ForeignOp &op) {
  StringRef numbers = "scatter_dimension_numbers";
  auto windowDims = op.getField(numbers, "update_window_dims"),
       inserted = op.getField(numbers, "inserted_window_dims"),
       toOperand = op.getField(numbers, "scatter_dims_to_operand_dims"),
       batching = op.getField(numbers, "input_batching_dims"),
       vectorDims = op.getField(numbers, "index_vector_dim");
  if (op.getNumOperands() != 3 || !batching.empty() || vectorDims.size() > 1)
    return op.leave("it scatters several tensors, or in batches");
  Value operand = op.getOperand(0), indices = op.getOperand(1),
        updates = op.getOperand(2);
  RankedTensorType type = Upstream::typeOf(operand),
                   updateType = Upstream::typeOf(updates),
                   indexType = Upstream::typeOf(indices);
  if (failed(needStatic(op)) || !updateType.hasStaticShape() ||
      op.getOperation()->getNumRegions() != 1)
    return op.leave("its sizes are no constants");
  int64_t vectorDim = vectorDims.empty() ? 0 : vectorDims.front();

  // Updates of whole windows come with the dimensions of the operand.
  SmallVector<int64_t> windowOf(type.getRank(), -1);
  unsigned next = 0;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (!llvm::is_contained(inserted, d)) {
      if (next == windowDims.size())
        return op.leave("its dimension numbers do not fit");
      windowOf[d] = windowDims[next++];
      if (llvm::is_contained(toOperand, d) ||
          updateType.getDimSize(windowOf[d]) != type.getDimSize(d))
        return op.leave("its windows begin somewhere inside");
    }
  SmallVector<int64_t> scatterDims;
  for (int64_t d = 0; d < updateType.getRank(); ++d)
    if (!llvm::is_contained(windowDims, d))
      scatterDims.push_back(d);

  // The index of update dimension d may be known to be that of the result.
  Elements elements(type.getContext());
  SmallVector<const Expr *> variables;
  for (int64_t d : scatterDims)
    variables.push_back(elements.variable(updateType.getDimSize(d)));
  auto componentAt = [&](int64_t component, auto &at, auto number) {
    if (vectorDim < indexType.getRank())
      at.insert(at.begin() + vectorDim, number(component));
  };
  unsigned rank = type.getRank();
  SmallVector<int64_t> loopOf(updateType.getRank(), -1);
  SmallVector<bool> isOwn(toOperand.size(), false);
  for (auto [c, d] : llvm::enumerate(toOperand)) {
    SmallVector<const Expr *> at(variables);
    componentAt(c, at, [&](int64_t v) { return elements.number(v); });
    const Expr *index = elements.element(indices, at);
    for (auto [u, variable] : llvm::zip_equal(scatterDims, variables))
      if (index == variable && loopOf[u] < 0 &&
          updateType.getDimSize(u) == type.getDimSize(d)) {
        loopOf[u] = d;
        isOwn[c] = true;
        break;
      }
  }
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (windowOf[d] >= 0)
      loopOf[windowOf[d]] = d;
  unsigned loops = rank;
  for (int64_t &loop : loopOf)
    if (loop < 0)
      loop = loops++;

  OpBuilder &b = op.upstream.getBuilder();
  SmallVector<AffineExpr> updateMap;
  for (int64_t loop : loopOf)
    updateMap.push_back(b.getAffineDimExpr(loop));
  AffineMap maps[] = {AffineMap::get(loops, 0, updateMap, b.getContext()),
                      AffineMap::getMultiDimIdentityMap(loops, b.getContext())
                          .getMajorSubMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.append(loops - rank, utils::IteratorType::reduction);
  Location loc = op.getLoc();
  bool isGood = true;
  Value result =
      linalg::GenericOp::create(
          b, loc, type, updates, operand, maps, iterators,
          [&](OpBuilder &nested, Location, ValueRange v) {
            Value isMeant;
            for (auto [c, d] : llvm::enumerate(toOperand)) {
              if (isOwn[c])
                continue;
              SmallVector<Value> at;
              for (int64_t u : scatterDims)
                at.push_back(linalg::IndexOp::create(nested, loc, loopOf[u]));
              Upstream scalars(nested, loc);
              componentAt(c, at, [&](int64_t value) {
                return scalars.scalar(nested.getIndexType(), value);
              });
              Value index = loadIndex(nested, loc, indices, at);
              Value here = linalg::IndexOp::create(nested, loc, d);
              Value same = arith::CmpIOp::create(
                  nested, loc, arith::CmpIPredicate::eq, index, here);
              isMeant =
                  isMeant
                      ? Value(arith::AndIOp::create(nested, loc, isMeant, same))
                      : same;
            }
            auto values = op.inlineScalars(op.getOperation()->getRegion(0),
                                           nested, {v[1], v[0]});
            isGood &= succeeded(values) && values->size() == 1;
            Value updated = isGood ? values->front() : v[0];
            // Sums are spelled as such.
            Operation *last = updated.getDefiningOp();
            if (isMeant &&
                isa_and_nonnull<arith::AddFOp, arith::AddIOp>(last) &&
                last->getOperand(0) == v[1] && last->getOperand(1) == v[0]) {
              Upstream scalars(nested, loc);
              nested.setInsertionPoint(last);
              Value zero = scalars.scalar(v[0].getType(), 0);
              Value term =
                  arith::SelectOp::create(nested, loc, isMeant, v[0], zero);
              last->setOperand(1, term);
              nested.setInsertionPointAfter(last);
            } else if (isMeant) {
              updated =
                  arith::SelectOp::create(nested, loc, isMeant, updated, v[1]);
            }
            linalg::YieldOp::create(nested, loc, updated);
          })
          .getResult(0);
  if (isGood)
    return op.replace(result);
  result.getDefiningOp()->erase();
  return op.leave("nothing is known of an op in its region");
}

//===----------------------------------------------------------------------===//
// Rows of groups
//===----------------------------------------------------------------------===//

/// Rows [M, K] of which group g has the next sizes[g], times [G, K, N].
static LogicalResult convertRaggedDot(ForeignOp &op) {
  StringRef numbers = "ragged_dot_dimension_numbers";
  auto lhsContracting = op.getField(numbers, "lhs_contracting_dimensions"),
       rhsContracting = op.getField(numbers, "rhs_contracting_dimensions"),
       lhsBatch = op.getField(numbers, "lhs_batching_dimensions"),
       ragged = op.getField(numbers, "lhs_ragged_dimensions"),
       group = op.getField(numbers, "rhs_group_dimensions");
  if (op.getNumOperands() != 3 || !lhsBatch.empty() ||
      ragged != ArrayRef<int64_t>{0} || group != ArrayRef<int64_t>{0} ||
      lhsContracting != ArrayRef<int64_t>{1} || rhsContracting.size() != 1)
    return op.leave(
        "only rows [M, K] of groups times [G, K, N] or [G, N, K] are "
        "known");
  return op.replace(op.upstream.groupedProduct(
      op.getOperand(0), op.getOperand(1), op.getOperand(2),
      /*isTransposed=*/rhsContracting.front() == 2));
}

void moe::raise::addStableHLOIndexing(ForeignTable &table) {
  table.add("stablehlo.sort", convertSort);
  table.add("chlo.top_k", convertTopK);
  table.add("stablehlo.composite", convertComposite);
  table.add("stablehlo.gather", convertGather);
  table.add("stablehlo.scatter", convertScatter);
  table.add("chlo.ragged_dot", convertRaggedDot);
}
