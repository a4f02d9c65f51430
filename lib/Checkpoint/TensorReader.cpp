//===- TensorReader.cpp - Copying weights out of a checkpoint --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The tensors of an expression are parts of equal size of one row-major tensor,
// though each is somewhere of its own, and all steps together are a view of it:
// what is contiguous is copied run by run, the rest tile by tile. Only steps
// that are a view of a view, which no model needs, go element by element.
//
//===----------------------------------------------------------------------===//

#include "ConvertFloats.h"
#include "GPTQ.h"
#include "StridedView.h"
#include "moe-mlir/Support/Parallel.h"
#include "moe-mlir/Support/TensorIO.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace moe;
using namespace moe::detail;

/// Rows and columns of a tile, whose elements fit into the first level of cache
/// twice.
static constexpr int64_t tileSize = 32;
/// Elements that are converted at once.
static constexpr int64_t batchSize = tileSize * tileSize;
/// Bytes that one thread copies at a time.
static constexpr int64_t chunkBytes = 1 << 20;
/// No layer has more.
static constexpr size_t mostExperts = 1 << 16;

struct TensorReader::Source {
  std::vector<const char *> parts;
  std::vector<std::shared_ptr<void>> storage;
  /// Of weights that are decoded as they are read, in place of parts.
  std::vector<GPTQWeights> encoded;
  /// Elements of a part.
  int64_t partSize = 0;
  DType from = DType::F32, to = DType::F32;
  std::vector<int64_t> shape;
  int64_t count = 0;
  /// The first is a view of the parts, each other one of the elements of the
  /// one before.
  std::vector<StridedView> stages;

  bool isPlain() const { return stages.size() == 1; }
  /// Whether elements are copied as they are.
  bool keepsBits() const {
    return from == to || (!isConvertible(from) && !isNarrowing(from, to));
  }
  size_t fromBytes() const { return dtypeSize(from); }
  size_t toBytes() const { return dtypeSize(to); }
  const char *address(int64_t place) const {
    return parts[place / partSize] + place % partSize * fromBytes();
  }

  void store(const void *elements, char *out, int64_t count) const;
  void copyRun(int64_t place, int64_t count, char *out) const;
  void copyTiles(int64_t place, int64_t rows, int64_t columns, char *out) const;
  void copyChain(int64_t first, int64_t count, char *out) const;
  void copy(int64_t first, int64_t count, char *out) const;
  void forget(int64_t first, int64_t count) const;
};

//===----------------------------------------------------------------------===//
// Copying
//===----------------------------------------------------------------------===//

/// Writes aligned elements as they are wanted.
void TensorReader::Source::store(const void *elements, char *out,
                                 int64_t count) const {
  if (keepsBits())
    std::memcpy(out, elements, count * fromBytes());
  else
    convertFloats(from, to, elements, out, count);
}

/// Consecutive elements of the parts.
void TensorReader::Source::copyRun(int64_t place, int64_t count,
                                   char *out) const {
  while (count != 0) {
    int64_t here = std::min(count, partSize - place % partSize);
    if (!encoded.empty()) {
      float batch[batchSize];
      here = std::min(here, batchSize);
      encoded[place / partSize].decode(place % partSize, here, batch);
      store(batch, out, here);
      place += here;
      count -= here;
      out += here * toBytes();
      continue;
    }
    const char *data = address(place);
    if (keepsBits()) {
      std::memcpy(out, data, here * fromBytes());
    } else {
      // Files may hold elements anywhere.
      alignas(8) char batch[batchSize * sizeof(double)];
      here = std::min(here, batchSize);
      std::memcpy(batch, data, here * fromBytes());
      store(batch, out, here);
    }
    place += here;
    count -= here;
    out += here * toBytes();
  }
}

