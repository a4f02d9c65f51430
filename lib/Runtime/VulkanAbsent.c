/*===- VulkanAbsent.c - A runtime without Vulkan -------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* In place of Vulkan*.c where Vulkan's headers are missing: no device can be
|* opened, so that all other functions are never called with one.
|*
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_vulkan.h"

#include <stdio.h>

static void say(char *message, size_t bytes) {
  if (message)
    snprintf(message, bytes,
             "the runtime was built without Vulkan: vulkan/vulkan.h was "
             "missing");
}

int moe_vulkan_devices(char *names, size_t bytes, char *message,
                       size_t message_bytes) {
  if (names && bytes)
    names[0] = 0;
  say(message, message_bytes);
  return -1;
}

int moe_vulkan_open(int device, moe_vulkan **vulkan, char *message,
                    size_t bytes) {
  *vulkan = NULL;
  say(message, bytes);
  return MOE_ERR_DEVICE;
}

void moe_vulkan_close(moe_vulkan *vulkan) {}

moe_rt *moe_vulkan_rt(moe_vulkan *vulkan) { return NULL; }

const char *moe_vulkan_name(const moe_vulkan *vulkan) { return ""; }

const char *moe_vulkan_error(const moe_vulkan *vulkan) { return ""; }

void *moe_vulkan_allocate(moe_vulkan *vulkan, size_t bytes) { return NULL; }

void moe_vulkan_free(moe_vulkan *vulkan, void *memory) {}

int moe_vulkan_copy_to(moe_vulkan *vulkan, void *device, const void *host,
                       size_t bytes) {
  return MOE_ERR_DEVICE;
}

int moe_vulkan_copy_from(moe_vulkan *vulkan, void *host, const void *device,
                         size_t bytes) {
  return MOE_ERR_DEVICE;
}

int moe_vulkan_flush(moe_vulkan *vulkan) { return MOE_ERR_DEVICE; }

int moe_vulkan_synchronize(moe_vulkan *vulkan) { return MOE_ERR_DEVICE; }
