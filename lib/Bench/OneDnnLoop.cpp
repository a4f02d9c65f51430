//===- OneDnnLoop.cpp - The layer as a loop over library GEMMs -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a good engineer writes by hand on oneDNN: tokens sorted by expert, rows
// gathered, gate and up GEMMs, activation, down GEMM, weighted sum in a fixed
// order. Weights are packed once into the layout the library asks for, and
// there is one primitive per distinct number of rows. Experts run one to a
// thread, largest first, each with sequential GEMMs; only where that leaves
// threads idle does the whole pool share an expert.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Layer.h"

#ifndef MOE_BENCH_HAVE_ONEDNN

std::unique_ptr<moe::bench::Baseline>
moe::bench::createOneDnnLoop(const LayerSpec &, std::string &error) {
  error = "this build has no oneDNN (package libdnnl-dev)";
  return nullptr;
}
std::string moe::bench::oneDnnVersion() { return {}; }

#else

#include "moe-mlir/Run/OpenMP.h"

#include "moe-mlir/Support/FloatConversions.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <numeric>
#include <oneapi/dnnl/dnnl.hpp>

using namespace moe;
using namespace moe::bench;
using dnnl::memory;

namespace {

// What versions 2 and 3 say differently.
#if DNNL_VERSION_MAJOR >= 3
dnnl::matmul::primitive_desc
describeMatmul(const dnnl::engine &engine, const memory::desc &src,
               const memory::desc &weights, const memory::desc &bias,
               const memory::desc &dst,
               const dnnl::primitive_attr &attributes) {
  return {engine, src, weights, bias, dst, attributes};
}

void appendEltwise(dnnl::post_ops &chain, dnnl::algorithm algorithm,
                   float alpha, float beta) {
  chain.append_eltwise(algorithm, alpha, beta);
}
#else
dnnl::matmul::primitive_desc
describeMatmul(const dnnl::engine &engine, const memory::desc &src,
               const memory::desc &weights, const memory::desc &bias,
               const memory::desc &dst,
               const dnnl::primitive_attr &attributes) {
  return {dnnl::matmul::desc(src, weights, bias, dst), attributes, engine};
}

void appendEltwise(dnnl::post_ops &chain, dnnl::algorithm algorithm,
                   float alpha, float beta) {
  chain.append_eltwise(1.0f, algorithm, alpha, beta);
}
#endif

/// The GEMMs of the layer. Shared ones have their own shapes.
enum Role { Router, Gate, Up, Down, SharedGate, SharedUp, SharedDown };
constexpr int numRoles = 7;

/// One projection for all its experts, packed.
struct Projection {
  int64_t experts = 0, n = 0, k = 0;
  memory::desc packed;
  HostTensor data, bias;
  std::vector<memory> weights, biases; ///< per expert
};

/// A GEMM for one number of rows, with the objects each thread runs it with.
struct Gemm {
  dnnl::matmul primitive;
  struct Arguments {
    memory src, dst, factor, scratch;
  };
  std::vector<Arguments> perThread;
};

struct ThreadBuffers {
  HostTensor rows, gate, hidden;
  std::vector<char> scratch;
};

class OneDnnLoop final : public Baseline {
public:
  explicit OneDnnLoop(const LayerSpec &spec)
      : spec(spec), engine(dnnl::engine::kind::cpu, 0), stream(engine),
        dtype(spec.weightType == DType::BF16 ? memory::data_type::bf16
                                             : memory::data_type::f32) {}

  bool setWeight(const HostTensor &weight, const FillWeight &fill,
                 std::string &error) override;
  bool prepare(const float *x, int64_t tokens, std::string &error) override;
  bool run(const float *x, float *y, int64_t tokens,
           std::string &error) override;

private:
  /// An expert and its rows of the routing order; the shared expert is number
  /// spec.experts and has every token.
  struct Item {
    int64_t expert, begin, rows;
    double cost;
  };

  bool isShared(int64_t expert) const { return expert == spec.experts; }
  int64_t widthOf(int64_t expert) const {
    return isShared(expert) ? spec.sharedIntermediate : spec.intermediate;
  }
  void pack(Projection &projection, const HostTensor &weight,
            const FillWeight &fill, bool isF32);
  Gemm &gemm(Role role, int64_t rows, bool together);
  void execute(Gemm &gemm, Role role, int64_t expert, void *src, void *dst,
               void *factor);
  void route(const float *x, int64_t tokens);
  void planItems(int64_t tokens);
  void runItem(const Item &item, bool together, const float *x);
  void combine(float *y, int64_t tokens);
  void reserveBuffers(int64_t tokens);

