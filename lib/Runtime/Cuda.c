/*===- Cuda.c - Layers on NVIDIA's GPUs ---------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM
Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_cuda.h"

#include "Driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CUlaunchAttribute and CUlaunchConfig. */
typedef struct launch_attribute {
  int id;
  char padding[4];
  union {
    int overlaps;
    char bytes[64];
  } value;
} launch_attribute;

typedef struct launch_config {
  unsigned blocks[3], threads[3], shared_bytes;
  void *stream;
  const launch_attribute *attributes;
  unsigned num_attributes;
} launch_config;

struct moe_cuda {
  moe_driver driver; /* First: what is shared has its address. */
  void *context;
  int device;
  /* What is called of the driver, with its types: results are int, handles
     void *, addresses in the device's memory unsigned long long. */
  int (*Init)(unsigned);
  int (*DeviceGet)(int *, int);
  int (*DeviceGetAttribute)(int *, int, int);
  int (*DevicePrimaryCtxRetain)(void **, int);
  int (*DevicePrimaryCtxRelease)(int);
  int (*CtxSetCurrent)(void *);
  int (*ModuleLoadData)(void **, const void *);
  int (*ModuleUnload)(void *);
  int (*ModuleGetFunction)(void **, void *, const char *);
  int (*FuncSetAttribute)(void *, int, int);
  int (*LaunchKernelEx)(const launch_config *, void *, void **, void **);
  int (*TensorMapEncodeTiled)(void *, int, unsigned, void *,
                              const unsigned long long *,
                              const unsigned long long *, const unsigned *,
                              const unsigned *, int, int, int, int);
  int (*MemAlloc)(unsigned long long *, size_t);
  int (*MemFree)(unsigned long long);
  int (*MemcpyHtoDAsync)(unsigned long long, const void *, size_t, void *);
  int (*MemcpyDtoHAsync)(void *, unsigned long long, size_t, void *);
  int (*StreamSynchronize)(void *);
  int (*GetErrorName)(int, const char **);
};

enum { kMultiprocessors = 16, kMajor = 75, kMinor = 76, kMaxSharedBytes = 8 };

static const moe_driver_function functions[] = {
    {"cuInit", offsetof(moe_cuda, Init)},
    {"cuDeviceGet", offsetof(moe_cuda, DeviceGet)},
    {"cuDeviceGetAttribute", offsetof(moe_cuda, DeviceGetAttribute)},
    {"cuDevicePrimaryCtxRetain", offsetof(moe_cuda, DevicePrimaryCtxRetain)},
    {"cuDevicePrimaryCtxRelease_v2",
     offsetof(moe_cuda, DevicePrimaryCtxRelease)},
    {"cuCtxSetCurrent", offsetof(moe_cuda, CtxSetCurrent)},
    {"cuModuleLoadData", offsetof(moe_cuda, ModuleLoadData)},
    {"cuModuleUnload", offsetof(moe_cuda, ModuleUnload)},
    {"cuModuleGetFunction", offsetof(moe_cuda, ModuleGetFunction)},
    {"cuFuncSetAttribute", offsetof(moe_cuda, FuncSetAttribute)},
    {"cuLaunchKernelEx", offsetof(moe_cuda, LaunchKernelEx)},
    {"cuTensorMapEncodeTiled", offsetof(moe_cuda, TensorMapEncodeTiled)},
    {"cuMemAlloc_v2", offsetof(moe_cuda, MemAlloc)},
    {"cuMemFree_v2", offsetof(moe_cuda, MemFree)},
    {"cuMemcpyHtoDAsync_v2", offsetof(moe_cuda, MemcpyHtoDAsync)},
    {"cuMemcpyDtoHAsync_v2", offsetof(moe_cuda, MemcpyDtoHAsync)},
    {"cuStreamSynchronize", offsetof(moe_cuda, StreamSynchronize)},
    {"cuGetErrorName", offsetof(moe_cuda, GetErrorName)}};

static moe_cuda *get(moe_driver *driver) { return (moe_cuda *)driver; }

static int check(moe_cuda *cuda, int result, const char *what) {
  return moe_driver_check(&cuda->driver, result, what);
}

