/*===- moe_vulkan.h - Layers on Vulkan devices ---------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* C99, and the loader's libvulkan.so.1, which is opened when it is asked for:
|* to run, a program needs no Vulkan library. Vulkan 1.2 with bufferDeviceAddress,
|* shaderInt64, shaderInt16, shaderInt8, storageBuffer16BitAccess and
|* storageBuffer8BitAccess; shaderFloat16 where a kernel asks for it.
|*
|* A layer that was compiled for such devices is called as any other, with a
|* runtime from here and all pointers, the workspace's, too, to the device's
|* memory. A call records its kernels one behind another and does not wait for
|* them. What was recorded is submitted at once when something waits for it, or
|* with moe_vulkan_flush().
|*
|* Kernels. `image` of a moe_launch is aligned to 8 bytes: "MOEV", how many
|* bytes follow as 32 bits, and a SPIR-V module whose entry points are kernels. A
|* kernel's arguments are one block of push constants: in order, pointers as 64
|* bits at the next multiple of 8, integers as 32 bits at the next multiple
|* of 4. Its threads and the memory that they share are fixed in the module; it has no
|* descriptor sets. A block's number is WorkgroupId.y * NumWorkgroups.x +
|* WorkgroupId.x; there may be more blocks than were asked for. `each` is for
|* each of 64 multiprocessors: Vulkan does not tell how many there are.
|*
|* A library that was built without Vulkan's headers has these functions, too:
|* opening a device fails and says so.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_VULKAN_H
#define MOE_VULKAN_H

#include "moe-mlir/Runtime/moe_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A device, the kernels that were made for it, a queue, and memory. */
typedef struct moe_vulkan moe_vulkan;

/** Writes the names of all devices, each with a newline, to the `bytes` bytes
 * of `names`, which may be null. Devices are numbered in this order from 0,
 * which is the loader's. Returns how many there are, or -1 with a sentence of
 * at most `message_bytes` bytes in `message`, which may be null. */
int moe_vulkan_devices(char *names, size_t bytes, char *message,
                       size_t message_bytes);

/** Opens device number `device`. Returns MOE_OK, or MOE_ERR_DEVICE with a
 * sentence of at most `bytes` bytes in `message`, which may be null. */
int moe_vulkan_open(int device, moe_vulkan **vulkan, char *message,
                    size_t bytes);

/** Waits for what was submitted, forgets what was not, and releases everything:
 *  kernels, and memory of moe_vulkan_allocate(). Before an artifact whose
 * layers were called is unloaded; null is fine. */
void moe_vulkan_close(moe_vulkan *vulkan);

/** The runtime to call layers with; one call at a time. Its hooks may be
 * changed: a `launch` of yours hands kernels on to the one that was there, with
 * the same `rt`. */
moe_rt *moe_vulkan_rt(moe_vulkan *vulkan);

/** The name that the driver gives the device. */
const char *moe_vulkan_name(const moe_vulkan *vulkan);

/** What the last failure was, as a sentence. A device that was lost stays lost:
 *  every later call but moe_vulkan_free() and moe_vulkan_close() fails. */
const char *moe_vulkan_error(const moe_vulkan *vulkan);

/** Memory of the device, aligned to 256 bytes; null if there is not enough. The
 *  pointer is an address on the device: the host cannot read through it. */
void *moe_vulkan_allocate(moe_vulkan *vulkan, size_t bytes);

/** Waits for kernels that were started where it has to; null is fine. */
void moe_vulkan_free(moe_vulkan *vulkan, void *memory);

/** Copies behind the kernels that were started, and waits. `device` points into
 *  memory of moe_vulkan_allocate(). Return MOE_OK or MOE_ERR_DEVICE. */
int moe_vulkan_copy_to(moe_vulkan *vulkan, void *device, const void *host,
                       size_t bytes);
int moe_vulkan_copy_from(moe_vulkan *vulkan, void *host, const void *device,
                         size_t bytes);

/** Submits what was recorded, and does not wait. */
int moe_vulkan_flush(moe_vulkan *vulkan);

/** Submits what was recorded, and waits for everything. */
int moe_vulkan_synchronize(moe_vulkan *vulkan);

#ifdef __cplusplus
}
#endif

#endif /* MOE_VULKAN_H */
