/*===- VulkanMemory.c - Memory of Vulkan devices -------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Devices allow few allocations, 4096 in general: small ones share a block, and
|* each other one has a block of its own.
|*
\*===----------------------------------------------------------------------===*/

#include "VulkanDevice.h"

#include <stdlib.h>
#include <string.h>

enum {
  kAlignment = 256,
  kSharedBytes = 4 << 20, /* Of a block that several share. */
  kSmallBytes = 256 << 10 /* Up to which they do. */
};

/* A part of a block. */
typedef struct range {
  uint64_t address, bytes;
  int isUsed;
  struct range *next; /* The one behind it. */
} range;

struct vulkan_block {
  vulkan_buffer buffer;
  uint64_t address; /* Of the buffer's first byte. */
  uint64_t bytes;
  int isShared;
  range *ranges; /* All of the block from its first aligned byte on. */
  vulkan_block *next;
};

static void destroyBuffer(moe_vulkan *vulkan, vulkan_buffer *buffer) {
  /* Freeing memory unmaps it. */
  vulkan->DestroyBuffer(vulkan->device, buffer->buffer, NULL);
  vulkan->FreeMemory(vulkan->device, buffer->memory, NULL);
  memset(buffer, 0, sizeof(*buffer));
}

/* Allocates memory of `type` for `buffer`, and maps it if the host can see it
   without flushes. */
static VkResult bindMemory(moe_vulkan *vulkan, vulkan_buffer *buffer,
                           VkDeviceSize bytes, uint32_t type,
                           const char **what) {
  VkMemoryPropertyFlags flags =
      vulkan->memories.memoryTypes[type].propertyFlags;
  const VkMemoryPropertyFlags seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  VkMemoryAllocateFlagsInfo addressed = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
      .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
  VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                               .pNext = &addressed,
                               .allocationSize = bytes,
                               .memoryTypeIndex = type};
  *what = "vkAllocateMemory";
  VkResult result =
      vulkan->AllocateMemory(vulkan->device, &info, NULL, &buffer->memory);
  if (result)
    return result;
  *what = "vkBindBufferMemory";
  result = vulkan->BindBufferMemory(vulkan->device, buffer->buffer,
                                    buffer->memory, 0);
  if (!result && (flags & seen) == seen) {
    void *mapped = NULL;
    *what = "vkMapMemory";
    result = vulkan->MapMemory(vulkan->device, buffer->memory, 0, VK_WHOLE_SIZE,
                               0, &mapped);
    buffer->mapped = mapped;
    buffer->isCached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
  }
  if (result) {
    vulkan->FreeMemory(vulkan->device, buffer->memory, NULL);
    buffer->memory = VK_NULL_HANDLE;
    buffer->mapped = NULL;
  }
  return result;
}

/* A buffer in the first memory that has room of those with all flags of
   `choices`, of which the last is 0. */
static int createBuffer(moe_vulkan *vulkan, VkDeviceSize bytes,
                        const VkMemoryPropertyFlags *choices,
                        vulkan_buffer *buffer) {
  memset(buffer, 0, sizeof(*buffer));
  if (bytes > vulkan->mostBytes)
    return moe_vulkan_fail(
        vulkan, "%llu bytes are more than %s allocates at once, %llu",
        (unsigned long long)bytes, vulkan->properties.deviceName,
        (unsigned long long)vulkan->mostBytes);
  VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                             .size = bytes,
                             .usage =
                                 VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                 VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                 VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  if (moe_vulkan_check(
          vulkan,
          vulkan->CreateBuffer(vulkan->device, &info, NULL, &buffer->buffer),
          "vkCreateBuffer"))
    return MOE_ERR_DEVICE;
  VkMemoryRequirements needs;
  vulkan->GetBufferMemoryRequirements(vulkan->device, buffer->buffer, &needs);
  VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  const char *what = "finding memory for a buffer";
  uint32_t tried = 0;
  for (; *choices; ++choices)
    for (uint32_t i = 0; i < vulkan->memories.memoryTypeCount; ++i) {
      const VkMemoryType *type = &vulkan->memories.memoryTypes[i];
      if (!(needs.memoryTypeBits & ~tried & 1u << i) ||
          (type->propertyFlags & *choices) != *choices ||
          needs.size > vulkan->memories.memoryHeaps[type->heapIndex].size)
        continue;
      tried |= 1u << i;
      result = bindMemory(vulkan, buffer, needs.size, i, &what);
      if (!result)
        return MOE_OK;
      if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY &&
          result != VK_ERROR_OUT_OF_HOST_MEMORY)
        goto failed;
    }
