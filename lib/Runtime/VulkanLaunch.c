/*===- VulkanLaunch.c - Kernels on Vulkan devices ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "VulkanDevice.h"

#include <stdlib.h>
#include <string.h>

/* What an artifact's code became. Names and images are constants of artifacts:
   their addresses tell them apart. */
struct vulkan_module {
  const char *image;
  VkShaderModule module;
  vulkan_module *next;
};

struct vulkan_kernel {
  const char *image, *name;
  VkPipeline pipeline;
  vulkan_kernel *next;
};

enum {
  /* Bytes of arguments: no kernel has more, whatever a device takes. */
  kMostArgumentBytes = 256,
  /* Vulkan does not tell how many multiprocessors there are. */
  kMultiprocessors = 64
};

static uint32_t argumentBytes(const moe_vulkan *vulkan) {
  uint32_t most = vulkan->properties.limits.maxPushConstantsSize / 4 * 4;
  return most < kMostArgumentBytes ? most : kMostArgumentBytes;
}

int moe_vulkan_open_queue(moe_vulkan *vulkan) {
  for (int i = 0; i < kSlots; ++i) {
    vulkan_slot *slot = &vulkan->slots[i];
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = vulkan->family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    if (moe_vulkan_check(
            vulkan,
            vulkan->CreateCommandPool(vulkan->device, &pool, NULL, &slot->pool),
            "vkCreateCommandPool"))
      return MOE_ERR_DEVICE;
    VkCommandBufferAllocateInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = slot->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1};
    if (moe_vulkan_check(vulkan,
                         vulkan->AllocateCommandBuffers(vulkan->device, &buffer,
                                                        &slot->commands),
                         "vkAllocateCommandBuffers") ||
        moe_vulkan_check(
            vulkan,
            vulkan->CreateFence(vulkan->device, &fence, NULL, &slot->fence),
            "vkCreateFence"))
      return MOE_ERR_DEVICE;
  }
  VkPipelineCacheCreateInfo cache = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                               .size = argumentBytes(vulkan)};
  VkPipelineLayoutCreateInfo layout = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
      .pushConstantRangeCount = 1,
      .pPushConstantRanges = &range};
  if (moe_vulkan_check(vulkan,
                       vulkan->CreatePipelineCache(vulkan->device, &cache, NULL,
                                                   &vulkan->cache),
                       "vkCreatePipelineCache"))
    return MOE_ERR_DEVICE;
  return moe_vulkan_check(vulkan,
                          vulkan->CreatePipelineLayout(vulkan->device, &layout,
                                                       NULL, &vulkan->layout),
                          "vkCreatePipelineLayout");
}

static int waitFor(moe_vulkan *vulkan, vulkan_slot *slot) {
  if (slot->state != kSubmitted)
    return MOE_OK;
  if (moe_vulkan_check(vulkan,
                       vulkan->WaitForFences(vulkan->device, 1, &slot->fence,
                                             VK_TRUE, UINT64_MAX),
                       "waiting for kernels"))
    return MOE_ERR_DEVICE;
  slot->state = kIdle;
  return MOE_OK;
}

int moe_vulkan_begin(moe_vulkan *vulkan) {
  vulkan_slot *slot = &vulkan->slots[vulkan->current];
  if (moe_vulkan_alive(vulkan))
    return MOE_ERR_DEVICE;
  if (slot->state == kRecording)
    return MOE_OK;
  if (waitFor(vulkan, slot))
    return MOE_ERR_DEVICE;
  if (slot->isUsed &&
      (moe_vulkan_check(vulkan,
                        vulkan->ResetFences(vulkan->device, 1, &slot->fence),
                        "vkResetFences") ||
       moe_vulkan_check(vulkan,
                        vulkan->ResetCommandPool(vulkan->device, slot->pool, 0),
                        "vkResetCommandPool")))
    return MOE_ERR_DEVICE;
  VkCommandBufferBeginInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  slot->isUsed = 1;
  if (moe_vulkan_check(vulkan,
                       vulkan->BeginCommandBuffer(slot->commands, &info),
                       "vkBeginCommandBuffer"))
    return MOE_ERR_DEVICE;
  slot->state = kRecording;
  slot->recorded = 0;
  return MOE_OK;
}

