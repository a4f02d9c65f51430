/* Packs all arguments of several functions with moe_pack(), from the tensors of
 * one file, and compares with those in another that moe-pack wrote. FUNCTIONS says
 * which, if not those of weight-views.mlir. */
#include "m.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *bytes, *data;
} file;

static file read_file(const char *path) {
  file f = {NULL, NULL};
  FILE *stream = fopen(path, "rb");
  uint64_t header;
  long size;
  if (!stream || fseek(stream, 0, SEEK_END))
    exit(2);
  size = ftell(stream);
  rewind(stream);
  f.bytes = (char *)malloc((size_t)size);
  if (!f.bytes || fread(f.bytes, 1, (size_t)size, stream) != (size_t)size)
    exit(2);
  memcpy(&header, f.bytes, sizeof(header));
  f.data = f.bytes + 8 + header;
  fclose(stream);
  return f;
}

/* The tensor `name`, and its bytes, and its dtype if it is one of numbers. */
static const char *find(file f, const char *name, int32_t *dtype,
                        size_t *bytes) {
  char key[128];
  size_t begin, end;
  const char *at, *type;
  snprintf(key, sizeof(key), "\"%s\":", name);
  at = strstr(f.bytes + 8, key);
  if (!at || !(type = strstr(at, "\"dtype\"")) ||
      !(at = strstr(at, "\"data_offsets\"")) ||
      sscanf(at, "\"data_offsets\":%*[ ][%zu, %zu", &begin, &end) +
              sscanf(at, "\"data_offsets\":[%zu,%zu", &begin, &end) < 1) {
    printf("no tensor %s\n", name);
    exit(1);
  }
  type = strchr(type + 7, '"') + 1;
  if (!strncmp(type, "BF16", 4))
    *dtype = MOE_BF16;
  else if (!strncmp(type, "F16", 3))
    *dtype = MOE_F16;
  else if (!strncmp(type, "F32", 3))
    *dtype = MOE_F32;
  *bytes = end - begin;
  return f.data + begin;
}

static int compare(const char *function, const moe_pack_plan *plan, file from,
                   file packed) {
  char name[128], key[160];
  int32_t ignored = 0;
  size_t bytes;
  moe_tensor tensors[16];
  char *memory = (char *)malloc(plan->bytes + MOE_ALIGNMENT), *out = memory;
  out += MOE_ALIGNMENT - (uintptr_t)out % MOE_ALIGNMENT;
  for (int64_t i = 0; i < plan->num_tensors; ++i) {
    tensors[i] = plan->tensors[i];
    tensors[i].data =
        find(from, tensors[i].name, &tensors[i].dtype, &bytes);
  }
  int status = moe_pack(NULL, plan, tensors, out, plan->bytes);
  /* The only function has no name there. */
  snprintf(name, sizeof(name), "%s/%s", function, plan->name);
  if (!strstr(packed.bytes + 8, name))
    snprintf(name, sizeof(name), "%s", plan->name);
  const char *wanted = find(packed, name, &ignored, &bytes);
  int differs = bytes != plan->bytes || memcmp(wanted, out, bytes);
  snprintf(key, sizeof(key), "\"layout.%s\":\"%s\"", name, plan->id);
  printf("%s/%s: %s, %d tensors, %d sources, %s, %s\n", function, plan->name,
         moe_status_string(status), (int)plan->num_tensors,
         (int)plan->num_sources, differs ? "other bytes" : "the same bytes",
         strstr(packed.bytes + 8, key) ? "the same layout" : "another layout");
  free(memory);
  return status || differs;
}

int main(int argc, char **argv) {
  int failures = argc != 3;
  file from = read_file(argv[1]), packed = read_file(argv[2]);
#define ALL(function, FUNCTION)                                                \
  for (int i = 0; i < FUNCTION##_NUM_PLANS; ++i)                               \
    failures += compare(#function, &function##__plans[i], from, packed);
#ifdef FUNCTIONS
  FUNCTIONS
#else
  ALL(halves, HALVES)
  ALL(interleaved, INTERLEAVED)
  ALL(split, SPLIT)
  ALL(transposed, TRANSPOSED)
  ALL(flat, FLAT)
  ALL(stacked, STACKED)
  ALL(inserted, INSERTED)
  ALL(dense, DENSE)
  ALL(shared, SHARED)
  /* By its name, and not in any order. */
  printf("%s\n", stacked__plans[STACKED_DOWN_LEFT_PLAN].name);
#endif
  return failures;
}