  LayerSpec spec;
  dnnl::engine engine;
  dnnl::stream stream;
  memory::data_type dtype;
  Projection projections[numRoles];
  HostTensor correction;
  std::map<std::tuple<int, int64_t, int, int>, Gemm> gemms;
  bool canCreate = false;

  // Of the batch at hand.
  std::vector<float> logits;
  Routing routing;
  std::vector<int32_t> tokenOf;      ///< per row of the routing order
  std::vector<int32_t> rowOf;        ///< [T, K]
  std::vector<Item> together, alone; ///< shared by the pool; one per thread
  HostTensor inputs;                 ///< x in the type of the weights
  HostTensor outputs;                ///< [A (+ T shared), H]
  std::vector<ThreadBuffers> buffers;
  int threads = 1;
};

} // namespace

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

static int roleOf(const std::string &name) {
  static const char *const names[numRoles] = {
      "router.weight",     "experts.gate_proj", "experts.up_proj",
      "experts.down_proj", "shared.gate_proj",  "shared.up_proj",
      "shared.down_proj"};
  for (int role = 0; role < numRoles; ++role)
    if (name == names[role])
      return role;
  return -1;
}

/// `shape` of a tensor, beginning with its element `first`.
static HostTensor makePart(const HostTensor &weight, std::vector<int64_t> shape,
                           uint64_t first, const FillWeight &fill) {
  HostTensor part =
      HostTensor::allocate(weight.dtype, std::move(shape), weight.name);
  if (!part.data)
    throw std::bad_alloc();
  fill(part, first);
  return part;
}

bool OneDnnLoop::setWeight(const HostTensor &weight, const FillWeight &fill,
                           std::string &error) {
  try {
    if (weight.name == "router.correction_bias") {
      correction = makePart(weight, weight.shape, 0, fill);
      return true;
    }
    std::string name = weight.name;
    bool isBias = false;
    if (name == "router.bias") {
      name = "router.weight";
      isBias = true;
    } else if (size_t at = name.rfind("_bias"); at != std::string::npos) {
      name.resize(at);
      isBias = true;
    }
    int role = roleOf(name);
    if (role < 0) {
      error = "the oneDNN loop has no use for a tensor '" + weight.name + "'";
      return false;
    }
    if (isBias)
      projections[role].bias = makePart(weight, weight.shape, 0, fill);
    else
      pack(projections[role], weight, fill, role == Router);
  } catch (const std::exception &exception) {
    error = std::string("oneDNN: ") + exception.what() + " for '" +
            weight.name + "'";
    return false;
  }
  return true;
}

/// The experts' layout does not depend on the number of rows, so that one copy
/// of the weights serves all (gemm() checks that the library agrees).
void OneDnnLoop::pack(Projection &projection, const HostTensor &weight,
                      const FillWeight &fill, bool isF32) {
  auto type = isF32 ? memory::data_type::f32 : dtype;
  size_t rank = weight.shape.size();
  bool isStacked = rank == 3;
  projection.experts = isStacked ? weight.shape[0] : 1;
  const int64_t n = projection.n = weight.shape[rank - 2];
  const int64_t k = projection.k = weight.shape[rank - 1];

  const int64_t typicalRows = 16;
  memory::desc src({typicalRows, k}, type, memory::format_tag::ab);
  memory::desc any({k, n}, type, memory::format_tag::any);
  memory::desc dst({typicalRows, n}, memory::data_type::f32,
                   memory::format_tag::ab);
  projection.packed =
      describeMatmul(engine, src, any, memory::desc(), dst, {}).weights_desc();
  const int64_t bytes = (projection.packed.get_size() + 63) / 64 * 64;
  projection.data =
      HostTensor::allocate(DType::U8, {bytes * projection.experts});
  if (!projection.data.data)
    throw std::bad_alloc();

  // A row of the canonical tensor is a column here.
  memory::desc canonical({k, n}, type, memory::format_tag::ba);
  for (int64_t e = 0; e < projection.experts; ++e) {
    HostTensor expert = makePart(weight, {n, k}, e * n * k, fill);
    memory from(canonical, engine, expert.data);
    memory to(projection.packed, engine,
              projection.data.dataAs<char>() + e * bytes);
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    projection.weights.push_back(to);
  }
}

//===----------------------------------------------------------------------===//
// GEMMs
//===----------------------------------------------------------------------===//