namespace {

/// A tile of elements of T, row-major in `out`, from `base` with strides in
/// elements.
template <typename T>
void gather(const char *base, int64_t rows, int64_t columns, int64_t rowStride,
            int64_t columnStride, void *out) {
  T *to = static_cast<T *>(out);
  auto load = [&](int64_t r, int64_t c) {
    std::memcpy(&to[r * columns + c],
                base + (r * rowStride + c * columnStride) * sizeof(T),
                sizeof(T));
  };
  // Along the shorter stride: each line of cache is met once.
  if (rowStride < columnStride)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t r = 0; r < rows; ++r)
        load(r, c);
  else
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        load(r, c);
}

} // namespace

/// The two innermost dimensions from `place` on, where the elements of a row
/// are apart.
void TensorReader::Source::copyTiles(int64_t place, int64_t rows,
                                     int64_t columns, char *out) const {
  const StridedView &view = stages.front();
  size_t rank = view.sizes.size();
  int64_t columnStride = view.strides.back(),
          rowStride = rank < 2 ? 0 : view.strides[rank - 2];
  alignas(8) char tile[batchSize * sizeof(double)];
  for (int64_t r = 0; r < rows; r += tileSize)
    for (int64_t c = 0; c < columns; c += tileSize) {
      int64_t height = std::min(tileSize, rows - r),
              width = std::min(tileSize, columns - c),
              begin = place + r * rowStride + c * columnStride,
              end =
                  begin + (height - 1) * rowStride + (width - 1) * columnStride;
      if (begin / partSize == end / partSize) {
        const char *base = address(begin);
        auto run = [&](auto element) {
          gather<decltype(element)>(base, height, width, rowStride,
                                    columnStride, tile);
        };
        switch (fromBytes()) {
        case 1:
          run(uint8_t());
          break;
        case 2:
          run(uint16_t());
          break;
        case 4:
          run(uint32_t());
          break;
        default:
          run(uint64_t());
        }
      } else {
        for (int64_t i = 0; i < height * width; ++i)
          std::memcpy(
              tile + i * fromBytes(),
              address(begin + i / width * rowStride + i % width * columnStride),
              fromBytes());
      }
      for (int64_t i = 0; i < height; ++i)
        store(tile + i * width * fromBytes(),
              out + ((r + i) * columns + c) * toBytes(), width);
    }
}

void TensorReader::Source::copyChain(int64_t first, int64_t count,
                                     char *out) const {
  alignas(8) char batch[batchSize * sizeof(double)];
  while (count != 0) {
    int64_t here = std::min(count, batchSize);
    for (int64_t i = 0; i < here; ++i) {
      int64_t place = first + i;
      for (const StridedView &stage : llvm::reverse(stages))
        place = stage.place(place);
      std::memcpy(batch + i * fromBytes(), address(place), fromBytes());
    }
    store(batch, out, here);
    first += here;
    count -= here;
    out += here * toBytes();
  }
}

void TensorReader::Source::copy(int64_t first, int64_t count, char *out) const {
  if (!isPlain())
    return copyChain(first, count, out);
  const StridedView &view = stages.front();
  size_t rank = view.sizes.size();
  int64_t columns = view.sizes.back(),
          rows = rank < 2 ? 1 : view.sizes[rank - 2];
  while (count != 0) {
    int64_t row = first / columns, column = first % columns;
    int64_t here = std::min(count, columns - column);
    int64_t place = view.place(first);
    if (view.strides.back() == 1) {
      copyRun(place, here, out);
    } else if (here != columns) {
      copyTiles(place, 1, here, out);
    } else {
      int64_t height = std::min(count / columns, rows - row % rows);
      copyTiles(place, height, columns, out);
      here = height * columns;
    }
    first += here;
    count -= here;
    out += here * toBytes();
  }
}

/// Lets the pages go that these elements were read from.
void TensorReader::Source::forget(int64_t first, int64_t count) const {
  if (!encoded.empty())
    return;
  std::pair<int64_t, int64_t> range(
      0, static_cast<int64_t>(parts.size()) * partSize - 1);
  if (isPlain())
    range = stages.front().places(first, count);
  for (int64_t place = range.first; place <= range.second;) {
    int64_t here =
        std::min(range.second + 1 - place, partSize - place % partSize);
    forgetRead(address(place), here * fromBytes());
    place += here;
  }
}