static unsigned long long address(const void *pointer) {
  return (unsigned long long)(uintptr_t)pointer;
}

static const char *nameResult(moe_driver *driver, int result) {
  const char *name = NULL;
  return get(driver)->GetErrorName(result, &name) ? NULL : name;
}

/* An image is PTX, or has a cubin before it, which is for one chip; the driver
   compiles PTX for others. */
static int loadModule(moe_driver *driver, void **module, const void *image) {
  static const char magic[4] = {'M', 'O', 'E', 'C'};
  enum { kHeaderBytes = 8 };
  const char *code = image;
  if (strncmp(code, magic, sizeof(magic)) == 0) {
    uint32_t bytes;
    memcpy(&bytes, code + sizeof(magic), sizeof(bytes));
    code += kHeaderBytes;
    if (get(driver)->ModuleLoadData(module, code) == 0)
      return 0;
    code += ((size_t)bytes + 7) / 8 * 8;
  }
  return get(driver)->ModuleLoadData(module, code);
}

static int unloadModule(moe_driver *driver, void *module) {
  return get(driver)->ModuleUnload(module);
}

static int findFunction(moe_driver *driver, void **function, void *module,
                        const char *name) {
  return get(driver)->ModuleGetFunction(function, module, name);
}

static int prepare(moe_driver *driver, void *function,
                   const moe_launch *launch) {
  if (launch->shared_bytes <= 48 << 10)
    return MOE_OK;
  return check(get(driver),
               get(driver)->FuncSetAttribute(function, kMaxSharedBytes,
                                             launch->shared_bytes),
               "giving a kernel its shared memory");
}

/* A CUtensorMap: bf16, swizzled by 128 bytes, 256 bytes of the second-level
   cache at a time. */
static int encode(moe_cuda *cuda, void *map, const moe_launch_argument *from) {
  unsigned long long sizes[2] = {(unsigned long long)from->columns,
                                 (unsigned long long)from->value};
  unsigned long long stride = sizes[0] * 2;
  unsigned box[2] = {64, (unsigned)from->box_rows}, steps[2] = {1, 1};
  enum { kBF16 = 9, kSwizzle128 = 3, kPromote256 = 3 };
  return check(cuda,
               cuda->TensorMapEncodeTiled(map, kBF16, 2, from->pointer, sizes,
                                          &stride, box, steps, 0, kSwizzle128,
                                          kPromote256, 0),
               "describing a matrix");
}

static int launchKernel(moe_driver *driver, const moe_launch *launch) {
  enum { kMaps = 4, kMapBytes = 128, kMapAlignment = 64 };
  moe_cuda *cuda = get(driver);
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent"))
    return MOE_ERR_DEVICE;
  void *function = moe_driver_find(driver, launch);
  if (!function)
    return MOE_ERR_DEVICE;
  char memory[(kMaps + 1) * kMapBytes];
  char *maps = memory + (kMapAlignment - address(memory) % kMapAlignment);
  void *values[MOE_DRIVER_ARGUMENTS], *pointers[MOE_DRIVER_ARGUMENTS];
  if (moe_driver_get_arguments(driver, launch, values, pointers))
    return MOE_ERR_DEVICE;
  int numMaps = 0;
  for (int i = 0; i < launch->num_arguments; ++i) {
    if (launch->arguments[i].kind != MOE_LAUNCH_MATRIX)
      continue;
    if (numMaps == kMaps)
      return moe_driver_fail(driver, "%s has more than %d maps", launch->kernel,
                             kMaps);
    pointers[i] = maps + kMapBytes * numMaps++;
    if (encode(cuda, pointers[i], &launch->arguments[i]))
      return MOE_ERR_DEVICE;
  }
  enum { kProgrammaticStreamSerialization = 6 };
  launch_attribute overlaps = {kProgrammaticStreamSerialization, {0}, {1}};
  launch_config config = {
      {(unsigned)moe_driver_get_blocks(driver, launch), 1, 1},
      {(unsigned)launch->threads, 1, 1},
      (unsigned)launch->shared_bytes,
      driver->stream,
      &overlaps,
      launch->size >= sizeof(*launch) && launch->overlaps};
  return check(cuda, cuda->LaunchKernelEx(&config, function, pointers, NULL),
               launch->kernel);
}

