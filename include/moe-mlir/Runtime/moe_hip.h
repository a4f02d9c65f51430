/*===- moe_hip.h - Layers on AMD's GPUs ----------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* C99, and libamdhip64.so of ROCm, which is opened when it is asked for: no
|* headers or libraries are needed to build. Not run on a device yet: the tests
|* call it with a library in the place of that one.
|*
|* A layer that was compiled for such a device is called as any other, with a
|* runtime from here and all pointers, the workspace's, too, to the device's
|* memory. It starts its kernels one after another on the runtime's stream and
|* does not wait for them: nothing in a call synchronises or allocates, so that
|* calls can be captured into a graph once each of their kernels has run before.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_HIP_H
#define MOE_HIP_H

#include "moe-mlir/Runtime/moe_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A device, the kernels that were loaded onto it, and a stream. */
typedef struct moe_hip moe_hip;

/** Opens device number `device` in its primary context, which PyTorch uses, too.
 *  Calls leave it the calling thread's current device. Returns MOE_OK, or
 *  MOE_ERR_DEVICE with a sentence of at most `bytes` bytes in `message`, which
 *  may be null. */
int moe_hip_open(int device, moe_hip **hip, char *message, size_t bytes);

/** Unloads all kernels. Before an artifact whose layers were called is
 *  unloaded; null is fine. */
void moe_hip_close(moe_hip *hip);

/** The runtime to call layers with; one call at a time. Its hooks may be changed:
 *  a `launch` of yours hands kernels on to the one that was there, with the same
 *  `rt`. */
moe_rt *moe_hip_rt(moe_hip *hip);

/** The stream, a hipStream_t, that kernels are started on from now on; null, as in
 *  the beginning, is the default stream. */
void moe_hip_set_stream(moe_hip *hip, void *stream);

/** What the last failure was, as a sentence. */
const char *moe_hip_error(const moe_hip *hip);

/** Memory of the device, aligned to 256 bytes; null if there is not enough. */
void *moe_hip_allocate(moe_hip *hip, size_t bytes);
void moe_hip_free(moe_hip *hip, void *memory);

/** Copies on the stream, and waits. Return MOE_OK or MOE_ERR_DEVICE. */
int moe_hip_copy_to(moe_hip *hip, void *device, const void *host,
                    size_t bytes);
int moe_hip_copy_from(moe_hip *hip, void *host, const void *device,
                      size_t bytes);
int moe_hip_synchronize(moe_hip *hip);

#ifdef __cplusplus
}
#endif

#endif /* MOE_HIP_H */
