/* Copies and launches on a driver that only says what it is asked for; all goes on
   after a failure, to see what becomes of the rest. */
#include "image.h"

static moe_vulkan *vulkan;

static void tell(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("  error %d: %s\n", status, message);
}

static int check(int status, const char *what) {
  if (status)
    printf("%s: %s\n", what, moe_vulkan_error(vulkan));
  return status;
}

int main(int argc, char **argv) {
  enum { kBig = 9 << 20 };
  char message[512];
  if (moe_vulkan_open(argc > 2 ? atoi(argv[2]) : 0, &vulkan, message,
                      sizeof(message))) {
    printf("device failure: %s\n", message);
    return 1;
  }
  const char *image = readImage(argv[1]);
  moe_vulkan_rt(vulkan)->error = tell;
  unsigned char *data = malloc(kBig), *back = calloc(kBig, 1);
  for (int i = 0; i < kBig; ++i)
    data[i] = (unsigned char)(i * 7 + (i >> 12));
  char *small = moe_vulkan_allocate(vulkan, 1000);
  check(!small, "allocating");
  char *other = moe_vulkan_allocate(vulkan, 1000);
  check(!other, "allocating");
  char *big = moe_vulkan_allocate(vulkan, kBig);
  check(!big, "allocating");
  if (small && other && big) {
    printf("a copy\n");
    int failed = check(moe_vulkan_copy_to(vulkan, small, data + 1, 1000), "up");
    failed |= check(moe_vulkan_copy_to(vulkan, other, data, 1000), "up");
    printf("a large copy\n");
    failed |= check(moe_vulkan_copy_to(vulkan, big, data, kBig), "up");
    failed |= check(moe_vulkan_copy_from(vulkan, back, big, kBig), "down");
    if (!failed && memcmp(data, back, kBig))
      printf("what comes back is other data\n");
    failed |= check(moe_vulkan_copy_from(vulkan, back, small, 1000), "down");
    if (!failed && memcmp(data + 1, back, 1000))
      printf("what comes back is other data\n");
    printf("launches\n");
    moe_launch_argument arguments[] = {pointer(small, 0), pointer(big, 0),
                                       pointer(big, 0), number(-3)};
    int status = start(vulkan, image, "add", 7, 0, 4, arguments);
    status |= start(vulkan, image, "add", 5000, 20, 4, arguments);
    status |= start(vulkan, image, "reverse", 1001, 0, 2, arguments);
    check(moe_vulkan_flush(vulkan), "flush");
    printf("launches behind them\n");
    status |= start(vulkan, image, "add", 0, 0, 4, arguments);
    status |= start(vulkan, image, "add", 1, 0, 4, arguments);
    check(moe_vulkan_synchronize(vulkan), "wait");
    printf(status ? "failed\n" : "ok\n");
    if (!getenv("FAIL_AT"))
      for (int i = 0; i < 4100; ++i)
        start(vulkan, image, "add", 1, 0, 4, arguments);
  }
  moe_vulkan_free(vulkan, small);
  moe_vulkan_free(vulkan, big);
  if (!getenv("FAIL_AT")) {
    printf("too much\n");
    check(!moe_vulkan_allocate(vulkan, (size_t)101 << 20), "allocating");
    check(!moe_vulkan_allocate(vulkan, (size_t)1 << 30), "allocating");
  }
  printf("closing\n");
  moe_vulkan_close(vulkan);
  free(data);
  free(back);
  return 0;
}