void TensorReader::read(int64_t first, int64_t count, void *out) const {
  const Source &own = *source;
  if (count == 0)
    return;
  bool isRuns = own.isPlain() && own.stages.front().strides.back() == 1;
  int64_t chunk = std::max<int64_t>(1, chunkBytes / own.toBytes());
  // Whole tiles of rows that are not contiguous.
  if (own.isPlain() && !isRuns) {
    int64_t strip = tileSize * own.stages.front().sizes.back();
    chunk = (chunk + strip - 1) / strip * strip;
  }
  int64_t begin = first / chunk, end = (first + count + chunk - 1) / chunk;
  parallelFor(end - begin, [&](int64_t item) {
    int64_t from = std::max(first, (begin + item) * chunk),
            to = std::min(first + count, (begin + item + 1) * chunk);
    own.copy(from, to - from,
             static_cast<char *>(out) + (from - first) * own.toBytes());
    if (isRuns)
      own.forget(from, to - from);
  });
  if (!isRuns)
    own.forget(first, count);
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

std::optional<HostTensor> TensorReader::view(int64_t first,
                                             int64_t count) const {
  const Source &own = *source;
  if (count == 0 || !own.isPlain() || !own.keepsBits() || !own.encoded.empty())
    return std::nullopt;
  const StridedView &view = own.stages.front();
  if (view.sizes.size() != 1 || view.strides[0] != 1)
    return std::nullopt;
  int64_t begin = view.offset + first, last = begin + count - 1;
  if (begin / own.partSize != last / own.partSize)
    return std::nullopt;
  HostTensor result;
  result.dtype = own.to;
  result.shape = {count};
  result.storage = std::shared_ptr<void>(source, const_cast<Source *>(&own));
  result.data = const_cast<char *>(own.address(begin));
  if (reinterpret_cast<uintptr_t>(result.data) % own.toBytes() != 0)
    return std::nullopt;
  return result;
}

bool TensorReader::isView() const { return view(0, source->count).has_value(); }

HostTensor TensorReader::get(const std::string &name) const {
  const Source &own = *source;
  if (std::optional<HostTensor> whole = view(0, own.count)) {
    whole->name = name;
    whole->shape = own.shape;
    return *whole;
  }
  HostTensor copy = HostTensor::allocate(own.to, own.shape, name);
  if (copy.data)
    read(0, own.count, copy.data);
  return copy;
}

//===----------------------------------------------------------------------===//
// Checking
//===----------------------------------------------------------------------===//

static std::string listSizes(llvm::ArrayRef<int64_t> sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i)
    text += (i ? "x" : "") + std::to_string(sizes[i]);
  return text + "]";
}

static std::vector<int64_t> withoutOnes(std::vector<int64_t> sizes) {
  llvm::erase(sizes, 1);
  return sizes;
}

