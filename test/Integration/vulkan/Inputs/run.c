/* Kernels on a Vulkan device, through the C interface, against what the host
   computes. */
#include "image.h"

enum { kValues = 1000, kSmall = 600 };

static moe_vulkan *vulkan;
static const char *image;

static void expect(int isTrue, const char *what) {
  if (isTrue)
    return;
  printf("wrong: %s (%s)\n", what, moe_vulkan_error(vulkan));
  exit(1);
}

static void *upload(const void *host, size_t bytes) {
  void *memory = moe_vulkan_allocate(vulkan, bytes);
  expect(memory && (uintptr_t)memory % 256 == 0, "allocate");
  expect(!moe_vulkan_copy_to(vulkan, memory, host, bytes), "copy to");
  return memory;
}

static void download(void *host, const void *memory, size_t bytes) {
  expect(!moe_vulkan_copy_from(vulkan, host, memory, bytes), "copy from");
}

static void testAdd(void) {
  float a[kValues], b[kValues], c[kValues + 1];
  for (int i = 0; i < kValues; ++i) {
    a[i] = (float)i + 0.5f;
    b[i] = 1000.0f * (float)i;
    c[i] = -1;
  }
  c[kValues] = -1;
  void *da = upload(a, sizeof(a)), *db = upload(b, sizeof(b)),
       *dc = upload(c, sizeof(c));
  moe_launch_argument arguments[] = {pointer(da, 0), pointer(db, 0),
                                     pointer(dc, 0), number(kValues)};
  expect(!start(vulkan, image, "add", 16, 0, 4, arguments), "add");
  download(c, dc, sizeof(c));
  for (int i = 0; i < kValues; ++i)
    expect(c[i] == a[i] + b[i], "a sum");
  expect(c[kValues] == -1, "the value behind the last one");

  /* Each waits for the one before, more than a command buffer has. */
  for (int i = 0; i < kValues; ++i)
    b[i] = 1;
  expect(!moe_vulkan_copy_to(vulkan, db, b, sizeof(b)), "copy to");
  for (int i = 0; i < 5000; ++i) {
    arguments[i % 2 ? 2 : 0] = pointer(da, 0);
    arguments[i % 2 ? 0 : 2] = pointer(dc, 0);
    expect(!start(vulkan, image, "add", 16, 0, 4, arguments), "add of a chain");
    if (i == 100)
      expect(!moe_vulkan_flush(vulkan), "flush");
  }
  download(c, da, sizeof(a));
  for (int i = 0; i < kValues; ++i)
    expect(c[i] == a[i] + 5000, "a sum of a chain");
  /* No block, no kernel; no bytes, no copy. */
  expect(!start(vulkan, image, "add", 0, 0, 4, arguments), "no block");
  expect(!moe_vulkan_copy_to(vulkan, NULL, NULL, 0), "no bytes");
  moe_vulkan_free(vulkan, da);
  moe_vulkan_free(vulkan, db);
  moe_vulkan_free(vulkan, dc);
  printf("add\n");
}

static void testReverse(void) {
  float a[256], c[256];
  for (int i = 0; i < 256; ++i)
    a[i] = (float)i;
  void *da = upload(a, sizeof(a)), *dc = upload(a, sizeof(a));
  moe_launch_argument arguments[] = {pointer(da, 0), pointer(NULL, 0),
                                     pointer(dc, 0)};
  expect(!start(vulkan, image, "reverse", 4, 0, 3, arguments), "reverse");
  download(c, dc, sizeof(c));
  for (int i = 0; i < 256; ++i)
    expect(c[i] == (float)(i / 64 * 64 + 63 - i % 64), "a value in reverse");
  moe_vulkan_free(vulkan, da);
  moe_vulkan_free(vulkan, dc);
  printf("reverse\n");
}

static void testWiden(void) {
  unsigned char bytes[512];
  for (int i = 0; i < 512; ++i)
    bytes[i] = (unsigned char)(i * 37 + 11);
  /* 1, -2 and the smallest number, in f16, behind two bytes. */
  const uint16_t halves[] = {0x3c00, 0xc000, 0x0001};
  const float values[] = {1, -2, 0x1p-24f};
  memcpy(bytes + 2, halves, sizeof(halves));
  float q[64][4];
  void *dp = upload(bytes, sizeof(bytes)), *dq = upload(q, sizeof(q));
  moe_launch_argument arguments[] = {number(-2), pointer(dp, 4), number(-16),
                                     pointer(dq, 16)};
  expect(!start(vulkan, image, "widen", 1, 0, 4, arguments), "widen");
  download(q, dq, sizeof(q));
  for (int i = 0; i < 64; ++i) {
    int16_t half;
    memcpy(&half, bytes + 2 + 2 * i, 2);
    uint32_t bits = (uint32_t)(uint16_t)half << 16;
    expect(q[i][0] == (float)(signed char)bytes[2 + i], "an i8");
    expect(q[i][1] == (float)half, "an i16");
    expect(!memcmp(&q[i][2], &bits, 4) || q[i][2] != q[i][2], "a bf16");
    expect(i >= 3 || q[i][3] == values[i], "an f16");
  }
  moe_vulkan_free(vulkan, dp);
  moe_vulkan_free(vulkan, dq);
  printf("widen\n");
}

