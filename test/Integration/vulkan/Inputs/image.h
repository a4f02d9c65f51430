/* A SPIR-V module from a file, as artifacts have it, and launches by hand. */
#ifndef IMAGE_H
#define IMAGE_H

#include "moe-mlir/Runtime/moe_vulkan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *readImage(const char *path) {
  static uint64_t image[1 << 14];
  FILE *file = fopen(path, "rb");
  uint32_t bytes = 0;
  if (file)
    bytes = (uint32_t)fread(image + 1, 1, sizeof(image) - 8, file);
  if (!bytes)
    exit(2);
  fclose(file);
  memcpy(image, "MOEV", 4);
  memcpy((char *)image + 4, &bytes, 4);
  return (const char *)image;
}

static moe_launch_argument pointer(void *memory, size_t offset) {
  moe_launch_argument argument = {MOE_LAUNCH_POINTER, 0,
                                  (char *)memory + offset, 0, 0};
  return argument;
}

static moe_launch_argument number(int64_t value) {
  moe_launch_argument argument = {MOE_LAUNCH_I32, 0, NULL, value, 0};
  return argument;
}

static int start(moe_vulkan *vulkan, const char *image, const char *kernel,
                 int64_t blocks, int each, int numArguments,
                 const moe_launch_argument *arguments) {
  moe_launch launch = {sizeof(launch), image, kernel, blocks, each, 64, 256,
                       numArguments, arguments, 0};
  moe_rt *rt = moe_vulkan_rt(vulkan);
  return rt->launch(rt, &launch);
}

#endif
