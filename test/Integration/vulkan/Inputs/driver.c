/* In place of Vulkan's loader and a driver: says what is submitted, counts what is
   not released, and fails with FAIL_WITH at the call that FAIL_AT counts to. LACKS
   names a feature, a function or a version that is not there, and MEMORY what
   memory there is. An address on the device is one of the host and kAddress. */
#define VK_NO_PROTOTYPES
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define kAddress ((uint64_t)1 << 60)

static int calls;

static int is(const char *variable, const char *value) {
  const char *given = getenv(variable);
  return given && !strcmp(given, value);
}

static VkResult call(const char *name) {
  const char *at = getenv("FAIL_AT");
  if (!at || ++calls != atoi(at))
    return VK_SUCCESS;
  printf("  %s fails\n", name);
  return (VkResult)atoi(getenv("FAIL_WITH"));
}

#define CALL                                                                   \
  do {                                                                         \
    VkResult result = call(__func__);                                          \
    if (result)                                                                \
      return result;                                                           \
  } while (0)

/* Objects of all kinds; those that were released stay, to tell of a second
   time. */
typedef struct object {
  const char *kind;
  struct object *next, *memory;
  char *data;
  VkDeviceSize bytes;
  char name[64];
} object;

static object *objects;

static void *create(const char *kind) {
  object *o = calloc(1, sizeof(*o));
  o->kind = kind;
  o->next = objects;
  objects = o;
  return o;
}

static void release(void *handle, const char *kind) {
  object *o = handle;
  if (!o)
    return;
  if (strcmp(o->kind, kind))
    printf("  a %s is released as a %s\n", o->kind, kind);
  o->kind = "released";
  free(o->data);
  o->data = NULL;
}

static void tellLeft(void) {
  int left = 0;
  for (object *o = objects; o; o = o->next)
    if (strcmp(o->kind, "released") && ++left)
      printf("  never released: a %s\n", o->kind);
  if (!left)
    printf("  all released\n");
}

