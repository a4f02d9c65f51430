/*===- Vulkan.c - Layers on Vulkan devices -------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "VulkanDevice.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int moe_vulkan_fail(moe_vulkan *vulkan, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(vulkan->error, sizeof(vulkan->error), format, arguments);
  va_end(arguments);
  return MOE_ERR_DEVICE;
}

static const char *nameOf(VkResult result) {
  switch (result) {
  case VK_ERROR_OUT_OF_HOST_MEMORY:
    return "out of host memory";
  case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    return "out of device memory";
  case VK_ERROR_INITIALIZATION_FAILED:
    return "initialization failed";
  case VK_ERROR_DEVICE_LOST:
    return "device lost";
  case VK_ERROR_MEMORY_MAP_FAILED:
    return "memory map failed";
  case VK_ERROR_LAYER_NOT_PRESENT:
    return "layer not present";
  case VK_ERROR_EXTENSION_NOT_PRESENT:
    return "extension not present";
  case VK_ERROR_FEATURE_NOT_PRESENT:
    return "feature not present";
  case VK_ERROR_INCOMPATIBLE_DRIVER:
    return "no driver for this version";
  case VK_ERROR_TOO_MANY_OBJECTS:
    return "too many objects";
  case VK_ERROR_INVALID_SHADER_NV:
    return "invalid shader";
  default:
    return "unknown error";
  }
}

int moe_vulkan_check(moe_vulkan *vulkan, VkResult result, const char *what) {
  /* Positive results are no errors: nothing that is called here gives one of
     those that matter. */
  if (result >= 0)
    return MOE_OK;
  if (result == VK_ERROR_DEVICE_LOST)
    vulkan->isLost = 1;
  return moe_vulkan_fail(vulkan, "%s failed: %s (%d)", what, nameOf(result),
                         (int)result);
}

int moe_vulkan_alive(moe_vulkan *vulkan) {
  if (vulkan->isLost)
    return moe_vulkan_fail(vulkan, "%s was lost: the device has to be closed",
                           vulkan->properties.deviceName);
  return MOE_OK;
}

/* The loader, and an instance of it. */
static int openInstance(moe_vulkan *vulkan) {
  vulkan->library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!vulkan->library)
    return moe_vulkan_fail(vulkan, "no Vulkan loader: %s", dlerror());
  void *get = dlsym(vulkan->library, "vkGetInstanceProcAddr");
  if (!get)
    return moe_vulkan_fail(vulkan,
                           "libvulkan.so.1 has no vkGetInstanceProcAddr");
  memcpy(&vulkan->GetInstanceProcAddr, &get, sizeof(get));
#define GET(name)                                                              \
  vulkan->name =                                                               \
      (PFN_vk##name)vulkan->GetInstanceProcAddr(vulkan->instance, "vk" #name)
  GET(EnumerateInstanceVersion);
  GET(CreateInstance);
  /* A loader of 1.0 has no vkEnumerateInstanceVersion. */
  uint32_t version = VK_API_VERSION_1_0;
  if (!vulkan->CreateInstance)
    return moe_vulkan_fail(vulkan, "the Vulkan loader has no vkCreateInstance");
  if (vulkan->EnumerateInstanceVersion &&
      moe_vulkan_check(vulkan, vulkan->EnumerateInstanceVersion(&version),
                       "vkEnumerateInstanceVersion"))
    return MOE_ERR_DEVICE;
  if (version < VK_API_VERSION_1_2)
    return moe_vulkan_fail(
        vulkan, "the Vulkan loader is too old: it has %u.%u, not 1.2",
        VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
  VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                   .pEngineName = "MoE-MLIR",
                                   .apiVersion = VK_API_VERSION_1_2};
  VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                               .pApplicationInfo = &application};
  VkInstance instance = NULL;
  if (moe_vulkan_check(vulkan, vulkan->CreateInstance(&info, NULL, &instance),
                       "vkCreateInstance"))
    return MOE_ERR_DEVICE;
  vulkan->instance = instance;
  GET(DestroyInstance);
  const char *missing = NULL;
#define X(name)                                                                \
  GET(name);                                                                   \
  if (!vulkan->name)                                                           \
    missing = "vk" #name;
  MOE_VULKAN_INSTANCE_FUNCTIONS(X)
#undef X
#undef GET
  if (missing)
    return moe_vulkan_fail(vulkan, "the Vulkan loader has no %s", missing);
  return MOE_OK;
}

