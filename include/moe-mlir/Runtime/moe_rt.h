/*===- moe_rt.h - What compiled MoE layers need at run time -------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* C99 and nothing else. A compiled layer is a plain C function:
|*
|*   int NAME(const moe_rt *rt, <sizes>, <arguments>, <results>,
|*            void *workspace, size_t workspace_bytes);
|*   size_t NAME_workspace_bytes(<sizes>);
|*
|* It allocates nothing, keeps no state between calls, and returns a
|* moe_status. Everything it wants from its surroundings - threads, a place for
|* messages, an ear for its routing - it asks from the hooks below; each can be
|* replaced by the program around it.
|*
|* Calls. Any number of calls may run at once, of the same function, too, as
|* long as their workspaces and results are different memory. Arguments are
|* only read. Sizes are zero or more; with zero tokens a call succeeds and
|* touches nothing.
|*
|* Checks. Everything is checked before anything is written: a call that
|* returns another status than MOE_OK has written no result.
|*
|* Alignment. Workspace and packed weights: MOE_ALIGNMENT bytes. Other
|* pointers: the alignment of their element type.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RT_H
#define MOE_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this interface: what the fields of moe_rt and
 *  moe_trace_event mean, and the numbers of the enumerations. Within a version
 *  functions come, and fields at the end of both structs, whose `size` tells
 *  which there are. docs/abi.md says what a newer and an older side do. */
#define MOE_RT_ABI 2u

/** Alignment of workspaces and packed weights in bytes. */
#define MOE_ALIGNMENT 64

/** What a call returns. New numbers may come; every one but MOE_OK is a
 *  failure. */
enum moe_status {
  MOE_OK = 0,
  /** A pointer is null whose tensor has elements, or the workspace is null
   *  although it must not be empty. */
  MOE_ERR_NULL_ARGUMENT = 1,
  /** A size is negative, or so large that a product of sizes overflows, or
   *  sizes do not fit each other: two that have to be the same are not, or a
   *  slice is not within its tensor. */
  MOE_ERR_BAD_SIZE = 2,
  /** The workspace is smaller than NAME_workspace_bytes() says. */
  MOE_ERR_WORKSPACE = 3,
  /** A pointer is less aligned than it has to be. */
  MOE_ERR_ALIGNMENT = 4,
  /** The function has no variant for this CPU, or MOE_VARIANT names none. */
  MOE_ERR_UNSUPPORTED_CPU = 5,
  /** A routing given as an argument names an expert out of range, or one twice
   *  for a token. */
  MOE_ERR_BAD_ROUTING = 6,
  /** `rt` is of another MOE_RT_ABI, or its `size` less than that version began
   *  with. Nobody is told: the hooks of such a runtime may be elsewhere. */
  MOE_ERR_BAD_ABI = 7,
  /** An argument holds a value that the layer has no meaning for, such as a
   *  token id outside of a table. */
  MOE_ERR_BAD_VALUE = 8,
  /** A kernel could not be started: `rt` has no launch hook, or that failed. */
  MOE_ERR_DEVICE = 9,
  /** A function that an expert calls returned something else than 0. */
  MOE_ERR_EXPERT = 10
};

/** Does `item`; `arg` is what parallel_for was given. */
typedef void (*moe_body_fn)(void *arg, int64_t item);

/** What happened; see moe_trace_event. */
enum moe_trace_kind {
  /** The routing of all tokens is known. */
  MOE_TRACE_ROUTING = 0,
  MOE_TRACE_PHASE_BEGIN = 1,
  MOE_TRACE_PHASE_END = 2
};

/** All pointers are valid during the call of the hook only. */
typedef struct moe_trace_event {
  int32_t kind; /**< A moe_trace_kind. */
  /** In bytes. A hook made with a later header than the layer looks here before
   *  it reads a later field. */
  uint32_t size;
  const char *function;           /**< The entry function. */
  const char *phase;              /**< For phases: which; otherwise null. */
  int64_t tokens, experts, slots; /**< T, E and K of a routing. */
  /** Assignments of expert e are offsets[e] up to offsets[e + 1]: [E + 1]. */
  const int32_t *offsets;
  /** Chosen experts, -1 in unused slots: [T * K]. */
  const int32_t *indices;
  /** Their weights: [T * K]. */
  const float *weights;
} moe_trace_event;

/** What an argument of a kernel is. */
enum moe_launch_kind {
  /** `pointer`, on the device. */
  MOE_LAUNCH_POINTER = 0,
  /** The 32 bits of `value`. */
  MOE_LAUNCH_I32 = 1,
  /** The map of a matrix of bf16 at `pointer` with `value` rows of `columns`
   *  values, copied in boxes of `box_rows` rows and 128 bytes, swizzled by 128
   *  bytes, with zeros behind the last row: CUDA's CUtensorMap, by value. */
  MOE_LAUNCH_MATRIX = 2
};

