/* In place of ROCm's library: says which kernels are started how, and fails at
   the call that FAIL_AT counts to. The device's memory is the host's, of bytes
   of 1 where nothing was written. Streams are number 7, or what STREAM says;
   copies are told of if there is a STREAM. */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int calls;

static int call(const char *name) {
  const char *at = getenv("FAIL_AT");
  if (!at || ++calls != atoi(at))
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

int hipInit(unsigned flags) {
  CALL;
  return (int)flags;
}
int hipSetDevice(int device) {
  CALL;
  return device == 0 ? 0 : 101;
}
int hipDeviceGetAttribute(int *value, int attribute, int device) {
  CALL;
  /* Of gfx942. */
  *value = attribute == 63   ? 10
           : attribute == 23 ? 9
           : attribute == 61 ? 4
                             : -1;
  return device;
}
/* A shared object for AMDGPU, of the chip whose number is the lowest byte of
   the flags. */
int hipModuleLoadData(void **module, const void *image) {
  CALL;
  const Elf64_Ehdr *header = image;
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_machine != 224 ||
      header->e_type != ET_DYN || (uintptr_t)image % 8)
    return 200;
  printf("  load 0x%x\n", header->e_flags & 0xff);
  *module = (void *)image;
  return 0;
}
int hipModuleUnload(void *module) {
  printf("  unload\n");
  return !module;
}
/* A kernel is its name, of which the object has a descriptor. */
int hipModuleGetFunction(void **function, void *module, const char *name) {
  CALL;
  const char *image = module;
  const Elf64_Ehdr *header = module;
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);
  char descriptor[128];
  snprintf(descriptor, sizeof(descriptor), "%s.kd", name);
  *function = strdup(name);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_DYNSYM)
      continue;
    const char *names = image + sections[sections[i].sh_link].sh_offset;
    const Elf64_Sym *symbols =
        (const Elf64_Sym *)(image + sections[i].sh_offset);
    for (size_t j = 0; j < sections[i].sh_size / sizeof(*symbols); ++j)
      if (!strcmp(names + symbols[j].st_name, descriptor))
        return symbols[j].st_size != 64;
  }
  return 500;
}
int hipModuleLaunchKernel(void *function, unsigned blocks, unsigned y,
                          unsigned z, unsigned threads, unsigned threadsY,
                          unsigned threadsZ, unsigned shared, void *stream,
                          void **arguments, void **extra) {
  CALL;
  printf("  %s: %u blocks of %u threads, %u bytes, stream %u\n",
         (char *)function, blocks, threads, shared,
         (unsigned)(uintptr_t)stream);
  return y != 1 || z != 1 || threadsY != 1 || threadsZ != 1 || extra ||
         !arguments[0];
}
int hipMalloc(void **memory, size_t bytes) {
  CALL;
  *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!*memory)
    return 2;
  memset(*memory, 1, bytes);
  return 0;
}
int hipFree(void *memory) {
  free(memory);
  return 0;
}
int hipMemcpyHtoDAsync(void *to, const void *from, size_t bytes, void *stream) {
  CALL;
  if (getenv("STREAM"))
    printf("  %u bytes up\n", (unsigned)bytes);
  memcpy(to, from, bytes);
  return isOther(stream);
}
int hipMemcpyDtoHAsync(void *to, void *from, size_t bytes, void *stream) {
  CALL;
  if (getenv("STREAM"))
    printf("  %u bytes down\n", (unsigned)bytes);
  memcpy(to, from, bytes);
  return isOther(stream);
}
int hipStreamSynchronize(void *stream) {
  CALL;
  return isOther(stream);
}
const char *hipGetErrorName(int error) {
  return error == 700 ? "hipErrorIllegalAddress" : "hipErrorOther";
}