std::optional<TensorReader>
TensorReader::make(const Checkpoint &checkpoint,
                   const TensorExpression &expression, DType dtype,
                   const std::vector<int64_t> &shape, std::string &error) {
  auto own = std::make_shared<Source>();
  int64_t bytes;
  auto refuse = [&](const std::string &what) {
    error = what;
    return std::nullopt;
  };
  if (!checkedByteSize(shape, dtypeSize(dtype), bytes))
    return refuse("a weight whose size overflows");
  if (expression.isStack() && (shape.empty() || shape[0] == 0))
    return refuse(checkpoint.getPath() + ": '" + expression.getName() +
                  "' stands for one tensor per expert, and the weight is " +
                  describeType(dtype, shape));
  int64_t experts = expression.isStack() ? shape[0] : 1;
  bool isGPTQ = !expression.getSteps().empty() &&
                expression.getSteps()[0].kind == TensorStep::Kind::GPTQ;
  std::vector<int64_t> sizes;
  const CheckpointTensor *first = nullptr;
  std::vector<std::string> missing;
  for (int64_t e = 0; e < experts; ++e) {
    std::string name = expression.nameOf(e);
    const CheckpointTensor *tensor = checkpoint.find(name);
    if (!tensor) {
      missing.push_back(std::move(name));
      // The shape may be anything.
      if (missing.size() > mostExperts)
        break;
    }
    if (!missing.empty())
      continue;
    if (!checkpoint.checkReadable(*tensor, error))
      return std::nullopt;
    first = first ? first : tensor;
    if (tensor->type != first->type || tensor->shape != first->shape)
      return refuse(checkpoint.getFile(*tensor) + ": tensor '" + name +
                    "' is " + tensor->describe() + ", and '" + first->name +
                    "' is " + first->describe());
    if (isGPTQ) {
      std::optional<GPTQWeights> weights = GPTQWeights::open(
          checkpoint, name, expression.getSteps()[0].numbers[0], error);
      if (!weights)
        return std::nullopt;
      sizes = weights->getShape();
      own->encoded.push_back(std::move(*weights));
      continue;
    }
    own->parts.push_back(checkpoint.getData(*tensor));
    std::shared_ptr<void> storage = checkpoint.getStorage(*tensor);
    if (!llvm::is_contained(own->storage, storage))
      own->storage.push_back(storage);
  }
  if (!missing.empty())
    return refuse(checkpoint.getPath() + ": lacks " + listTensors(missing));
  std::string where = checkpoint.getFile(*first) + ": tensor '" + first->name +
                      "', " + first->describe() + ", ";
  own->from = isGPTQ ? DType::F32 : first->dtype.value_or(DType::U8);
  own->to = dtype;
  own->shape = shape;
  if (!isGPTQ)
    sizes = first->getStoredShape();
  StridedView part = StridedView::whole(sizes);
  own->partSize = part.numElements();
  if (expression.isStack())
    sizes.insert(sizes.begin(), experts);
  own->stages.push_back(StridedView::whole(std::move(sizes)));
  int64_t block = first->isBlocks() ? first->blockBytes : 1;
  for (const TensorStep &step : expression.getSteps().drop_front(isGPTQ)) {
    std::optional<StridedView> next;
    std::string problem;
    if (!applyStep(step, block, own->stages.back(), next, problem))
      return refuse(where + "does not fit '" + expression.print() +
                    "': " + problem);
    if (next)
      own->stages.push_back(std::move(*next));
  }
  const std::vector<int64_t> &made = own->stages.back().sizes;
  std::vector<int64_t> wanted = shape;
  // Formats of blocks have an axis for the blocks of a row.
  if (block != 1 && wanted.size() >= 2 && wanted.back() == block) {
    wanted.pop_back();
    if (__builtin_mul_overflow(wanted.back(), block, &wanted.back()))
      return refuse("a weight whose size overflows");
  }
  if (withoutOnes(made) != withoutOnes(shape) &&
      withoutOnes(made) != withoutOnes(wanted))
    return refuse(where + "gives " + listSizes(made) + " by '" +
                  expression.print() + "', and the weight is " +
                  describeType(dtype, shape));
  if (!isConvertible(own->from, dtype))
    return refuse(where + "cannot become a weight of " +
                  describeType(dtype, shape));
  own->count = own->stages.back().numElements();
  // Views of views stay as they are: they are evaluated by the element.
  if (own->count != 0 && own->isPlain())
    own->stages.front() = own->stages.front().simplify();
  if (isGPTQ && (!own->isPlain() || own->stages.front().strides.size() != 1))
    return refuse(where + "does not fit '" + expression.print() +
                  "': behind 'gptq' only experts can be left out");
  TensorReader reader;
  reader.source = std::move(own);
  return reader;
}

HostTensor moe::evaluate(const Checkpoint &checkpoint,
                         const TensorExpression &expression, DType dtype,
                         const std::vector<int64_t> &shape,
                         std::string &error) {
  std::optional<TensorReader> reader =
      TensorReader::make(checkpoint, expression, dtype, shape, error);
  if (!reader)
    return {};
  HostTensor result = reader->get(expression.print());
  if (!result.data)
    error = "no memory for '" + expression.print() + "', " +
            describeType(dtype, shape);
  return result;
}