typedef struct moe_launch_argument {
  int32_t kind; /**< A moe_launch_kind. */
  int32_t box_rows;
  void *pointer;
  int64_t value, columns;
} moe_launch_argument;

/** A kernel to start. All pointers to the host are valid during the call of the
 *  hook only, but `image`, which is valid as long as the artifact is loaded. */
typedef struct moe_launch {
  /** In bytes. */
  size_t size;
  /** The code that has the kernel: what moe_cuda.h, moe_hip.h or moe_vulkan.h
   *  says. */
  const char *image;
  const char *kernel;
  /** Blocks of threads; at most `each` for each multiprocessor of the device,
   *  unless that is 0. */
  int64_t blocks;
  int32_t each;
  int32_t threads;      /**< Of a block. */
  int32_t shared_bytes; /**< Memory that a block shares. */
  int32_t num_arguments;
  const moe_launch_argument *arguments;
  /** Not 0: the kernel itself waits for the ones before it, so that its blocks
   *  may be set up while those end (programmatic dependent launch). */
  int64_t overlaps;
} moe_launch;

/** The hooks. Fill one with moe_rt_init() and change what you want to; do not
 *  copy one that others made, which may be larger or smaller. Calls read it and
 *  never write it, so any number of threads may share one. */
typedef struct moe_rt {
  /** MOE_RT_ABI. */
  uint32_t abi;
  /** How many threads parallel_for uses at most; 1 or more. Kernels cut their
   *  work by it, and results do not depend on it. */
  int32_t num_threads;
  /** sizeof(moe_rt), as whoever owns the memory compiled it. Nobody reads or
   *  writes behind it: a hook that would be there is absent, which is what a
   *  null hook is, too. */
  size_t size;
  /** Calls body(arg, item) exactly once for each item of [0, items), in any
   *  order, on any threads, and returns when all of them are done; what the
   *  bodies wrote is visible then. Bodies do not throw, block or call
   *  parallel_for. May run everything on the calling thread. Handing items out
   *  in ascending order, one by one, balances best: large ones come first. */
  void (*parallel_for)(const struct moe_rt *rt, int64_t items, moe_body_fn body,
                       void *arg);
  /** Told about each failed call before it returns `status`: one sentence with
   *  the values that matter, valid during the call. May be null. */
  void (*error)(const struct moe_rt *rt, int status, const char *message);
  /** Told what happens inside of a call, by the thread that called. Null (the
   *  default) costs nothing. */
  void (*trace)(const struct moe_rt *rt, const moe_trace_event *event);
  /** For you: nothing here looks at it. */
  void *user;
  /** Starts a kernel behind those that were started before, and does not wait
   *  for it: of layers that were compiled for a device, whose arguments, results
   *  and workspace are in its memory. Anything but 0 ends the call with
   *  MOE_ERR_DEVICE. Null by default; moe_cuda.h, moe_hip.h and moe_vulkan.h
   *  have one. */
  int (*launch)(const struct moe_rt *rt, const moe_launch *launch);
  /** What `launch` starts kernels on: "nvidia", "amd" or "vulkan", as manifests
   *  call it; null by default. Functions of an artifact that has code for
   * several choose by it (docs/abi.md): null without a launch hook stands for
   * the CPU, and with one for the only kind of device that the artifact has
   * code for. */
  const char *device;
  /** Which of its chips: of NVIDIA's and AMD's GPUs ten times the major and
   * once the minor number of the compute capability that the driver tells, such
   * as 90; 0: any. */
  uint64_t device_model;
  /* New fields come here, of 8 bytes each: `size` cannot tell of one that fits
     into padding. */
} moe_rt;

/** Fills the `size` bytes of `rt`, sizeof(moe_rt) in the caller's header, with
 *  the default hooks and nulls for those that only the caller knows. For
 *  callers without this header; all others write moe_rt_init(). */
void moe_rt_init_sized(moe_rt *rt, size_t size, int32_t num_threads);

/** Fills `rt` with the default hooks: parallel_for on OpenMP where the library
 *  was built with it (one item at a time; on the calling thread alone inside of
 *  another parallel region, and in the child of a fork() of a process that has
 *  used the hook), error to stderr, no trace. `num_threads` of 0 or
 *  less means all that OpenMP would use: OMP_NUM_THREADS or the CPUs this
 *  process may run on. */
static inline void moe_rt_init(moe_rt *rt, int32_t num_threads) {
  moe_rt_init_sized(rt, sizeof(moe_rt), num_threads);
}

/** What a null `rt` stands for: moe_rt_init(rt, 0) at the first use. Safe to
 *  call from any thread. */
const moe_rt *moe_rt_default(void);

/** What NAME__invoke is: sizes, then arguments and results in order. */
typedef int moe_invoke_function(const moe_rt *rt, const int64_t *sizes,
                                void *const *buffers, void *workspace,
                                size_t workspace_bytes);