/* From everything that was done to everything that `stages` do. */
static void barrier(moe_vulkan *vulkan, VkPipelineStageFlags stages,
                    VkAccessFlags accesses) {
  VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT |
                                             VK_ACCESS_TRANSFER_WRITE_BIT,
                            .dstAccessMask = accesses};
  vulkan->CmdPipelineBarrier(vulkan->slots[vulkan->current].commands,
                             VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                                 VK_PIPELINE_STAGE_TRANSFER_BIT,
                             stages, 0, 1, &memory, 0, NULL, 0, NULL);
}

void moe_vulkan_barrier(moe_vulkan *vulkan) {
  barrier(vulkan,
          VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
              VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

int moe_vulkan_flush(moe_vulkan *vulkan) {
  vulkan_slot *slot = &vulkan->slots[vulkan->current];
  if (moe_vulkan_alive(vulkan))
    return MOE_ERR_DEVICE;
  if (slot->state != kRecording)
    return MOE_OK;
  barrier(vulkan, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  /* What cannot be submitted is forgotten, and was reported. */
  slot->state = kIdle;
  VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                       .commandBufferCount = 1,
                       .pCommandBuffers = &slot->commands};
  if (moe_vulkan_check(vulkan, vulkan->EndCommandBuffer(slot->commands),
                       "vkEndCommandBuffer") ||
      moe_vulkan_check(
          vulkan, vulkan->QueueSubmit(vulkan->queue, 1, &info, slot->fence),
          "vkQueueSubmit"))
    return MOE_ERR_DEVICE;
  slot->state = kSubmitted;
  vulkan->current = (vulkan->current + 1) % kSlots;
  return MOE_OK;
}

int moe_vulkan_synchronize(moe_vulkan *vulkan) {
  if (moe_vulkan_flush(vulkan))
    return MOE_ERR_DEVICE;
  for (int i = 0; i < kSlots; ++i)
    if (waitFor(vulkan, &vulkan->slots[i]))
      return MOE_ERR_DEVICE;
  return MOE_OK;
}

/* Words of SPIR-V: the header, and of an instruction's first word. */
enum { kMagic = 0x07230203, kHeaderWords = 5 };

/* The SPIR-V of `image`, and how many words it has; null if it is none. */
static const uint32_t *findWords(const char *image, uint32_t *count) {
  if (memcmp(image, "MOEV", 4))
    return NULL;
  uint32_t bytes;
  memcpy(&bytes, image + 4, sizeof(bytes));
  *count = bytes / 4;
  const uint32_t *words = (const uint32_t *)(const void *)(image + 8);
  return bytes % 4 || *count < kHeaderWords || words[0] != kMagic ? NULL
                                                                  : words;
}

/* Whether the module declares that it computes with f16, and whether it has the
   entry point `name`: drivers may crash for one that they do not find. */
static void inspect(const uint32_t *words, uint32_t count, const char *name,
                    int *usesFloat16, int *hasKernel) {
  enum {
    kOpEntryPoint = 15,
    kOpCapability = 17,
    kOpFunction = 54,
    kFloat16 = 9
  };
  *usesFloat16 = *hasKernel = 0;
  for (uint32_t at = kHeaderWords, size; at < count; at += size) {
    uint32_t op = words[at] & 0xffff;
    size = words[at] >> 16;
    if (op == kOpFunction || size == 0 || size > count - at)
      return;
    if (op == kOpCapability && size == 2 && words[at + 1] == kFloat16)
      *usesFloat16 = 1;
    /* Model, function, name. */
    if (op == kOpEntryPoint && size > 3 &&
        !strncmp((const char *)&words[at + 3], name, 4 * (size - 3)))
      *hasKernel = 1;
  }
}

/* That the device can run the kernel. */
static int checkKernel(moe_vulkan *vulkan, const moe_launch *launch) {
  uint32_t count = 0;
  const uint32_t *words = findWords(launch->image, &count);
  if (!words)
    return moe_vulkan_fail(vulkan, "the code of %s is not for Vulkan",
                           launch->kernel);
  int usesFloat16, hasKernel;
  inspect(words, count, launch->kernel, &usesFloat16, &hasKernel);
  if (!hasKernel)
    return moe_vulkan_fail(vulkan, "the code of the artifact has no kernel %s",
                           launch->kernel);
  if (usesFloat16 && !vulkan->hasFloat16)
    return moe_vulkan_fail(vulkan, "%s lacks shaderFloat16, which %s needs",
                           vulkan->properties.deviceName, launch->kernel);
  return MOE_OK;
}

/* The module that has the kernel, which was checked. */
static VkShaderModule loadModule(moe_vulkan *vulkan, const moe_launch *launch) {
  for (vulkan_module *m = vulkan->modules; m; m = m->next)
    if (m->image == launch->image)
      return m->module;
  uint32_t count = 0;
  const uint32_t *words = findWords(launch->image, &count);
  vulkan_module *m = malloc(sizeof(*m));
  if (!m) {
    moe_vulkan_fail(vulkan, "out of memory");
    return VK_NULL_HANDLE;
  }
  VkShaderModuleCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
      .codeSize = (size_t)count * 4,
      .pCode = words};
  if (moe_vulkan_check(
          vulkan,
          vulkan->CreateShaderModule(vulkan->device, &info, NULL, &m->module),
          "loading the kernels")) {
    free(m);
    return VK_NULL_HANDLE;
  }
  m->image = launch->image;
  m->next = vulkan->modules;
  vulkan->modules = m;
  return m->module;
}

static VkPipeline findKernel(moe_vulkan *vulkan, const moe_launch *launch) {
  for (vulkan_kernel *k = vulkan->kernels; k; k = k->next)
    if (k->image == launch->image && k->name == launch->kernel)
      return k->pipeline;
  if (checkKernel(vulkan, launch))
    return VK_NULL_HANDLE;
  VkShaderModule module = loadModule(vulkan, launch);
  if (!module)
    return VK_NULL_HANDLE;
  vulkan_kernel *k = malloc(sizeof(*k));
  if (!k) {
    moe_vulkan_fail(vulkan, "out of memory");
    return VK_NULL_HANDLE;
  }
  VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = launch->kernel},
      .layout = vulkan->layout};
  VkPipeline pipeline = VK_NULL_HANDLE;
  if (moe_vulkan_check(vulkan,
                       vulkan->CreateComputePipelines(vulkan->device,
                                                      vulkan->cache, 1, &info,
                                                      NULL, &pipeline),
                       launch->kernel)) {
    free(k);
    return VK_NULL_HANDLE;
  }
  *k =
      (vulkan_kernel){launch->image, launch->kernel, pipeline, vulkan->kernels};
  vulkan->kernels = k;
  return pipeline;
}

