/*===- Hip.c - Layers on AMD's GPUs --------------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_hip.h"

#include "Driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct moe_hip {
  moe_driver driver; /* First: what is shared has its address. */
  int device;
  /* What is called of the driver, with its types: results are int, handles and
     addresses in the device's memory void *. */
  int (*Init)(unsigned);
  int (*SetDevice)(int);
  int (*DeviceGetAttribute)(int *, int, int);
  int (*ModuleLoadData)(void **, const void *);
  int (*ModuleUnload)(void *);
  int (*ModuleGetFunction)(void **, void *, const char *);
  int (*ModuleLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned,
                            unsigned, unsigned, unsigned, void *, void **,
                            void **);
  int (*Malloc)(void **, size_t);
  int (*Free)(void *);
  int (*MemcpyHtoDAsync)(void *, const void *, size_t, void *);
  int (*MemcpyDtoHAsync)(void *, void *, size_t, void *);
  int (*StreamSynchronize)(void *);
  const char *(*GetErrorName)(int);
};

/* Of hipDeviceAttribute_t: ComputeCapabilityMajor and -Minor,
 * MultiprocessorCount. */
enum { kMajor = 23, kMinor = 61, kMultiprocessors = 63 };

static const moe_driver_function functions[] = {
    {"hipInit", offsetof(moe_hip, Init)},
    {"hipSetDevice", offsetof(moe_hip, SetDevice)},
    {"hipDeviceGetAttribute", offsetof(moe_hip, DeviceGetAttribute)},
    {"hipModuleLoadData", offsetof(moe_hip, ModuleLoadData)},
    {"hipModuleUnload", offsetof(moe_hip, ModuleUnload)},
    {"hipModuleGetFunction", offsetof(moe_hip, ModuleGetFunction)},
    {"hipModuleLaunchKernel", offsetof(moe_hip, ModuleLaunchKernel)},
    {"hipMalloc", offsetof(moe_hip, Malloc)},
    {"hipFree", offsetof(moe_hip, Free)},
    {"hipMemcpyHtoDAsync", offsetof(moe_hip, MemcpyHtoDAsync)},
    {"hipMemcpyDtoHAsync", offsetof(moe_hip, MemcpyDtoHAsync)},
    {"hipStreamSynchronize", offsetof(moe_hip, StreamSynchronize)},
    {"hipGetErrorName", offsetof(moe_hip, GetErrorName)}};

static moe_hip *get(moe_driver *driver) { return (moe_hip *)driver; }

static int check(moe_hip *hip, int result, const char *what) {
  return moe_driver_check(&hip->driver, result, what);
}

/* The device is one of the calling thread's. */
static int enter(moe_hip *hip) {
  return check(hip, hip->SetDevice(hip->device), "hipSetDevice");
}

static const char *nameResult(moe_driver *driver, int result) {
  return get(driver)->GetErrorName(result);
}

static int loadModule(moe_driver *driver, void **module, const void *image) {
  return get(driver)->ModuleLoadData(module, image);
}

static int unloadModule(moe_driver *driver, void *module) {
  return get(driver)->ModuleUnload(module);
}

static int findFunction(moe_driver *driver, void **function, void *module,
                        const char *name) {
  return get(driver)->ModuleGetFunction(function, module, name);
}

static int launchKernel(moe_driver *driver, const moe_launch *launch) {
  moe_hip *hip = get(driver);
  if (enter(hip))
    return MOE_ERR_DEVICE;
  void *function = moe_driver_find(driver, launch);
  void *values[MOE_DRIVER_ARGUMENTS], *pointers[MOE_DRIVER_ARGUMENTS];
  if (!function || moe_driver_get_arguments(driver, launch, values, pointers))
    return MOE_ERR_DEVICE;
  unsigned blocks = (unsigned)moe_driver_get_blocks(driver, launch);
  return check(hip,
               hip->ModuleLaunchKernel(function, blocks, 1, 1,
                                       (unsigned)launch->threads, 1, 1,
                                       (unsigned)launch->shared_bytes,
                                       driver->stream, pointers, NULL),
               launch->kernel);
}

