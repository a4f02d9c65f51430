/*===- moe_cuda.h - Layers on NVIDIA's GPUs -----------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* C99, and the driver's libcuda.so.1, which is opened when it is asked for: no
|* CUDA headers or libraries are needed, to build or to run.
|*
|* A layer that was compiled for such a device is called as any other, with a
|* runtime from here and all pointers, the workspace's, too, to the device's
|* memory. It starts its kernels one after another on the runtime's stream and
|* does not wait for them: nothing in a call synchronises or allocates, so that
|* calls can be captured into a graph once each of their kernels has run before.
|*
|* Kernels. `image` of a moe_launch is PTX, ending in a zero; or it is aligned to
|* 8 bytes and holds "MOEC", the bytes of a cubin as 32 bits, the cubin, and at the
|* next multiple of 8 the PTX. The cubin is loaded where the driver takes it.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_CUDA_H
#define MOE_CUDA_H

#include "moe-mlir/Runtime/moe_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A device, the kernels that were loaded onto it, and a stream. */
typedef struct moe_cuda moe_cuda;

/** Opens device number `device` in its primary context, which PyTorch and the
 *  CUDA runtime use, too. Returns MOE_OK, or MOE_ERR_DEVICE with a sentence of at
 *  most `bytes` bytes in `message`, which may be null. */
int moe_cuda_open(int device, moe_cuda **cuda, char *message, size_t bytes);

/** Unloads all kernels. Before an artifact whose layers were called is
 *  unloaded; null is fine. */
void moe_cuda_close(moe_cuda *cuda);

/** The runtime to call layers with; one call at a time. Its hooks may be changed:
 *  a `launch` of yours hands kernels on to the one that was there, with the same
 *  `rt`. */
moe_rt *moe_cuda_rt(moe_cuda *cuda);

/** The stream, a CUstream, that kernels are started on from now on; null, as in
 *  the beginning, is the default stream. */
void moe_cuda_set_stream(moe_cuda *cuda, void *stream);

/** What the last failure was, as a sentence. */
const char *moe_cuda_error(const moe_cuda *cuda);

/** Memory of the device, aligned to 256 bytes; null if there is not enough. */
void *moe_cuda_allocate(moe_cuda *cuda, size_t bytes);
void moe_cuda_free(moe_cuda *cuda, void *memory);

/** Copies on the stream, and waits. Return MOE_OK or MOE_ERR_DEVICE. */
int moe_cuda_copy_to(moe_cuda *cuda, void *device, const void *host,
                     size_t bytes);
int moe_cuda_copy_from(moe_cuda *cuda, void *host, const void *device,
                       size_t bytes);
int moe_cuda_synchronize(moe_cuda *cuda);

#ifdef __cplusplus
}
#endif

#endif /* MOE_CUDA_H */