/* Create and destroy functions that only count. */
#define OBJECT(Name, Info)                                                     \
  static VkResult vkCreate##Name(VkDevice device, const Info *info,            \
                                 const VkAllocationCallbacks *callbacks,       \
                                 Vk##Name *out) {                              \
    CALL;                                                                      \
    *out = create(#Name);                                                      \
    return VK_SUCCESS;                                                         \
  }                                                                            \
  static void vkDestroy##Name(VkDevice device, Vk##Name handle,                \
                              const VkAllocationCallbacks *callbacks) {        \
    release(handle, #Name);                                                    \
  }
OBJECT(CommandPool, VkCommandPoolCreateInfo)
OBJECT(Fence, VkFenceCreateInfo)
OBJECT(PipelineCache, VkPipelineCacheCreateInfo)
OBJECT(PipelineLayout, VkPipelineLayoutCreateInfo)
OBJECT(ShaderModule, VkShaderModuleCreateInfo)

static VkResult vkEnumerateInstanceVersion(uint32_t *version) {
  CALL;
  *version = is("LACKS", "loader 1.2") ? VK_API_VERSION_1_1 : VK_API_VERSION_1_3;
  return VK_SUCCESS;
}
static VkResult vkCreateInstance(const VkInstanceCreateInfo *info,
                                 const VkAllocationCallbacks *callbacks,
                                 VkInstance *instance) {
  CALL;
  if (info->pApplicationInfo->apiVersion != VK_API_VERSION_1_2)
    printf("  not Vulkan 1.2\n");
  *instance = create("Instance");
  return VK_SUCCESS;
}
static void vkDestroyInstance(VkInstance instance,
                              const VkAllocationCallbacks *callbacks) {
  release(instance, "Instance");
  tellLeft();
}
static VkResult vkEnumeratePhysicalDevices(VkInstance instance, uint32_t *count,
                                           VkPhysicalDevice *devices) {
  CALL;
  uint32_t there = is("LACKS", "devices") ? 0 : 2;
  if (!devices) {
    *count = there;
    return VK_SUCCESS;
  }
  for (uint32_t i = 0; i < there && i < *count; ++i)
    devices[i] = (VkPhysicalDevice)(uintptr_t)(i + 1);
  return VK_SUCCESS;
}
static void vkGetPhysicalDeviceProperties2(VkPhysicalDevice device,
                                           VkPhysicalDeviceProperties2 *all) {
  VkPhysicalDeviceProperties *p = &all->properties;
  p->apiVersion = is("LACKS", "1.2") ? VK_API_VERSION_1_1 : VK_API_VERSION_1_2;
  p->deviceType = is("MEMORY", "shared") ? VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
                                         : VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  snprintf(p->deviceName, sizeof(p->deviceName), "card %d",
           (int)(uintptr_t)device);
  p->limits.maxPushConstantsSize = 128;
  p->limits.maxComputeSharedMemorySize = 16384;
  p->limits.maxComputeWorkGroupInvocations = 256;
  p->limits.maxComputeWorkGroupSize[0] = 128;
  p->limits.maxComputeWorkGroupCount[0] = 1000;
  p->limits.maxComputeWorkGroupCount[1] = 10;
  VkPhysicalDeviceMaintenance3Properties *more = all->pNext;
  if (more)
    more->maxMemoryAllocationSize = 1 << 30;
}
static void vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device,
                                         VkPhysicalDeviceFeatures2 *features) {
  VkPhysicalDeviceVulkan11Features *features11 = features->pNext;
  VkPhysicalDeviceVulkan12Features *features12 = features11->pNext;
  features->features.shaderInt64 = !is("LACKS", "shaderInt64");
  features->features.shaderInt16 = 1;
  features11->storageBuffer16BitAccess = 1;
  features12->storageBuffer8BitAccess = 1;
  features12->shaderInt8 = !is("LACKS", "shaderInt8");
  features12->shaderFloat16 = !is("LACKS", "shaderFloat16");
  features12->bufferDeviceAddress = 1;
  if (is("LACKS", "everything")) {
    memset(&features->features, 0, sizeof(features->features));
    features11->storageBuffer16BitAccess = 0;
    features12->storageBuffer8BitAccess = features12->shaderInt8 =
        features12->bufferDeviceAddress = 0;
  }
}
static void vkGetPhysicalDeviceMemoryProperties(
    VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties *memory) {
  enum { kLocal = 1, kSeen = 2 | 4, kCached = 8 };
  memset(memory, 0, sizeof(*memory));
  memory->memoryHeaps[0].size = memory->memoryHeaps[1].size = 1ull << 32;
  memory->memoryTypeCount = 2;
  memory->memoryTypes[0].propertyFlags = kSeen;
  memory->memoryTypes[1].propertyFlags = kLocal;
  memory->memoryTypes[1].heapIndex = 1;
  if (is("MEMORY", "one")) {
    memory->memoryTypeCount = 1;
    memory->memoryTypes[0].propertyFlags = kLocal | kSeen | kCached;
  }
  if (is("MEMORY", "window")) {
    /* A small heap of the device that the host sees, and does not cache. */
    memory->memoryTypeCount = 3;
    memory->memoryTypes[2].propertyFlags = kLocal | kSeen;
    memory->memoryTypes[2].heapIndex = 2;
    memory->memoryHeaps[2].size = 6 << 20;
  }
}
static void vkGetPhysicalDeviceQueueFamilyProperties(
    VkPhysicalDevice device, uint32_t *count, VkQueueFamilyProperties *families) {
  *count = 2;
  memset(families, 0, 2 * sizeof(*families));
  families[0].queueCount = families[1].queueCount = 1;
  families[0].queueFlags = VK_QUEUE_TRANSFER_BIT;
  families[1].queueFlags =
      is("LACKS", "queue") ? VK_QUEUE_TRANSFER_BIT : VK_QUEUE_COMPUTE_BIT;
}
static VkResult vkCreateDevice(VkPhysicalDevice physical,
                               const VkDeviceCreateInfo *info,
                               const VkAllocationCallbacks *callbacks,
                               VkDevice *device) {
  CALL;
  printf("  queue of family %u\n", info->pQueueCreateInfos->queueFamilyIndex);
  *device = create("Device");
  return VK_SUCCESS;
}
static void vkDestroyDevice(VkDevice device,
                            const VkAllocationCallbacks *callbacks) {
  release(device, "Device");
}
static void vkGetDeviceQueue(VkDevice device, uint32_t family, uint32_t index,
                             VkQueue *queue) {
  *queue = (VkQueue)&calls;
}