/// The GEMM of `role` for a number of rows, sequential or run by all threads
/// `together`. Created on first use, outside parallel regions only.
Gemm &OneDnnLoop::gemm(Role role, int64_t rows, bool together) {
  auto key = std::make_tuple(int(role), rows, together ? threads : 1, threads);
  auto found = gemms.find(key);
  if (found != gemms.end())
    return found->second;
  if (!canCreate)
    throw std::runtime_error("a GEMM was not prepared");

  // The library cuts its work for as many threads as there are at creation.
  omp_set_num_threads(together ? threads : 1);
  Projection &projection = projections[role];
  const int64_t n = projection.n, k = projection.k;
  bool isUp = role == Up || role == SharedUp;
  bool isGate = role == Gate || role == SharedGate;
  auto type = role == Router ? memory::data_type::f32 : dtype;
  auto f32 = memory::data_type::f32;
  memory::desc src({rows, k}, type, memory::format_tag::ab);
  memory::desc factor({rows, n}, f32, memory::format_tag::ab);
  memory::desc dst({rows, n}, isUp ? dtype : f32, memory::format_tag::ab);

  // The activation is applied by the GEMMs as they store: gate stores
  // act(gate), and up multiplies by it and stores the hidden row.
  dnnl::post_ops chain;
  if (isGate && spec.activation == Activation::Silu)
    appendEltwise(chain, dnnl::algorithm::eltwise_swish, 1.0f, 0.0f);
  if (spec.activation == Activation::ClampedSwiglu) {
    const float lowest = std::numeric_limits<float>::lowest();
    if (isGate) {
      appendEltwise(chain, dnnl::algorithm::eltwise_clip, lowest, 7.0f);
      appendEltwise(chain, dnnl::algorithm::eltwise_swish, 1.702f, 0.0f);
    }
    if (isUp) {
      appendEltwise(chain, dnnl::algorithm::eltwise_clip, -7.0f, 7.0f);
      appendEltwise(chain, dnnl::algorithm::eltwise_linear, 1.0f, 1.0f);
    }
  }
  if (isUp)
    chain.append_binary(dnnl::algorithm::binary_mul, factor);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(chain);
  // The library's own scratchpad belongs to the thread that created the
  // primitive; several threads run this one.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  memory::desc bias;
  if (projection.bias.data)
    bias = memory::desc({1, n}, f32, memory::format_tag::ab);
  dnnl::matmul::primitive_desc primitive =
      describeMatmul(engine, src, projection.packed, bias, dst, attributes);
  std::string implementation = primitive.impl_info_str();
  if (implementation.find("ref") != std::string::npos)
    throw std::runtime_error("only a reference GEMM for " +
                             std::to_string(rows) + " rows");

  Gemm &created = gemms[key];
  created.primitive = dnnl::matmul(primitive);
  for (int t = 0; t < (together ? 1 : threads); ++t) {
    Gemm::Arguments arguments;
    arguments.src = memory(src, engine, nullptr);
    arguments.dst = memory(dst, engine, nullptr);
    arguments.factor = memory(factor, engine, nullptr);
    arguments.scratch = memory(primitive.scratchpad_desc(), engine);
    created.perThread.push_back(arguments);
  }
  omp_set_num_threads(threads);
  return created;
}

void OneDnnLoop::execute(Gemm &gemm, Role role, int64_t expert, void *src,
                         void *dst, void *factor) {
  Projection &projection = projections[role];
  size_t thread = omp_get_thread_num();
  Gemm::Arguments &arguments =
      gemm.perThread[gemm.perThread.size() == 1 ? 0 : thread];
  arguments.src.set_data_handle(src);
  arguments.dst.set_data_handle(dst);
  dnnl_exec_arg_t list[6] = {
      {DNNL_ARG_SRC, arguments.src.get()},
      {DNNL_ARG_WEIGHTS, projection.weights[expert].get()},
      {DNNL_ARG_DST, arguments.dst.get()},
      {DNNL_ARG_SCRATCHPAD, arguments.scratch.get()}};
  int count = 4;
  if (!projection.biases.empty())
    list[count++] = {DNNL_ARG_BIAS, projection.biases[expert].get()};
  if (factor) {
    arguments.factor.set_data_handle(factor);
    // Behind the element-wise operations of the chain, if there are any.
    int position = spec.activation == Activation::ClampedSwiglu ? 2 : 0;
    list[count++] = {DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1,
                     arguments.factor.get()};
  }
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(gemm.primitive.get(), stream.get(), count, list),
      "a GEMM failed");
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