failed:
  destroyBuffer(vulkan, buffer);
  return moe_vulkan_check(vulkan, result, what);
}

/* A block of at least `bytes` behind its first aligned byte. */
static vulkan_block *addBlock(moe_vulkan *vulkan, uint64_t bytes,
                              int isShared) {
  /* Memory of the device, best where the host sees it. Others only where both
     share theirs: through a bus, kernels would be slow for no visible reason.
   */
  const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                              seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  int isDiscrete =
      vulkan->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  const VkMemoryPropertyFlags choices[] = {local | seen, local,
                                           isDiscrete ? 0 : seen, 0};
  vulkan_block *block = calloc(1, sizeof(*block));
  range *all = malloc(sizeof(*all));
  if (!block || !all)
    moe_vulkan_fail(vulkan, "out of memory");
  /* The address may be aligned to less. */
  if (!block || !all ||
      createBuffer(vulkan, bytes + kAlignment, choices, &block->buffer)) {
    free(block);
    free(all);
    return NULL;
  }
  VkBufferDeviceAddressInfo info = {
      .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
      .buffer = block->buffer.buffer};
  block->address = vulkan->GetBufferDeviceAddress(vulkan->device, &info);
  block->bytes = bytes + kAlignment;
  block->isShared = isShared;
  uint64_t first = (block->address + kAlignment - 1) / kAlignment * kAlignment;
  *all = (range){first, bytes, 0, NULL};
  block->ranges = all;
  block->next = vulkan->blocks;
  vulkan->blocks = block;
  return block;
}

/* Takes `bytes` from the first range of `block` that has as many; 0 if none
   does. */
static uint64_t take(moe_vulkan *vulkan, vulkan_block *block, uint64_t bytes) {
  range *part = block->ranges;
  while (part && (part->isUsed || part->bytes < bytes))
    part = part->next;
  if (!part)
    return 0;
  if (part->bytes > bytes) {
    range *rest = malloc(sizeof(*rest));
    if (!rest) {
      moe_vulkan_fail(vulkan, "out of memory");
      return 0;
    }
    *rest = (range){part->address + bytes, part->bytes - bytes, 0, part->next};
    part->bytes = bytes;
    part->next = rest;
  }
  part->isUsed = 1;
  return part->address;
}

void *moe_vulkan_allocate(moe_vulkan *vulkan, size_t size) {
  if (moe_vulkan_alive(vulkan))
    return NULL;
  if (size > SIZE_MAX - 2 * kAlignment) {
    moe_vulkan_fail(vulkan, "%zu bytes are too many to allocate", size);
    return NULL;
  }
  uint64_t bytes =
      ((size ? size : 1) + kAlignment - 1) / kAlignment * kAlignment;
  int isSmall = bytes <= kSmallBytes;
  uint64_t address = 0;
  for (vulkan_block *b = vulkan->blocks; isSmall && b && !address; b = b->next)
    if (b->isShared)
      address = take(vulkan, b, bytes);
  if (!address) {
    vulkan_block *block =
        addBlock(vulkan, isSmall ? kSharedBytes : bytes, isSmall);
    address = block ? take(vulkan, block, bytes) : 0;
  }
  return (void *)(uintptr_t)address;
}

static void removeBlock(moe_vulkan *vulkan, vulkan_block **link) {
  vulkan_block *block = *link;
  *link = block->next;
  for (range *r = block->ranges, *next; r; r = next) {
    next = r->next;
    free(r);
  }
  destroyBuffer(vulkan, &block->buffer);
  free(block);
}

/* Where the block that has all of `bytes` at `address` is linked, or null. */
static vulkan_block **findBlock(moe_vulkan *vulkan, uint64_t address,
                                size_t bytes) {
  for (vulkan_block **link = &vulkan->blocks; *link; link = &(*link)->next)
    if (address >= (*link)->address &&
        address - (*link)->address <= (*link)->bytes &&
        bytes <= (*link)->bytes - (address - (*link)->address))
      return link;
  return NULL;
}