/* Lays the arguments out; the number of bytes, or -1. */
static int layOut(moe_vulkan *vulkan, const moe_launch *launch, char *block) {
  uint32_t most = argumentBytes(vulkan), used = 0;
  for (int i = 0; i < launch->num_arguments; ++i) {
    const moe_launch_argument *argument = &launch->arguments[i];
    uint64_t pointer = (uint64_t)(uintptr_t)argument->pointer;
    uint32_t number = (uint32_t)argument->value;
    int isPointer = argument->kind == MOE_LAUNCH_POINTER;
    if (!isPointer && argument->kind != MOE_LAUNCH_I32) {
      moe_vulkan_fail(vulkan, "argument %d of %s is none of a kernel on Vulkan",
                      i, launch->kernel);
      return -1;
    }
    uint32_t size = isPointer ? sizeof(pointer) : sizeof(number);
    uint32_t at = (used + size - 1) / size * size;
    if (at + size > most) {
      moe_vulkan_fail(vulkan,
                      "%s has more than the %u bytes of arguments that "
                      "%s takes",
                      launch->kernel, most, vulkan->properties.deviceName);
      return -1;
    }
    memset(block + used, 0, at - used);
    memcpy(block + at, isPointer ? (void *)&pointer : (void *)&number, size);
    used = at + size;
  }
  return (int)used;
}