void OneDnnLoop::route(const float *x, int64_t tokens) {
  logits.resize(tokens * spec.experts);
  execute(gemm(Router, tokens, true), Router, 0, const_cast<float *>(x),
          logits.data(), nullptr);
  selectExperts(spec, logits.data(), correction.dataAs<float>(), tokens,
                routing);

  // A counting sort: rows by expert, then by token.
  const int64_t assignments = tokens * spec.slots;
  std::vector<int32_t> next(spec.experts + 1, 0);
  for (int32_t expert : routing.experts)
    ++next[expert + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  tokenOf.resize(assignments);
  rowOf.resize(assignments);
  for (int64_t a = 0; a < assignments; ++a) {
    int32_t row = next[routing.experts[a]]++;
    tokenOf[row] = static_cast<int32_t>(a / spec.slots);
    rowOf[a] = row;
  }
  // next[e] is now where expert e ends.
  alone.clear();
  together.clear();
  int32_t begin = 0;
  for (int64_t e = 0; e < spec.experts; ++e) {
    if (next[e] > begin)
      alone.push_back({e, begin, next[e] - begin, 0});
    begin = next[e];
  }
  if (spec.sharedIntermediate)
    alone.push_back({spec.experts, assignments, tokens, 0});
  planItems(tokens);
}

/// Splits the items between those that every thread takes one of and those
/// that the pool shares, so that the last thread ends as early as possible.
void OneDnnLoop::planItems(int64_t tokens) {
  // A few rows cost as much as one: their time is that of the weights.
  const int64_t freeRows = 8;
  for (Item &item : alone)
    item.cost = double(widthOf(item.expert)) * std::max(freeRows, item.rows);
  std::stable_sort(
      alone.begin(), alone.end(),
      [](const Item &a, const Item &b) { return a.cost > b.cost; });
  if (threads == 1)
    return;

  const size_t most = std::min(alone.size(), size_t(threads));
  size_t best = 0;
  double bestTime = 0, sharedTime = 0;
  for (size_t shared = 0; shared <= most; ++shared) {
    std::vector<double> busy(threads, 0.0);
    for (size_t i = shared; i < alone.size(); ++i)
      *std::min_element(busy.begin(), busy.end()) += alone[i].cost;
    // Sharing a GEMM costs a little for each.
    double time =
        1.05 * sharedTime + *std::max_element(busy.begin(), busy.end());
    if (shared == 0 || time < bestTime) {
      best = shared;
      bestTime = time;
    }
    if (shared < most)
      sharedTime += alone[shared].cost / threads;
  }
  together.assign(alone.begin(), alone.begin() + best);
  alone.erase(alone.begin(), alone.begin() + best);
}

/// Gather and the three GEMMs; the shared expert needs no gather.
void OneDnnLoop::runItem(const Item &item, bool isTogether, const float *x) {
  ThreadBuffers &mine = buffers[isTogether ? 0 : omp_get_thread_num()];
  const int64_t h = spec.hidden;
  const size_t rowBytes = h * dtypeSize(spec.weightType);
  bool shared = isShared(item.expert);
  const char *source = spec.weightType == DType::F32
                           ? reinterpret_cast<const char *>(x)
                           : inputs.dataAs<char>();
  char *rows = mine.rows.dataAs<char>();
  if (shared) {
    rows = const_cast<char *>(source);
  } else {
#pragma omp parallel for schedule(static) if (isTogether && item.rows >= 16)
    for (int64_t r = 0; r < item.rows; ++r)
      std::copy_n(source + tokenOf[item.begin + r] * rowBytes, rowBytes,
                  rows + r * rowBytes);
  }
  Role gateRole = shared ? SharedGate : Gate;
  Role upRole = shared ? SharedUp : Up;
  Role downRole = shared ? SharedDown : Down;
  int64_t expert = shared ? 0 : item.expert;
  execute(gemm(gateRole, item.rows, isTogether), gateRole, expert, rows,
          mine.gate.data, nullptr);
  execute(gemm(upRole, item.rows, isTogether), upRole, expert, rows,
          mine.hidden.data, mine.gate.data);
  execute(gemm(downRole, item.rows, isTogether), downRole, expert,
          mine.hidden.data, outputs.dataAs<float>() + item.begin * h, nullptr);
}

void OneDnnLoop::combine(float *y, int64_t tokens) {
  const int64_t h = spec.hidden, k = spec.slots;
  const float *rows = outputs.dataAs<float>();
  const float *shared =
      spec.sharedIntermediate ? rows + tokens * k * h : nullptr;
  // Few tokens: split the columns instead.
  const int64_t parts = tokens >= 4 * threads ? 1 : 4;
  const int64_t part = (h + parts - 1) / parts;
#pragma omp parallel for collapse(2) schedule(static) if (tokens >= 4)
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t p = 0; p < parts; ++p) {
      const int64_t begin = p * part, end = std::min(h, begin + part);
      float *out = y + t * h;
      for (int64_t s = 0; s < k; ++s) {
        const float *row = rows + int64_t(rowOf[t * k + s]) * h;
        const float weight = routing.weights[t * k + s];
        if (s == 0) {
          for (int64_t c = begin; c < end; ++c)
            out[c] = weight * row[c];
        } else {
          for (int64_t c = begin; c < end; ++c)
            out[c] += weight * row[c];
        }
      }
      if (shared)
        for (int64_t c = begin; c < end; ++c)
          out[c] += shared[t * h + c];
    }
  }
}