static const moe_driver_calls calls = {nameResult,   loadModule, unloadModule,
                                       findFunction, NULL,       launchKernel};

static int openDevice(moe_hip *hip, int device) {
  if (moe_driver_open(&hip->driver, &calls, "AMD", "amd", "libamdhip64.so",
                      functions, sizeof(functions) / sizeof(functions[0])))
    return MOE_ERR_DEVICE;
  hip->device = device;
  if (check(hip, hip->Init(0), "hipInit") || enter(hip))
    return MOE_ERR_DEVICE;
  int major = 0, minor = 0;
  if (check(hip,
            hip->DeviceGetAttribute(&hip->driver.multiprocessors,
                                    kMultiprocessors, device),
            "hipDeviceGetAttribute") ||
      check(hip, hip->DeviceGetAttribute(&major, kMajor, device),
            "hipDeviceGetAttribute") ||
      check(hip, hip->DeviceGetAttribute(&minor, kMinor, device),
            "hipDeviceGetAttribute"))
    return MOE_ERR_DEVICE;
  hip->driver.rt.device_model = (uint64_t)(major * 10 + minor);
  return MOE_OK;
}

int moe_hip_open(int device, moe_hip **out, char *message, size_t bytes) {
  *out = NULL;
  moe_hip *hip = calloc(1, sizeof(*hip));
  if (!hip) {
    if (message)
      snprintf(message, bytes, "out of memory");
    return MOE_ERR_DEVICE;
  }
  if (openDevice(hip, device)) {
    if (message)
      snprintf(message, bytes, "%s", hip->driver.error);
    moe_hip_close(hip);
    return MOE_ERR_DEVICE;
  }
  *out = hip;
  return MOE_OK;
}

void moe_hip_close(moe_hip *hip) {
  if (!hip)
    return;
  if (hip->driver.modules)
    hip->SetDevice(hip->device);
  moe_driver_release(&hip->driver);
  if (hip->driver.library)
    dlclose(hip->driver.library);
  free(hip);
}

moe_rt *moe_hip_rt(moe_hip *hip) { return &hip->driver.rt; }

void moe_hip_set_stream(moe_hip *hip, void *stream) {
  hip->driver.stream = stream;
}

const char *moe_hip_error(const moe_hip *hip) { return hip->driver.error; }

void *moe_hip_allocate(moe_hip *hip, size_t bytes) {
  void *memory = NULL;
  if (enter(hip) ||
      check(hip, hip->Malloc(&memory, bytes ? bytes : 1), "hipMalloc"))
    return NULL;
  return memory;
}

void moe_hip_free(moe_hip *hip, void *memory) {
  if (memory && !hip->SetDevice(hip->device))
    hip->Free(memory);
}

int moe_hip_synchronize(moe_hip *hip) {
  if (enter(hip))
    return MOE_ERR_DEVICE;
  return check(hip, hip->StreamSynchronize(hip->driver.stream), "a kernel");
}

int moe_hip_copy_to(moe_hip *hip, void *device, const void *host,
                    size_t bytes) {
  if (enter(hip) ||
      check(hip, hip->MemcpyHtoDAsync(device, host, bytes, hip->driver.stream),
            "copying to the device"))
    return MOE_ERR_DEVICE;
  return moe_hip_synchronize(hip);
}

int moe_hip_copy_from(moe_hip *hip, void *host, const void *device,
                      size_t bytes) {
  if (enter(hip) || check(hip,
                          hip->MemcpyDtoHAsync(host, (void *)device, bytes,
                                               hip->driver.stream),
                          "copying from the device"))
    return MOE_ERR_DEVICE;
  return moe_hip_synchronize(hip);
}
