/*===- Cuda.c - Layers on NVIDIA's GPUs ---------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM
Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_cuda.h"

#include <dlfcn.h>
#include <stdarg.h>
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

/* A kernel that was loaded. Names and images are constants of artifacts: their
   addresses tell them apart. */
typedef struct kernel {
  const char *image, *name;
  void *function;
  struct kernel *next;
} kernel;

typedef struct module {
  const char *image;
  void *module;
  struct module *next;
} module;

struct moe_cuda {
  moe_rt rt; /* First: the hook gets its address. */
  void *library, *context, *stream;
  int device, multiprocessors;
  kernel *kernels;
  module *modules;
  char error[512];
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

enum { kMultiprocessors = 16, kMaxSharedBytes = 8 };

static const struct {
  const char *name;
  size_t at;
} functions[] = {
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

static int fail(moe_cuda *cuda, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(cuda->error, sizeof(cuda->error), format, arguments);
  va_end(arguments);
  return MOE_ERR_DEVICE;
}

/* Whether the driver's `result` is no error; says what failed otherwise. */
static int check(moe_cuda *cuda, int result, const char *what) {
  if (result == 0)
    return MOE_OK;
  const char *name = NULL;
  if (cuda->GetErrorName(result, &name) || !name)
    name = "unknown error";
  return fail(cuda, "%s failed: %s (%d)", what, name, result);
}

static unsigned long long address(const void *pointer) {
  return (unsigned long long)(uintptr_t)pointer;
}

/* An image is PTX, or has a cubin before it, which is for one chip; the driver
   compiles PTX for others. */
static int loadImage(moe_cuda *cuda, void **loaded, const char *image) {
  static const char magic[4] = {'M', 'O', 'E', 'C'};
  enum { kHeaderBytes = 8 };
  if (strncmp(image, magic, sizeof(magic)) == 0) {
    uint32_t bytes;
    memcpy(&bytes, image + sizeof(magic), sizeof(bytes));
    image += kHeaderBytes;
    if (cuda->ModuleLoadData(loaded, image) == 0)
      return MOE_OK;
    image += ((size_t)bytes + 7) / 8 * 8;
  }
  return check(cuda, cuda->ModuleLoadData(loaded, image),
               "loading the kernels");
}

static void *loadModule(moe_cuda *cuda, const char *image) {
  for (module *m = cuda->modules; m; m = m->next)
    if (m->image == image)
      return m->module;
  module *m = malloc(sizeof(*m));
  if (!m) {
    fail(cuda, "out of memory");
    return NULL;
  }
  if (loadImage(cuda, &m->module, image)) {
    free(m);
    return NULL;
  }
  m->image = image;
  m->next = cuda->modules;
  cuda->modules = m;
  return m->module;
}

static void *findKernel(moe_cuda *cuda, const moe_launch *launch) {
  for (kernel *k = cuda->kernels; k; k = k->next)
    if (k->image == launch->image && k->name == launch->kernel)
      return k->function;
  void *code = loadModule(cuda, launch->image), *function;
  if (!code ||
      check(cuda, cuda->ModuleGetFunction(&function, code, launch->kernel),
            launch->kernel))
    return NULL;
  if (launch->shared_bytes > 48 << 10 &&
      check(cuda,
            cuda->FuncSetAttribute(function, kMaxSharedBytes,
                                   launch->shared_bytes),
            "giving a kernel its shared memory"))
    return NULL;
  kernel *k = malloc(sizeof(*k));
  if (!k) {
    fail(cuda, "out of memory");
    return NULL;
  }
  *k = (kernel){launch->image, launch->kernel, function, cuda->kernels};
  cuda->kernels = k;
  return function;
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

static int launchKernel(moe_cuda *cuda, const moe_launch *launch) {
  enum { kMost = 32, kMaps = 4, kMapBytes = 128, kMapAlignment = 64 };
  if (launch->blocks == 0)
    return MOE_OK;
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent"))
    return MOE_ERR_DEVICE;
  void *function = findKernel(cuda, launch);
  if (!function)
    return MOE_ERR_DEVICE;
  char memory[(kMaps + 1) * kMapBytes];
  char *maps = memory + (kMapAlignment - address(memory) % kMapAlignment);
  void *pointers[kMost], *values[kMost];
  int numMaps = 0;
  if (launch->num_arguments > kMost)
    return fail(cuda, "%s has more than %d arguments", launch->kernel, kMost);
  for (int i = 0; i < launch->num_arguments; ++i) {
    const moe_launch_argument *argument = &launch->arguments[i];
    if (argument->kind == MOE_LAUNCH_MATRIX) {
      if (numMaps == kMaps)
        return fail(cuda, "%s has more than %d maps", launch->kernel, kMaps);
      pointers[i] = maps + kMapBytes * numMaps++;
      if (encode(cuda, pointers[i], argument))
        return MOE_ERR_DEVICE;
      continue;
    }
    values[i] = argument->kind == MOE_LAUNCH_POINTER
                    ? argument->pointer
                    : (void *)(uintptr_t)argument->value;
    pointers[i] = &values[i];
  }
  int64_t blocks = launch->blocks;
  int64_t most = (int64_t)launch->each * cuda->multiprocessors;
  if (launch->each && blocks > most)
    blocks = most;
  enum { kProgrammaticStreamSerialization = 6 };
  launch_attribute overlaps = {kProgrammaticStreamSerialization, {0}, {1}};
  launch_config config = {{(unsigned)blocks, 1, 1},
                          {(unsigned)launch->threads, 1, 1},
                          (unsigned)launch->shared_bytes,
                          cuda->stream,
                          &overlaps,
                          launch->size >= sizeof(*launch) && launch->overlaps};
  return check(cuda, cuda->LaunchKernelEx(&config, function, pointers, NULL),
               launch->kernel);
}

static int launchHook(const moe_rt *rt, const moe_launch *launch) {
  moe_cuda *cuda = (moe_cuda *)rt;
  int status = launchKernel(cuda, launch);
  if (status && rt->error)
    rt->error(rt, status, cuda->error);
  return status;
}

static int openDevice(moe_cuda *cuda, int device) {
  cuda->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!cuda->library)
    return fail(cuda, "no NVIDIA driver: %s", dlerror());
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); ++i) {
    void *function = dlsym(cuda->library, functions[i].name);
    if (!function)
      return fail(cuda, "the NVIDIA driver is too old: it has no %s",
                  functions[i].name);
    memcpy((char *)cuda + functions[i].at, &function, sizeof(function));
  }
  if (check(cuda, cuda->Init(0), "cuInit") ||
      check(cuda, cuda->DeviceGet(&cuda->device, device), "cuDeviceGet") ||
      check(cuda,
            cuda->DeviceGetAttribute(&cuda->multiprocessors, kMultiprocessors,
                                     cuda->device),
            "cuDeviceGetAttribute"))
    return MOE_ERR_DEVICE;
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
  moe_rt_init(&cuda->rt, 1);
  cuda->rt.launch = launchHook;
  if (openDevice(cuda, device)) {
    if (message)
      snprintf(message, bytes, "%s", cuda->error);
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
  for (kernel *k = cuda->kernels, *next; k; k = next) {
    next = k->next;
    free(k);
  }
  for (module *m = cuda->modules, *next; m; m = next) {
    next = m->next;
    cuda->ModuleUnload(m->module);
    free(m);
  }
  if (cuda->context)
    cuda->DevicePrimaryCtxRelease(cuda->device);
  if (cuda->library)
    dlclose(cuda->library);
  free(cuda);
}

moe_rt *moe_cuda_rt(moe_cuda *cuda) { return &cuda->rt; }

void moe_cuda_set_stream(moe_cuda *cuda, void *stream) {
  cuda->stream = stream;
}

const char *moe_cuda_error(const moe_cuda *cuda) { return cuda->error; }

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
  return check(cuda, cuda->StreamSynchronize(cuda->stream), "a kernel");
}

int moe_cuda_copy_to(moe_cuda *cuda, void *device, const void *host,
                     size_t bytes) {
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent") ||
      check(cuda,
            cuda->MemcpyHtoDAsync(address(device), host, bytes, cuda->stream),
            "copying to the device"))
    return MOE_ERR_DEVICE;
  return moe_cuda_synchronize(cuda);
}

int moe_cuda_copy_from(moe_cuda *cuda, void *host, const void *device,
                       size_t bytes) {
  if (check(cuda, cuda->CtxSetCurrent(cuda->context), "cuCtxSetCurrent") ||
      check(cuda,
            cuda->MemcpyDtoHAsync(host, address(device), bytes, cuda->stream),
            "copying from the device"))
    return MOE_ERR_DEVICE;
  return moe_cuda_synchronize(cuda);
}