/* Memory and buffers. */
static VkResult vkCreateBuffer(VkDevice device, const VkBufferCreateInfo *info,
                               const VkAllocationCallbacks *callbacks,
                               VkBuffer *buffer) {
  CALL;
  object *o = create("Buffer");
  o->bytes = info->size;
  *buffer = (VkBuffer)o;
  return VK_SUCCESS;
}
static void vkDestroyBuffer(VkDevice device, VkBuffer buffer,
                            const VkAllocationCallbacks *callbacks) {
  release(buffer, "Buffer");
}
static void vkGetBufferMemoryRequirements(VkDevice device, VkBuffer buffer,
                                          VkMemoryRequirements *needs) {
  *needs = (VkMemoryRequirements){((object *)buffer)->bytes + 100, 16, ~0u};
}
static VkResult vkAllocateMemory(VkDevice device,
                                 const VkMemoryAllocateInfo *info,
                                 const VkAllocationCallbacks *callbacks,
                                 VkDeviceMemory *memory) {
  CALL;
  /* More than this there is not. */
  if (info->allocationSize > 100 << 20)
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  printf("  allocate %llu of type %u\n",
         (unsigned long long)info->allocationSize, info->memoryTypeIndex);
  object *o = create("Memory");
  o->data = malloc(info->allocationSize);
  *memory = (VkDeviceMemory)o;
  return VK_SUCCESS;
}
static void vkFreeMemory(VkDevice device, VkDeviceMemory memory,
                         const VkAllocationCallbacks *callbacks) {
  release(memory, "Memory");
}
static VkResult vkBindBufferMemory(VkDevice device, VkBuffer buffer,
                                   VkDeviceMemory memory, VkDeviceSize offset) {
  CALL;
  ((object *)buffer)->memory = (object *)memory;
  return VK_SUCCESS;
}
static VkResult vkMapMemory(VkDevice device, VkDeviceMemory memory,
                            VkDeviceSize offset, VkDeviceSize bytes,
                            VkMemoryMapFlags flags, void **data) {
  CALL;
  *data = ((object *)memory)->data;
  return VK_SUCCESS;
}
static VkDeviceAddress
vkGetBufferDeviceAddress(VkDevice device, const VkBufferDeviceAddressInfo *info) {
  return kAddress + (uintptr_t)((object *)info->buffer)->memory->data;
}

/* Kernels. */
static VkResult
vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                         const VkComputePipelineCreateInfo *infos,
                         const VkAllocationCallbacks *callbacks,
                         VkPipeline *pipelines) {
  CALL;
  object *o = create("Pipeline");
  snprintf(o->name, sizeof(o->name), "%s", infos->stage.pName);
  *pipelines = (VkPipeline)o;
  return VK_SUCCESS;
}
static void vkDestroyPipeline(VkDevice device, VkPipeline pipeline,
                              const VkAllocationCallbacks *callbacks) {
  release(pipeline, "Pipeline");
}

/* Commands: of a buffer, what its name says and copies. */
static struct commands {
  char text[2048];
  int launches, copies, isRecording, isWaiting, isRunning;
  struct {
    char *to, *from;
    size_t bytes;
  } copy[8];
  object *pipeline;
  uint32_t pushed;
  char block[128];
} buffers[2];