/* Blocks along y as well, and blocks that stay. */
static void testGrid(void) {
  enum { kBlocks = 70001 };
  int *counts = calloc(kBlocks + 1, sizeof(int));
  void *dc = upload(counts, (kBlocks + 1) * sizeof(int));
  moe_launch_argument arguments[] = {pointer(NULL, 0), pointer(NULL, 0),
                                     pointer(dc, 0), number(kBlocks)};
  expect(!start(vulkan, image, "stay", kBlocks, 0, 4, arguments), "a grid");
  expect(!start(vulkan, image, "stay", kBlocks, 3, 4, arguments), "staying");
  expect(!start(vulkan, image, "stay", 5, 3, 4, arguments), "five");
  download(counts, dc, (kBlocks + 1) * sizeof(int));
  for (int i = 0; i < kBlocks; ++i)
    expect(counts[i] == 3, "how often a block was run");
  expect(counts[kBlocks] == 0, "a block too many");
  moe_vulkan_free(vulkan, dc);
  free(counts);
  printf("grid\n");
}

/* Small allocations share blocks: none may overlap another. */
static void testAllocations(void) {
  static struct {
    unsigned char *memory;
    size_t bytes;
    int fill;
  } all[kSmall];
  static unsigned char data[300000];
  unsigned state = 1;
  for (int round = 0; round < 3 * kSmall; ++round) {
    int i = (int)((state = state * 1664525u + 1013904223u) >> 8) % kSmall;
    if (all[i].memory) {
      download(data, all[i].memory, all[i].bytes);
      for (size_t k = 0; k < all[i].bytes; ++k)
        expect(data[k] == all[i].fill, "a byte that was written");
      moe_vulkan_free(vulkan, all[i].memory);
    }
    all[i].bytes = 1 + (state = state * 1664525u + 1013904223u) % sizeof(data);
    if (round % 4)
      all[i].bytes = all[i].bytes % 5000 + 1;
    all[i].fill = round % 251;
    memset(data, all[i].fill, all[i].bytes);
    all[i].memory = upload(data, all[i].bytes);
  }
  /* Some stay: closing frees them. */
  for (int i = 0; i < kSmall; i += 2)
    moe_vulkan_free(vulkan, all[i].memory);
  printf("allocations\n");
}

/* One line for what cannot be done, and the device goes on. */
static void testErrors(void) {
  moe_rt *rt = moe_vulkan_rt(vulkan);
  rt->error = NULL;
  moe_launch_argument arguments[300];
  float value = 3;
  void *memory = upload(&value, sizeof(value));
  for (int i = 0; i < 300; ++i)
    arguments[i] = pointer(memory, 0);
#define SAY(call)                                                              \
  printf("  %d", call);                                                        \
  printf(" %s\n", moe_vulkan_error(vulkan))
  SAY(start(vulkan, image, "multiply", 1, 0, 3, arguments));
  SAY(start(vulkan, ".version 8.0", "add", 1, 0, 3, arguments));
  SAY(start(vulkan, image, "add", 1, 0, 300, arguments));
  SAY(start(vulkan, image, "add", (int64_t)1 << 62, 0, 3, arguments));
  arguments[1].kind = MOE_LAUNCH_MATRIX;
  SAY(start(vulkan, image, "add", 1, 0, 3, arguments));
  moe_launch launch = {sizeof(launch), image, "add", 1, 0, 64, 1 << 30, 0, 0, 0};
  SAY(rt->launch(rt, &launch));
  launch.shared_bytes = 0;
  launch.threads = 1 << 20;
  SAY(rt->launch(rt, &launch));
  SAY(moe_vulkan_copy_to(vulkan, &value, &value, sizeof(value)));
  SAY(moe_vulkan_copy_from(vulkan, &value, (char *)memory + (64 << 20), 4));
  SAY(moe_vulkan_allocate(vulkan, (size_t)1 << 60) != NULL);
  SAY(moe_vulkan_allocate(vulkan, SIZE_MAX) != NULL);
  moe_vulkan_free(vulkan, NULL);
  download(&value, memory, sizeof(value));
  expect(value == 3, "a value after errors");
  moe_vulkan_free(vulkan, memory);
}

int main(int argc, char **argv) {
  char names[1024], message[256];
  int count = moe_vulkan_devices(names, sizeof(names), message, sizeof(message));
  printf("%d: %s", count, count < 0 ? message : names);
  if (count < 0)
    printf("\n");
  int status = moe_vulkan_open(argc > 2 ? atoi(argv[2]) : 0, &vulkan, message,
                               sizeof(message));
  if (status) {
    printf("%s: %s\n", moe_status_string(status), message);
    return 1;
  }
  printf("on %s\n", moe_vulkan_name(vulkan));
  image = readImage(argv[1]);
  testAdd();
  testReverse();
  testWiden();
  testGrid();
  testAllocations();
  testErrors();
  moe_vulkan_close(vulkan);
  moe_vulkan_close(NULL);
  printf("closed\n");
  return 0;
}
