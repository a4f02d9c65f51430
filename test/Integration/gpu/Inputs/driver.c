/* In place of NVIDIA's driver: says which kernels are started how, and fails at
   the call that FAIL_AT counts to, from where it was set. The device's memory
   is the host's, of bytes of 1 where nothing was written. It takes no cubin or
   no PTX if NO_CUBIN or NO_PTX is set. Streams are number 7, or what STREAM
   says; copies are told of if there is a STREAM. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int calls;

static int call(const char *name) {
  const char *at = getenv("FAIL_AT");
  calls = at ? calls + 1 : 0;
  if (!at || calls != atoi(at))
    return 0;
  printf("  %s fails\n", name);
  return 700;
}

static int isOther(void *stream) {
  const char *expected = getenv("STREAM");
  return (uintptr_t)stream != (uintptr_t)(expected ? atoi(expected) : 7);
}

#define CALL                                                                   \
  if (call(__func__))                                                          \
  return 700

int cuInit(unsigned flags) {
  CALL;
  return (int)flags;
}
int cuDeviceGet(int *device, int number) {
  CALL;
  *device = number;
  return number == 0 ? 0 : 101;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  CALL;
  /* A chip of sm_90, or of what CHIP says. */
  const char *chip = getenv("CHIP");
  int model = chip ? atoi(chip) : 90;
  *value = attribute == 16   ? 10
           : attribute == 75 ? model / 10
           : attribute == 76 ? model % 10
                             : -1;
  return device;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  CALL;
  *context = &calls;
  return device;
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device; }
int cuCtxSetCurrent(void *context) {
  CALL;
  return context != &calls;
}
int cuModuleLoadData(void **module, const void *image) {
  CALL;
  int isCubin = strncmp(image, "CUBIN", 5) == 0;
  if (getenv(isCubin ? "NO_CUBIN" : "NO_PTX")) {
    printf("  no %s\n", isCubin ? "cubin" : "PTX");
    return 209;
  }
  printf("  load %s%.14s\n", isCubin ? "cubin " : "", strstr(image, ".target"));
  *module = (void *)image;
  return 0;
}
int cuModuleUnload(void *module) {
  printf("  unload\n");
  return !module;
}
/* A kernel is its name, which the PTX has to have, and room for attributes. */
int cuModuleGetFunction(void **function, void *module, const char *name) {
  CALL;
  char entry[128];
  snprintf(entry, sizeof(entry), ".entry %s(", name);
  *function = strdup(name);
  return strstr(module, entry) ? 0 : 500;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  CALL;
  printf("  %s attribute %d = %d\n", (char *)function, attribute, value);
  return 0;
}
int cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address,
                           const uint64_t *sizes, const uint64_t *strides,
                           const unsigned *box, const unsigned *steps,
                           int interleave, int swizzle, int promotion, int fill) {
  CALL;
  printf("  map: type %d, %u x %u of %u x %u, stride %u, swizzle %d%s\n", type,
         box[1], box[0], (unsigned)sizes[1], (unsigned)sizes[0],
         (unsigned)strides[0], swizzle,
         (uintptr_t)map % 64 ? ", not aligned" : "");
  memcpy(map, &address, sizeof(address));
  return rank != 2 || steps[0] != 1 || interleave || promotion != 3 || fill;
}
struct config {
  unsigned blocks[3], threads[3], shared;
  void *stream;
  const int *attribute;
  unsigned attributes;
};
int cuLaunchKernelEx(const struct config *config, void *function,
                     void **arguments, void **extra) {
  CALL;
  printf("  %s: %u blocks of %u threads, %u bytes, stream %u%s\n",
         (char *)function, config->blocks[0], config->threads[0],
         config->shared, (unsigned)(uintptr_t)config->stream,
         config->attributes == 1 && config->attribute[0] == 6 &&
                 config->attribute[2] == 1
             ? ", overlapping"
             : "");
  return config->blocks[1] != 1 || config->blocks[2] != 1 ||
         config->threads[1] != 1 || config->threads[2] != 1 || extra ||
         !arguments[0];
}
int cuMemAlloc_v2(uint64_t *memory, size_t bytes) {
  CALL;
  void *allocated = aligned_alloc(256, (bytes + 255) / 256 * 256);
  *memory = (uint64_t)(uintptr_t)allocated;
  if (!allocated)
    return 2;
  memset(allocated, 1, bytes);
  return 0;
}
int cuMemFree_v2(uint64_t memory) {
  free((void *)(uintptr_t)memory);
  return 0;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes,
                         void *stream) {
  CALL;
  if (getenv("STREAM"))
    printf("  %u bytes up\n", (unsigned)bytes);
  memcpy((void *)(uintptr_t)to, from, bytes);
  return isOther(stream);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  CALL;
  if (getenv("STREAM"))
    printf("  %u bytes down\n", (unsigned)bytes);
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return isOther(stream);
}
int cuStreamSynchronize(void *stream) {
  CALL;
  return isOther(stream);
}
int cuGetErrorName(int error, const char **name) {
  *name = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_OTHER";
  return 0;
}