/* All devices, allocated, or null: not enough memory, or no driver. */
static VkPhysicalDevice *listDevices(moe_vulkan *vulkan, uint32_t *count) {
  *count = 0;
  if (moe_vulkan_check(
          vulkan,
          vulkan->EnumeratePhysicalDevices(vulkan->instance, count, NULL),
          "vkEnumeratePhysicalDevices"))
    return NULL;
  VkPhysicalDevice *devices = calloc(*count + 1, sizeof(*devices));
  if (!devices) {
    moe_vulkan_fail(vulkan, "out of memory");
    return NULL;
  }
  /* Fewer is fine: one that went in between. */
  if (moe_vulkan_check(
          vulkan,
          vulkan->EnumeratePhysicalDevices(vulkan->instance, count, devices),
          "vkEnumeratePhysicalDevices")) {
    free(devices);
    return NULL;
  }
  return devices;
}

static int chooseDevice(moe_vulkan *vulkan, int number) {
  uint32_t count;
  VkPhysicalDevice *devices = listDevices(vulkan, &count);
  if (!devices)
    return MOE_ERR_DEVICE;
  int isThere = number >= 0 && (uint32_t)number < count;
  if (isThere)
    vulkan->physical = devices[number];
  free(devices);
  if (isThere)
    return MOE_OK;
  if (count == 0)
    return moe_vulkan_fail(vulkan, "there is no Vulkan device");
  return moe_vulkan_fail(vulkan,
                         "there is no Vulkan device %d: the last one is %u",
                         number, count - 1);
}

/* A queue that computes. */
static int chooseFamily(moe_vulkan *vulkan) {
  enum { kMost = 64 };
  VkQueueFamilyProperties families[kMost];
  uint32_t count = kMost;
  vulkan->GetPhysicalDeviceQueueFamilyProperties(vulkan->physical, &count,
                                                 families);
  for (uint32_t i = 0; i < count; ++i)
    if (families[i].queueCount &&
        families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
      vulkan->family = i;
      return MOE_OK;
    }
  return moe_vulkan_fail(vulkan, "%s has no queue that computes",
                         vulkan->properties.deviceName);
}

/* Makes `wanted` of what the device `has`; writes what it lacks of the features
   that kernels cannot do without. */
static void chooseFeatures(const VkPhysicalDeviceFeatures2 *has,
                           VkPhysicalDeviceFeatures2 *wanted, char *lacks,
                           size_t bytes) {
  const VkPhysicalDeviceVulkan11Features *has11 = has->pNext;
  const VkPhysicalDeviceVulkan12Features *has12 = has11->pNext;
  VkPhysicalDeviceVulkan11Features *wanted11 = wanted->pNext;
  VkPhysicalDeviceVulkan12Features *wanted12 = wanted11->pNext;
  lacks[0] = 0;
#define NEED(to, from, name)                                                   \
  (to).name = VK_TRUE;                                                         \
  if (!(from).name)                                                            \
    snprintf(lacks + strlen(lacks), bytes - strlen(lacks), "%s" #name,         \
             lacks[0] ? ", " : "");
#define TAKE(to, from, name) (to).name = (from).name;
  NEED(*wanted12, *has12, bufferDeviceAddress)
  NEED(wanted->features, has->features, shaderInt64)
  NEED(wanted->features, has->features, shaderInt16)
  NEED(*wanted12, *has12, shaderInt8)
  NEED(*wanted11, *has11, storageBuffer16BitAccess)
  NEED(*wanted12, *has12, storageBuffer8BitAccess)
  TAKE(*wanted12, *has12, shaderFloat16)
  TAKE(*wanted12, *has12, vulkanMemoryModel)
  TAKE(*wanted12, *has12, vulkanMemoryModelDeviceScope)
  TAKE(*wanted12, *has12, shaderSubgroupExtendedTypes)
  TAKE(*wanted12, *has12, subgroupBroadcastDynamicId)
#undef NEED
#undef TAKE
}

static int createDevice(moe_vulkan *vulkan) {
  const char *name = vulkan->properties.deviceName;
  uint32_t version = vulkan->properties.apiVersion;
  if (version < VK_API_VERSION_1_2)
    return moe_vulkan_fail(vulkan, "%s has Vulkan %u.%u, not 1.2", name,
                           VK_API_VERSION_MAJOR(version),
                           VK_API_VERSION_MINOR(version));
  VkPhysicalDeviceVulkan12Features
      has12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
      wanted12 = has12;
  VkPhysicalDeviceVulkan11Features
      has11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
               .pNext = &has12},
      wanted11 = has11;
  VkPhysicalDeviceFeatures2
      has = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
             .pNext = &has11},
      wanted = has;
  wanted11.pNext = &wanted12;
  wanted.pNext = &wanted11;
  vulkan->GetPhysicalDeviceFeatures2(vulkan->physical, &has);
  char lacks[256];
  chooseFeatures(&has, &wanted, lacks, sizeof(lacks));
  if (lacks[0])
    return moe_vulkan_fail(vulkan, "%s lacks %s", name, lacks);
  vulkan->hasFloat16 = has12.shaderFloat16 != 0;
  if (chooseFamily(vulkan))
    return MOE_ERR_DEVICE;

  float priority = 1;
  VkDeviceQueueCreateInfo queue = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
      .queueFamilyIndex = vulkan->family,
      .queueCount = 1,
      .pQueuePriorities = &priority};
  VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                             .pNext = &wanted,
                             .queueCreateInfoCount = 1,
                             .pQueueCreateInfos = &queue};
  VkDevice device = NULL;
  if (moe_vulkan_check(
          vulkan, vulkan->CreateDevice(vulkan->physical, &info, NULL, &device),
          "vkCreateDevice"))
    return MOE_ERR_DEVICE;