/* How many blocks along x and y. */
static int chooseGrid(moe_vulkan *vulkan, const moe_launch *launch,
                      uint32_t grid[2]) {
  const VkPhysicalDeviceLimits *limits = &vulkan->properties.limits;
  const char *device = vulkan->properties.deviceName;
  if (launch->shared_bytes > 0 &&
      (uint32_t)launch->shared_bytes > limits->maxComputeSharedMemorySize)
    return moe_vulkan_fail(vulkan,
                           "%s shares %d bytes of memory in a block; %s has %u",
                           launch->kernel, launch->shared_bytes, device,
                           limits->maxComputeSharedMemorySize);
  uint32_t most = limits->maxComputeWorkGroupInvocations;
  if (most > limits->maxComputeWorkGroupSize[0])
    most = limits->maxComputeWorkGroupSize[0];
  if ((uint32_t)launch->threads > most)
    return moe_vulkan_fail(vulkan, "%s has blocks of %d threads; %s has %u",
                           launch->kernel, launch->threads, device, most);
  int64_t blocks = launch->blocks;
  int64_t resident = (int64_t)launch->each * kMultiprocessors;
  if (launch->each && blocks > resident)
    blocks = resident;
  int64_t x = limits->maxComputeWorkGroupCount[0];
  if (blocks < x)
    x = blocks;
  int64_t y = blocks / x + (blocks % x != 0);
  if (y > limits->maxComputeWorkGroupCount[1])
    return moe_vulkan_fail(vulkan,
                           "%s has %lld blocks, which are too many for "
                           "%s",
                           launch->kernel, (long long)blocks, device);
  grid[0] = (uint32_t)x;
  grid[1] = (uint32_t)y;
  return MOE_OK;
}

static int launchKernel(moe_vulkan *vulkan, const moe_launch *launch) {
  if (moe_vulkan_alive(vulkan))
    return MOE_ERR_DEVICE;
  if (launch->blocks <= 0)
    return MOE_OK;
  char arguments[kMostArgumentBytes];
  int bytes = layOut(vulkan, launch, arguments);
  uint32_t grid[2] = {0, 0};
  if (bytes < 0 || chooseGrid(vulkan, launch, grid))
    return MOE_ERR_DEVICE;
  VkPipeline pipeline = findKernel(vulkan, launch);
  if (!pipeline || moe_vulkan_begin(vulkan))
    return MOE_ERR_DEVICE;
  vulkan_slot *slot = &vulkan->slots[vulkan->current];
  moe_vulkan_barrier(vulkan);
  vulkan->CmdBindPipeline(slot->commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                          pipeline);
  if (bytes)
    vulkan->CmdPushConstants(slot->commands, vulkan->layout,
                             VK_SHADER_STAGE_COMPUTE_BIT, 0, (uint32_t)bytes,
                             arguments);
  vulkan->CmdDispatch(slot->commands, grid[0], grid[1], 1);
  return ++slot->recorded < kMostRecorded ? MOE_OK : moe_vulkan_flush(vulkan);
}

int moe_vulkan_launch(const moe_rt *rt, const moe_launch *launch) {
  moe_vulkan *vulkan = (moe_vulkan *)rt;
  int status = launchKernel(vulkan, launch);
  if (status && rt->error)
    rt->error(rt, status, vulkan->error);
  return status;
}

void moe_vulkan_release_queue(moe_vulkan *vulkan) {
  /* What is recorded only, nobody waits for. */
  for (int i = 0; i < kSlots && !vulkan->isLost; ++i)
    waitFor(vulkan, &vulkan->slots[i]);
  for (vulkan_kernel *k = vulkan->kernels, *next; k; k = next) {
    next = k->next;
    vulkan->DestroyPipeline(vulkan->device, k->pipeline, NULL);
    free(k);
  }
  for (vulkan_module *m = vulkan->modules, *next; m; m = next) {
    next = m->next;
    vulkan->DestroyShaderModule(vulkan->device, m->module, NULL);
    free(m);
  }
  vulkan->DestroyPipelineLayout(vulkan->device, vulkan->layout, NULL);
  vulkan->DestroyPipelineCache(vulkan->device, vulkan->cache, NULL);
  for (int i = 0; i < kSlots; ++i) {
    vulkan->DestroyFence(vulkan->device, vulkan->slots[i].fence, NULL);
    vulkan->DestroyCommandPool(vulkan->device, vulkan->slots[i].pool, NULL);
  }
}