void OneDnnLoop::reserveBuffers(int64_t tokens) {
  const int64_t h = spec.hidden;
  const int64_t width = std::max(spec.intermediate, spec.sharedIntermediate);
  auto reserve = [](HostTensor &tensor, DType type, int64_t count) {
    if (!tensor.data || tensor.numElements() < count)
      tensor = HostTensor::allocate(type, {count});
    if (!tensor.data)
      throw std::bad_alloc();
  };
  reserve(outputs, DType::F32,
          tokens * (spec.slots + (spec.sharedIntermediate ? 1 : 0)) * h);
  if (spec.weightType != DType::F32)
    reserve(inputs, spec.weightType, tokens * h);
  if (buffers.size() < size_t(threads))
    buffers.resize(threads);
  for (ThreadBuffers &mine : buffers) {
    reserve(mine.rows, spec.weightType, tokens * h);
    reserve(mine.gate, DType::F32, tokens * width);
    reserve(mine.hidden, spec.weightType, tokens * width);
  }
}

bool OneDnnLoop::prepare(const float *x, int64_t tokens, std::string &error) {
  threads = omp_get_max_threads();
  canCreate = true;
  try {
    for (Projection &projection : projections) {
      if (!projection.bias.data || !projection.biases.empty())
        continue;
      memory::desc desc({1, projection.n}, memory::data_type::f32,
                        memory::format_tag::ab);
      for (int64_t e = 0; e < projection.experts; ++e)
        projection.biases.emplace_back(
            desc, engine, projection.bias.dataAs<float>() + e * projection.n);
    }
    reserveBuffers(tokens);
    route(x, tokens);
    for (const std::vector<Item> *list : {&together, &alone}) {
      for (const Item &item : *list) {
        bool shared = isShared(item.expert);
        for (Role role : {shared ? SharedGate : Gate, shared ? SharedUp : Up,
                          shared ? SharedDown : Down})
          gemm(role, item.rows, list == &together);
      }
    }
  } catch (const std::exception &exception) {
    error = std::string("oneDNN: ") + exception.what();
  }
  omp_set_num_threads(threads);
  canCreate = false;
  return error.empty();
}

bool OneDnnLoop::run(const float *x, float *y, int64_t tokens,
                     std::string &error) {
  try {
    route(x, tokens);
    if (spec.weightType == DType::BF16) {
      const int64_t count = tokens * spec.hidden;
      uint16_t *converted = inputs.dataAs<uint16_t>();
#pragma omp parallel for simd schedule(static) if (tokens >= 16)
      for (int64_t i = 0; i < count; ++i)
        converted[i] = f32ToBF16(x[i]);
    }
    for (const Item &item : together)
      runItem(item, true, x);
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};
#pragma omp parallel if (alone.size() > 1)
    {
      // An exception must not leave the region.
      try {
        for (size_t i; (i = next.fetch_add(1)) < alone.size();)
          runItem(alone[i], false, x);
      } catch (const std::exception &) {
        failed = true;
      }
    }
    if (failed)
      error = "oneDNN: a GEMM failed";
    combine(y, tokens);
  } catch (const std::exception &exception) {
    error = std::string("oneDNN: ") + exception.what();
  }
  return error.empty();
}

std::unique_ptr<Baseline> bench::createOneDnnLoop(const LayerSpec &spec,
                                                  std::string &error) {
  if (spec.weightType != DType::F32 && spec.weightType != DType::BF16) {
    error = std::string("the oneDNN loop has no weights of type ") +
            dtypeName(spec.weightType);
    return nullptr;
  }
  try {
    return std::make_unique<OneDnnLoop>(spec);
  } catch (const std::exception &exception) {
    error = std::string("oneDNN: ") + exception.what();
    return nullptr;
  }
}

std::string bench::oneDnnVersion() {
  const dnnl_version_t *version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) +
         "." + std::to_string(version->patch);
}

#endif // MOE_BENCH_HAVE_ONEDNN