#define GET(name)                                                              \
  vulkan->name = (PFN_vk##name)vulkan->GetDeviceProcAddr(device, "vk" #name)
  GET(DestroyDevice);
  vulkan->device = device;
  const char *missing = NULL;
#define X(name)                                                                \
  GET(name);                                                                   \
  if (!vulkan->name)                                                           \
    missing = "vk" #name;
  MOE_VULKAN_DEVICE_FUNCTIONS(X)
#undef X
#undef GET
  if (missing)
    return moe_vulkan_fail(vulkan, "the driver of %s has no %s", name, missing);
  vulkan->GetDeviceQueue(device, vulkan->family, 0, &vulkan->queue);
  return MOE_OK;
}

static int openDevice(moe_vulkan *vulkan, int number) {
  if (sizeof(void *) < sizeof(VkDeviceAddress))
    return moe_vulkan_fail(vulkan,
                           "pointers of this program have fewer than 64 bits");
  if (openInstance(vulkan) || chooseDevice(vulkan, number))
    return MOE_ERR_DEVICE;
  VkPhysicalDeviceMaintenance3Properties limits = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceProperties2 properties = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
      .pNext = &limits};
  vulkan->GetPhysicalDeviceProperties2(vulkan->physical, &properties);
  vulkan->properties = properties.properties;
  vulkan->mostBytes = limits.maxMemoryAllocationSize;
  vulkan->GetPhysicalDeviceMemoryProperties(vulkan->physical,
                                            &vulkan->memories);
  if (createDevice(vulkan))
    return MOE_ERR_DEVICE;
  return moe_vulkan_open_queue(vulkan);
}

static void say(const moe_vulkan *vulkan, char *message, size_t bytes) {
  if (message)
    snprintf(message, bytes, "%s", vulkan ? vulkan->error : "out of memory");
}

int moe_vulkan_open(int device, moe_vulkan **out, char *message, size_t bytes) {
  *out = NULL;
  moe_vulkan *vulkan = calloc(1, sizeof(*vulkan));
  if (vulkan) {
    moe_rt_init(&vulkan->rt, 1);
    vulkan->rt.launch = moe_vulkan_launch;
    vulkan->rt.device = "vulkan";
  }
  if (!vulkan || openDevice(vulkan, device)) {
    say(vulkan, message, bytes);
    moe_vulkan_close(vulkan);
    return MOE_ERR_DEVICE;
  }
  *out = vulkan;
  return MOE_OK;
}

void moe_vulkan_close(moe_vulkan *vulkan) {
  if (!vulkan)
    return;
  /* A device without all of its functions has nothing else. */
  if (vulkan->queue) {
    moe_vulkan_release_queue(vulkan);
    moe_vulkan_release_memory(vulkan);
  }
  if (vulkan->device && vulkan->DestroyDevice)
    vulkan->DestroyDevice(vulkan->device, NULL);
  if (vulkan->instance && vulkan->DestroyInstance)
    vulkan->DestroyInstance(vulkan->instance, NULL);
  if (vulkan->library)
    dlclose(vulkan->library);
  free(vulkan);
}

int moe_vulkan_devices(char *names, size_t bytes, char *message,
                       size_t message_bytes) {
  if (names && bytes)
    names[0] = 0;
  moe_vulkan *vulkan = calloc(1, sizeof(*vulkan));
  uint32_t count = 0;
  VkPhysicalDevice *devices = NULL;
  if (vulkan && !openInstance(vulkan))
    devices = listDevices(vulkan, &count);
  size_t used = 0;
  for (uint32_t i = 0; devices && i < count; ++i) {
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vulkan->GetPhysicalDeviceProperties2(devices[i], &properties);
    if (names && used < bytes)
      used += (size_t)snprintf(names + used, bytes - used, "%s\n",
                               properties.properties.deviceName);
  }
  if (!devices)
    say(vulkan, message, message_bytes);
  int found = devices ? (int)count : -1;
  free(devices);
  moe_vulkan_close(vulkan);
  return found;
}

moe_rt *moe_vulkan_rt(moe_vulkan *vulkan) { return &vulkan->rt; }

const char *moe_vulkan_name(const moe_vulkan *vulkan) {
  return vulkan->properties.deviceName;
}

const char *moe_vulkan_error(const moe_vulkan *vulkan) { return vulkan->error; }