static const moe_driver_calls calls = {nameResult,   loadModule, unloadModule,
                                       findFunction, prepare,    launchKernel};

static int openDevice(moe_cuda *cuda, int device) {
  if (moe_driver_open(&cuda->driver, &calls, "NVIDIA", "nvidia", "libcuda.so.1",
                      functions, sizeof(functions) / sizeof(functions[0])))
    return MOE_ERR_DEVICE;
  int major = 0, minor = 0;
  if (check(cuda, cuda->Init(0), "cuInit") ||
      check(cuda, cuda->DeviceGet(&cuda->device, device), "cuDeviceGet") ||
      check(cuda,
            cuda->DeviceGetAttribute(&cuda->driver.multiprocessors,
                                     kMultiprocessors, cuda->device),
            "cuDeviceGetAttribute") ||
      check(cuda, cuda->DeviceGetAttribute(&major, kMajor, cuda->device),
            "cuDeviceGetAttribute") ||
      check(cuda, cuda->DeviceGetAttribute(&minor, kMinor, cuda->device),
            "cuDeviceGetAttribute"))
    return MOE_ERR_DEVICE;
  cuda->driver.rt.device_model = (uint64_t)(major * 10 + minor);
  return check(cuda, cuda->DevicePrimaryCtxRetain(&cuda->context, cuda->device),
               "cuDevicePrimaryCtxRetain");
}

int moe_cuda_open(int device, moe_cuda **out, char *message, size_t bytes) {
  *out = NULL;
  moe_cuda *cuda = calloc(1, sizeof(*cuda));
  if (!cuda) {
    if (message)
      snprintf(message, bytes, "out of memory");
    return MOE_ERR_DEVICE;
  }
  if (openDevice(cuda, device)) {
    if (message)
      snprintf(message, bytes, "%s", cuda->driver.error);
    moe_cuda_close(cuda);
    return MOE_ERR_DEVICE;
  }
  *out = cuda;
  return MOE_OK;
}

void moe_cuda_close(moe_cuda *cuda) {
  if (!cuda)
    return;
  if (cuda->context)
    cuda->CtxSetCurrent(cuda->context);
  moe_driver_release(&cuda->driver);
  if (cuda->context)
    cuda->DevicePrimaryCtxRelease(cuda->device);
  if (cuda->driver.library)
    dlclose(cuda->driver.library);
  free(cuda);
}

moe_rt *moe_cuda_rt(moe_cuda *cuda) { return &cuda->driver.rt; }

void moe_cuda_set_stream(moe_cuda *cuda, void *stream) {
  cuda->driver.stream = stream;
}

const char *moe_cuda_error(const moe_cuda *cuda) { return cuda->driver.error; }

void *moe_cuda_allocate(moe_cuda *cuda, size_t bytes) {
  unsigned long long memory = 0;
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent") ||
      check(cuda, cuda->MemAlloc(&memory, bytes ? bytes : 1), "cuMemAlloc"))
    return NULL;
  return (void *)(uintptr_t)memory;
}

void moe_cuda_free(moe_cuda *cuda, void *memory) {
  if (memory && !cuda->CtxSetCurrent(cuda->context))
    cuda->MemFree(address(memory));
}

int moe_cuda_synchronize(moe_cuda *cuda) {
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent"))
    return MOE_ERR_DEVICE;
  return check(cuda, cuda->StreamSynchronize(cuda->driver.stream), "a kernel");
}

int moe_cuda_copy_to(moe_cuda *cuda, void *device, const void *host,
                     size_t bytes) {
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent") ||
      check(cuda,
            cuda->MemcpyHtoDAsync(address(device), host, bytes,
                                  cuda->driver.stream),
            "copying to the device"))
    return MOE_ERR_DEVICE;
  return moe_cuda_synchronize(cuda);
}

int moe_cuda_copy_from(moe_cuda *cuda, void *host, const void *device,
                       size_t bytes) {
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent") ||
      check(cuda,
            cuda->MemcpyDtoHAsync(host, address(device), bytes,
                                  cuda->driver.stream),
            "copying from the device"))
    return MOE_ERR_DEVICE;
  return moe_cuda_synchronize(cuda);
}
