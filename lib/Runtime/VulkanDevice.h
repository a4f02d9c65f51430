/*===- VulkanDevice.h - What the parts of moe_vulkan share ---------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Vulkan.c opens and closes a device, VulkanMemory.c has its memory, and
|* VulkanLaunch.c its queue and kernels.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RUNTIME_VULKANDEVICE_H
#define MOE_RUNTIME_VULKANDEVICE_H

#include "moe-mlir/Runtime/moe_vulkan.h"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

/* What is called of Vulkan, by what it is asked of. */
#define MOE_VULKAN_INSTANCE_FUNCTIONS(X)                                       \
  X(CreateDevice)                                                              \
  X(EnumeratePhysicalDevices)                                                  \
  X(GetDeviceProcAddr)                                                         \
  X(GetPhysicalDeviceFeatures2)                                                \
  X(GetPhysicalDeviceMemoryProperties)                                         \
  X(GetPhysicalDeviceProperties2)                                              \
  X(GetPhysicalDeviceQueueFamilyProperties)

#define MOE_VULKAN_DEVICE_FUNCTIONS(X)                                         \
  X(AllocateCommandBuffers)                                                    \
  X(AllocateMemory)                                                            \
  X(BeginCommandBuffer)                                                        \
  X(BindBufferMemory)                                                          \
  X(CmdBindPipeline)                                                           \
  X(CmdCopyBuffer)                                                             \
  X(CmdDispatch)                                                               \
  X(CmdPipelineBarrier)                                                        \
  X(CmdPushConstants)                                                          \
  X(CreateBuffer)                                                              \
  X(CreateCommandPool)                                                         \
  X(CreateComputePipelines)                                                    \
  X(CreateFence)                                                               \
  X(CreatePipelineCache)                                                       \
  X(CreatePipelineLayout)                                                      \
  X(CreateShaderModule)                                                        \
  X(DestroyBuffer)                                                             \
  X(DestroyCommandPool)                                                        \
  X(DestroyFence)                                                              \
  X(DestroyPipeline)                                                           \
  X(DestroyPipelineCache)                                                      \
  X(DestroyPipelineLayout)                                                     \
  X(DestroyShaderModule)                                                       \
  X(EndCommandBuffer)                                                          \
  X(FreeMemory)                                                                \
  X(GetBufferDeviceAddress)                                                    \
  X(GetBufferMemoryRequirements)                                               \
  X(GetDeviceQueue)                                                            \
  X(MapMemory)                                                                 \
  X(QueueSubmit)                                                               \
  X(ResetCommandPool)                                                          \
  X(ResetFences)                                                               \
  X(WaitForFences)

enum {
  /* Command buffers: one is recorded while the others run. */
  kSlots = 2,
  /* Launches and copies after which a command buffer is submitted. */
  kMostRecorded = 4096,
  /* Bytes through which memory is copied that the host does not see, for each
     of the slots. */
  kStagingBytes = 4 << 20
};

/* A command buffer. */
typedef struct vulkan_slot {
  VkCommandPool pool;
  VkCommandBuffer commands;
  VkFence fence; /* Of the last submission. */
  enum { kIdle, kRecording, kSubmitted } state;
  int isUsed; /* Has to be reset before it is recorded again. */
  int recorded;
} vulkan_slot;

/* A buffer with memory of its own. */
typedef struct vulkan_buffer {
  VkBuffer buffer;
  VkDeviceMemory memory;
  char *mapped; /* Null if the host does not see it. */
  int isCached; /* Whether the host reads it fast. */
} vulkan_buffer;

typedef struct vulkan_block vulkan_block;
typedef struct vulkan_module vulkan_module;
typedef struct vulkan_kernel vulkan_kernel;

struct moe_vulkan {
  moe_rt rt; /* First: the hook gets its address. */
  void *library;
  VkInstance instance;
  VkPhysicalDevice physical;
  VkDevice device;
  uint32_t family;
  VkQueue queue;
  VkPhysicalDeviceProperties properties;
  VkPhysicalDeviceMemoryProperties memories;
  VkDeviceSize mostBytes; /* Of an allocation. */
  int hasFloat16;
  int isLost;
  vulkan_slot slots[kSlots];
  int current; /* The slot that is recorded, or will be. */
  VkPipelineLayout layout;
  VkPipelineCache cache;
  vulkan_module *modules;
  vulkan_kernel *kernels;
  vulkan_block *blocks;
  vulkan_buffer staging;
  char error[512];
  PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
  PFN_vkEnumerateInstanceVersion EnumerateInstanceVersion;
  PFN_vkCreateInstance CreateInstance;
  /* The two that release: also there if another function is missing. */
  PFN_vkDestroyInstance DestroyInstance;
  PFN_vkDestroyDevice DestroyDevice;
#define X(name) PFN_vk##name name;
  MOE_VULKAN_INSTANCE_FUNCTIONS(X)
  MOE_VULKAN_DEVICE_FUNCTIONS(X)
#undef X
};

/* Notes a sentence, and returns MOE_ERR_DEVICE. */
int moe_vulkan_fail(moe_vulkan *vulkan, const char *format, ...);

/* MOE_OK if `result` of the call `what` is no error; notes it otherwise. */
int moe_vulkan_check(moe_vulkan *vulkan, VkResult result, const char *what);

/* MOE_OK, or a sentence about a device that was lost. */
int moe_vulkan_alive(moe_vulkan *vulkan);

/* VulkanMemory.c */

/* What moe_vulkan_close() needs: frees all memory. */
void moe_vulkan_release_memory(moe_vulkan *vulkan);

/* VulkanLaunch.c */

/* The queue's command buffers, and what all kernels share. */
int moe_vulkan_open_queue(moe_vulkan *vulkan);
void moe_vulkan_release_queue(moe_vulkan *vulkan);

/* Has the current slot record, after waiting for what it ran. */
int moe_vulkan_begin(moe_vulkan *vulkan);

/* Has what is recorded next wait for all that was. */
void moe_vulkan_barrier(moe_vulkan *vulkan);

int moe_vulkan_launch(const moe_rt *rt, const moe_launch *launch);

#endif /* MOE_RUNTIME_VULKANDEVICE_H */
