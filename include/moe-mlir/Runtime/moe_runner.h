/*===- moe_runner.h - What moe-run and its runner exchange --------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* The records of a response; lib/Runtime/Runner.c describes the files. Both
|* sides are of one build: nothing here is an interface for others.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RUNNER_H
#define MOE_RUNNER_H

#define MOE_RUNNER_MAGIC "MOERUN02"

/** Kinds of records. The last two come last. */
enum moe_runner_record {
  /** What the function told the error hook: text. */
  MOE_RUNNER_MESSAGE = 1,
  /** A routing: tokens, experts, slots, the lengths of the offsets, indices,
   *  weights and the function's name, then these four. */
  MOE_RUNNER_ROUTING = 2,
  /** The bytes of a result, one record each; only if the call succeeded. */
  MOE_RUNNER_RESULT = 3,
  /** The name of the target whose code ran, if there was one: text. */
  MOE_RUNNER_VARIANT = 5,
  /** Status, bytes of the workspace, threads. Without it the runner died. */
  MOE_RUNNER_END = 4
};

#endif /* MOE_RUNNER_H */