/** What NAME__invoke_workspace is. */
typedef size_t moe_workspace_function(const int64_t *sizes);

/** One of several layers with the same code; generated headers have tables. */
typedef struct moe_layer {
  const char *name; /**< In the model: packed weights are "name/argument". */
  moe_invoke_function *invoke;
  moe_workspace_function *workspace_bytes;
  int64_t layer; /**< Its number in the model, or -1. */
} moe_layer;

/** "workspace too small" for MOE_ERR_WORKSPACE; never null. */
const char *moe_status_string(int status);

/** Bits of moe_rt_cpu_features(). New ones may come; none changes its
 *  meaning. */
enum moe_cpu_feature {
  /** x86-64-v3: AVX2, FMA, F16C, BMI2 */
  MOE_CPU_X86_V3 = 1 << 0,
  /** x86-64-v4: also AVX-512 F, BW, CD, DQ, VL */
  MOE_CPU_X86_V4 = 1 << 1,
  /** AVX512-BF16 and VBMI2 beside x86-64-v4 */
  MOE_CPU_X86_AVX512_BF16 = 1 << 2,
  /** AVX512-VNNI beside x86-64-v4, and AVX-VNNI beside x86-64-v3: dot products
   *  of bytes */
  MOE_CPU_X86_AVX512_VNNI = 1 << 3,
  MOE_CPU_X86_AVX_VNNI = 1 << 4,
  /** AArch64: Advanced SIMD, which all of them have under Linux */
  MOE_CPU_ARM_NEON = 1 << 8,
  MOE_CPU_ARM_DOTPROD = 1 << 9,
  /** Arithmetic on f16, scalars and vectors */
  MOE_CPU_ARM_FP16 = 1 << 10,
  MOE_CPU_ARM_I8MM = 1 << 11,
  MOE_CPU_ARM_BF16 = 1 << 12,
  MOE_CPU_ARM_SVE = 1 << 13,
  MOE_CPU_ARM_SVE2 = 1 << 14
};

/** What this CPU and its operating system can run: a set of moe_cpu_feature.
 *  Only variants of which every bit is there run. */
uint64_t moe_rt_cpu_features(void);

/** Which CPU this is: vendor << 32 | family << 16 | model, or 0 if that is not
 *  known. Vendors are 1 (Intel) and 2 (AMD), with family and model as the
 *  vendors count them, extended parts included, and 3 (Arm), with the
 *  implementer and the part number of MIDR_EL1. Where the CPUs of a machine
 *  differ, it is the first one's. */
uint64_t moe_rt_cpu_model(void);

/* Which variant. The functions of an artifact have one of its variants run: all
 * the same, chosen at the first call of any of them (NAME_workspace_bytes is
 * one, too) and never again. docs/abi.md says how. Environment variables:
 *
 *   MOE_VARIANT    a name of `targets` in the manifest, or several with commas
 *                  between: the first that the artifact has and the CPU
 *                  runs; where there is none, calls fail with
 *                  MOE_ERR_UNSUPPORTED_CPU. `*` among the names stands for the
 *                  usual choice.
 *   MOE_CALIBRATE  1: measures at that first call, where that would decide and
 *                  nobody has called moe_rt_set_calibration().
 *   MOE_X86_LEVEL  see moe_rt_x86_level(). */

/** How fast this CPU multiplies, in one thread. For CPUs that no variant of an
 *  artifact is made for. */
typedef struct moe_calibration {
  /** sizeof(moe_calibration), set by whoever owns the memory; fields come at
   *  the end. */
  size_t size;
  uint64_t model; /**< moe_rt_cpu_model() of where it was measured. */
  /** Millions of operations a second: f32 multiply-adds in the widest vectors
   *  there are, and dot or matrix products of bf16, 0 where there are no
   *  instructions for them. */
  int64_t fma, bf16;
} moe_calibration;

/** Measures, in less than 50 ms of this thread, and changes nothing else. Keep
 *  the result: two may differ where they are near the line, and results of
 *  variants that do not agree bit for bit with them. MOE_ERR_BAD_SIZE if `size`
 *  is less than that of the fields above. */
int moe_rt_calibrate(moe_calibration *calibration);

/** What choices from now on go by; null: nothing, as in the beginning. Call it
 *  before the functions of an artifact. MOE_ERR_BAD_VALUE, and nothing changes,
 *  if it is of another model of CPU than this, or no calibration. */
int moe_rt_set_calibration(const moe_calibration *calibration);

/** The x86-64 bits of moe_rt_cpu_features() as one number:
 *  0  less than the next, or not an x86-64 CPU
 *  3  MOE_CPU_X86_V3
 *  4  also MOE_CPU_X86_V4
 *  5  also MOE_CPU_X86_AVX512_BF16
 *  The environment variable MOE_X86_LEVEL takes the bits above it away (read
 *  once). Both are from before there was MOE_VARIANT. */
int moe_rt_x86_level(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_RT_H */