void moe_vulkan_free(moe_vulkan *vulkan, void *memory) {
  uint64_t address = (uint64_t)(uintptr_t)memory;
  vulkan_block **link = memory ? findBlock(vulkan, address, 1) : NULL;
  if (!link)
    return;
  range *before = NULL, *part = (*link)->ranges;
  for (; part && part->address != address; part = part->next)
    before = part;
  if (!part)
    return;
  part->isUsed = 0;
  range *behind = part->next;
  if (behind && !behind->isUsed) {
    part->bytes += behind->bytes;
    part->next = behind->next;
    free(behind);
  }
  if (before && !before->isUsed) {
    before->bytes += part->bytes;
    before->next = part->next;
    free(part);
  }
  part = (*link)->ranges;
  if (part->isUsed || part->next)
    return;
  /* Nothing is left of the block; kernels may still use what was. */
  if (!vulkan->isLost)
    moe_vulkan_synchronize(vulkan);
  removeBlock(vulkan, link);
}

void moe_vulkan_release_memory(moe_vulkan *vulkan) {
  while (vulkan->blocks)
    removeBlock(vulkan, &vulkan->blocks);
  destroyBuffer(vulkan, &vulkan->staging);
}

/* The buffer that data goes through, of which each slot has kStagingBytes. */
static int openStaging(moe_vulkan *vulkan) {
  const VkMemoryPropertyFlags seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const VkMemoryPropertyFlags choices[] = {
      seen | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, seen, 0};
  if (vulkan->staging.buffer)
    return MOE_OK;
  return createBuffer(vulkan, (VkDeviceSize)kSlots * kStagingBytes, choices,
                      &vulkan->staging);
}

/* Copies through the staging buffer: `host` is read if `isUpload`, and written
   otherwise. */
static int copyStaged(moe_vulkan *vulkan, const vulkan_block *block,
                      VkDeviceSize at, char *host, size_t bytes, int isUpload) {
  if (openStaging(vulkan))
    return MOE_ERR_DEVICE;
  for (size_t done = 0; done < bytes;) {
    if (moe_vulkan_begin(vulkan))
      return MOE_ERR_DEVICE;
    int index = vulkan->current;
    char *staged = vulkan->staging.mapped + (size_t)index * kStagingBytes;
    VkBufferCopy piece = {(VkDeviceSize)index * kStagingBytes, at + done,
                          bytes - done};
    if (piece.size > kStagingBytes)
      piece.size = kStagingBytes;
    VkCommandBuffer commands = vulkan->slots[index].commands;
    moe_vulkan_barrier(vulkan);
    if (isUpload) {
      memcpy(staged, host + done, (size_t)piece.size);
      vulkan->CmdCopyBuffer(commands, vulkan->staging.buffer,
                            block->buffer.buffer, 1, &piece);
      /* The next piece is written while this one goes up. */
      if (moe_vulkan_flush(vulkan))
        return MOE_ERR_DEVICE;
    } else {
      piece = (VkBufferCopy){piece.dstOffset, piece.srcOffset, piece.size};
      vulkan->CmdCopyBuffer(commands, block->buffer.buffer,
                            vulkan->staging.buffer, 1, &piece);
      if (moe_vulkan_synchronize(vulkan))
        return MOE_ERR_DEVICE;
      memcpy(host + done, staged, (size_t)piece.size);
    }
    done += (size_t)piece.size;
  }
  return moe_vulkan_synchronize(vulkan);
}

static int copy(moe_vulkan *vulkan, const void *device, void *host,
                size_t bytes, int isUpload) {
  if (moe_vulkan_alive(vulkan))
    return MOE_ERR_DEVICE;
  if (!bytes)
    return moe_vulkan_synchronize(vulkan);
  uint64_t address = (uint64_t)(uintptr_t)device;
  vulkan_block **link = findBlock(vulkan, address, bytes);
  if (!link)
    return moe_vulkan_fail(
        vulkan, "%zu bytes at %p are not in memory that was allocated on %s",
        bytes, device, vulkan->properties.deviceName);
  vulkan_block *block = *link;
  VkDeviceSize at = address - block->address;
  char *mapped = block->buffer.mapped;
  /* What the host sees and does not cache, it reads a word at a time. */
  if (!mapped || !(isUpload || block->buffer.isCached))
    return copyStaged(vulkan, block, at, host, bytes, isUpload);
  if (moe_vulkan_synchronize(vulkan))
    return MOE_ERR_DEVICE;
  memcpy(isUpload ? mapped + at : (char *)host, isUpload ? host : mapped + at,
         bytes);
  return MOE_OK;
}

int moe_vulkan_copy_to(moe_vulkan *vulkan, void *device, const void *host,
                       size_t bytes) {
  return copy(vulkan, device, (void *)host, bytes, 1);
}

int moe_vulkan_copy_from(moe_vulkan *vulkan, void *host, const void *device,
                         size_t bytes) {
  return copy(vulkan, device, host, bytes, 0);
}