static VkResult vkAllocateCommandBuffers(VkDevice device,
                                         const VkCommandBufferAllocateInfo *info,
                                         VkCommandBuffer *out) {
  CALL;
  static int next;
  *out = (VkCommandBuffer)&buffers[next++ % 2];
  return VK_SUCCESS;
}
static struct commands *find(VkCommandBuffer buffer) {
  return (struct commands *)buffer;
}
static VkResult vkBeginCommandBuffer(VkCommandBuffer buffer,
                                     const VkCommandBufferBeginInfo *info) {
  CALL;
  if (find(buffer)->isRunning || find(buffer)->isRecording)
    printf("  a command buffer in use is recorded\n");
  memset(find(buffer), 0, sizeof(struct commands));
  find(buffer)->isRecording = 1;
  return VK_SUCCESS;
}
static VkResult vkEndCommandBuffer(VkCommandBuffer buffer) {
  find(buffer)->isRecording = 0;
  CALL;
  return VK_SUCCESS;
}
static VkResult vkResetCommandPool(VkDevice device, VkCommandPool pool,
                                   VkCommandPoolResetFlags flags) {
  CALL;
  return VK_SUCCESS;
}
static void vkCmdPipelineBarrier(
    VkCommandBuffer buffer, VkPipelineStageFlags from, VkPipelineStageFlags to,
    VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier *memory,
    uint32_t numBuffers, const VkBufferMemoryBarrier *bufferBarriers,
    uint32_t numImages, const VkImageMemoryBarrier *images) {
  find(buffer)->isWaiting = 1;
}
static void work(struct commands *c) {
  if (!c->isRecording || !c->isWaiting)
    printf("  nothing waits for what was before\n");
  c->isWaiting = 0;
}
static void vkCmdBindPipeline(VkCommandBuffer buffer, VkPipelineBindPoint point,
                              VkPipeline pipeline) {
  find(buffer)->pipeline = (object *)pipeline;
}
static void vkCmdPushConstants(VkCommandBuffer buffer, VkPipelineLayout layout,
                               VkShaderStageFlags stages, uint32_t offset,
                               uint32_t bytes, const void *block) {
  find(buffer)->pushed = bytes;
  memcpy(find(buffer)->block, block, bytes);
}
static void vkCmdDispatch(VkCommandBuffer buffer, uint32_t x, uint32_t y,
                          uint32_t z) {
  struct commands *c = find(buffer);
  work(c);
  int32_t last;
  memcpy(&last, c->block + c->pushed - 4, 4);
  size_t used = strlen(c->text);
  snprintf(c->text + used, sizeof(c->text) - used,
           "    %s: %u x %u blocks, %u bytes, the last %d\n", c->pipeline->name,
           x, y, c->pushed, (int)last);
  ++c->launches;
}
static void vkCmdCopyBuffer(VkCommandBuffer buffer, VkBuffer from, VkBuffer to,
                            uint32_t count, const VkBufferCopy *regions) {
  struct commands *c = find(buffer);
  work(c);
  c->copy[c->copies].from = ((object *)from)->memory->data + regions->srcOffset;
  c->copy[c->copies].to = ((object *)to)->memory->data + regions->dstOffset;
  c->copy[c->copies++].bytes = regions->size;
}
static VkResult vkQueueSubmit(VkQueue queue, uint32_t count,
                              const VkSubmitInfo *info, VkFence fence) {
  CALL;
  struct commands *c = find(*info->pCommandBuffers);
  printf("  submit %d launches, %d copies\n%s", c->launches, c->copies,
         c->launches < 10 ? c->text : "");
  for (int i = 0; i < c->copies; ++i)
    memcpy(c->copy[i].to, c->copy[i].from, c->copy[i].bytes);
  c->isRunning = 1;
  ((object *)fence)->data = NULL;
  ((object *)fence)->memory = (object *)c;
  return VK_SUCCESS;
}
static VkResult vkWaitForFences(VkDevice device, uint32_t count,
                                const VkFence *fences, VkBool32 all,
                                uint64_t nanoseconds) {
  CALL;
  ((struct commands *)((object *)*fences)->memory)->isRunning = 0;
  return VK_SUCCESS;
}
static VkResult vkResetFences(VkDevice device, uint32_t count,
                              const VkFence *fences) {
  CALL;
  return VK_SUCCESS;
}

static PFN_vkVoidFunction vkGetDeviceProcAddr(VkDevice device, const char *name);

static const struct {
  const char *name;
  PFN_vkVoidFunction function;
} functions[] = {
#define X(name) {#name, (PFN_vkVoidFunction)name},
    X(vkAllocateCommandBuffers) X(vkAllocateMemory) X(vkBeginCommandBuffer)
    X(vkBindBufferMemory) X(vkCmdBindPipeline) X(vkCmdCopyBuffer)
    X(vkCmdDispatch) X(vkCmdPipelineBarrier) X(vkCmdPushConstants)
    X(vkCreateBuffer) X(vkCreateCommandPool) X(vkCreateComputePipelines)
    X(vkCreateDevice) X(vkCreateFence) X(vkCreateInstance)
    X(vkCreatePipelineCache) X(vkCreatePipelineLayout) X(vkCreateShaderModule)
    X(vkDestroyBuffer) X(vkDestroyCommandPool) X(vkDestroyDevice)
    X(vkDestroyFence) X(vkDestroyInstance) X(vkDestroyPipeline)
    X(vkDestroyPipelineCache) X(vkDestroyPipelineLayout)
    X(vkDestroyShaderModule) X(vkEndCommandBuffer)
    X(vkEnumerateInstanceVersion) X(vkEnumeratePhysicalDevices) X(vkFreeMemory)
    X(vkGetBufferDeviceAddress) X(vkGetBufferMemoryRequirements)
    X(vkGetDeviceProcAddr) X(vkGetDeviceQueue) X(vkGetPhysicalDeviceFeatures2)
    X(vkGetPhysicalDeviceMemoryProperties) X(vkGetPhysicalDeviceProperties2)
    X(vkGetPhysicalDeviceQueueFamilyProperties) X(vkMapMemory) X(vkQueueSubmit)
    X(vkResetCommandPool) X(vkResetFences) X(vkWaitForFences)};

PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char *name) {
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); ++i)
    if (!strcmp(functions[i].name, name) && !is("LACKS", name))
      return functions[i].function;
  return NULL;
}
static PFN_vkVoidFunction vkGetDeviceProcAddr(VkDevice device, const char *name) {
  return vkGetInstanceProcAddr(NULL, name);
}
